"""An executor's health and metrics say how its components are, for as long as it looks after them."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from release_management.domain.condition import (
    SEVERITY,
    Condition,
    SeenSlot,
)
from release_management.runtime.roles.kit.conditions import ShownComponents, show_components
from release_management.runtime.roles.kit.health import Health
from release_management.services.observations.looks import (
    FRESH_SECONDS,
    ComponentLook,
    Key,
)

START = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
WEB: Key = ("staging", "shop", "main", "web")
API: Key = ("staging", "shop", "main", "api")
NAMES = ("environment", "application", "target", "component")
KINDS = ("wanted", "running", "healthy")


class Executor:
    """An executor that looks after what the test says, with its health and its clock."""

    def __init__(self) -> None:
        self.health = Health("executor")
        self.looks: dict[Key, ComponentLook] = {}
        self.passed = 0.0
        self._shown = ShownComponents("local", self, self.health)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.passed)

    def sees(self, key: Key, condition: Condition = "well", *slots: SeenSlot, reason: str | None = None) -> None:
        about = {**dict(zip(NAMES, key, strict=True)), "condition": condition, "reason": reason}
        times = {"observedat": self.now().isoformat(), "since": START.isoformat()}
        self.looks[key] = ComponentLook.model_validate({**about, **times, "slots": slots or (blue(),)})
        self._shown.show(self.looks)

    def looks_after_no_more(self, key: Key) -> None:
        del self.looks[key]
        self._shown.show(self.looks)

    def cannot_look_for(self, seconds: float) -> None:
        self.passed += seconds
        self._shown.show(self.looks)

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """Return the health's row of each component."""
        rows = self.health.document()["details"]["components"]["local"]
        return {row["component"]: row for row in rows}

    @property
    def warnings(self) -> dict[str, str]:
        return {each["part"]: each["says"] for each in self.health.document()["warnings"]}

    def gauge(self, name: str, key: Key, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(f"relman_component_{name}", {**dict(zip(NAMES, key, strict=True)), **labels})

    def condition(self, key: Key) -> list[str]:
        """The conditions that its gauge says it has."""
        return [each for each in SEVERITY if self.gauge("condition", key, condition=each) == 1]

    def instances(self, key: Key, slot: str) -> tuple[float | None, ...]:
        return tuple(self.gauge("instances", key, slot=slot, kind=kind) for kind in KINDS)


def blue(wanted: int = 2, running: int | None = 2, healthy: int | None = 2, slot: str = "blue") -> SeenSlot:
    return SeenSlot(slot=slot, condition="well", wanted=wanted, running=running, healthy=healthy)


@pytest.fixture
def executor() -> Iterator[Executor]:
    made = Executor()
    yield made
    for key in list(made.looks):
        made.looks_after_no_more(key)


def test_health_names_each_component_under_its_executors_name_with_its_age(executor: Executor) -> None:
    executor.sees(WEB)
    executor.sees(API, "down", reason="blue1 exited")
    executor.cannot_look_for(3)

    assert list(executor.health.details["components"]) == ["local"]
    assert executor.rows["staging/shop/main/web"] == {
        "component": "staging/shop/main/web",
        "condition": "well",
        "since": "2026-11-23T09:30:00.000000Z",
        "reason": None,
        "looked_at": "2026-11-23T09:30:00.000000Z",
        "age": 3.0,
    }
    assert executor.rows["staging/shop/main/api"]["condition"] == "down"


def test_a_component_that_is_not_well_is_a_warning_until_it_is(executor: Executor) -> None:
    executor.sees(WEB, "down", reason="blue1 exited")

    says = "staging/shop/main/web is down since 2026-11-23T09:30:00.000000Z: blue1 exited"
    assert executor.warnings == {"component staging/shop/main/web": says}
    executor.sees(WEB)
    assert executor.warnings == {}


def test_a_component_that_is_looked_after_no_more_is_no_longer_in_health_nor_in_metrics(executor: Executor) -> None:
    executor.sees(WEB, "down", blue(), blue(slot="green"))
    executor.sees(API)
    executor.looks_after_no_more(WEB)

    assert list(executor.rows) == ["staging/shop/main/api"]
    assert executor.warnings == {}
    assert executor.condition(API) == ["well"]
    assert [executor.gauge("condition", WEB, condition=each) for each in SEVERITY] == [None] * len(SEVERITY)
    assert executor.gauge("look_age_seconds", WEB) is None
    assert {executor.instances(WEB, slot) for slot in ("blue", "green")} == {(None, None, None)}


def test_the_gauges_say_the_condition_the_age_and_the_instances(executor: Executor) -> None:
    executor.sees(WEB, "degraded", blue(running=1, healthy=1))
    executor.passed = 4.0

    assert executor.condition(WEB) == ["degraded"]
    assert executor.gauge("look_age_seconds", WEB) == 4.0
    assert executor.instances(WEB, "blue") == (2, 1, 1)


def test_unknown_counts_have_no_sample(executor: Executor) -> None:
    executor.sees(WEB)
    executor.sees(WEB, "unknown", blue(running=None, healthy=None))

    assert executor.instances(WEB, "blue") == (2, None, None)


def test_a_slot_that_is_gone_has_no_samples(executor: Executor) -> None:
    executor.sees(WEB, "well", blue(), blue(slot="green"))
    executor.sees(WEB, "well", blue())

    assert executor.instances(WEB, "green") == (None, None, None)
    assert executor.instances(WEB, "blue") == (2, 2, 2)


def test_an_executor_that_cannot_look_any_more_does_not_go_on_saying_what_it_saw(executor: Executor) -> None:
    executor.sees(WEB)
    executor.cannot_look_for(FRESH_SECONDS)
    assert executor.condition(WEB) == ["well"]

    executor.cannot_look_for(1)

    row = executor.rows["staging/shop/main/web"]
    reason = "nobody has looked for 11 s; last seen well"
    assert (row["condition"], row["reason"], row["age"]) == ("unknown", reason, 11.0)
    assert executor.warnings["component staging/shop/main/web"].endswith(reason)
    assert executor.condition(WEB) == ["unknown"]
    assert executor.gauge("look_age_seconds", WEB) == 11.0
    assert executor.instances(WEB, "blue") == (None, None, None)
    executor.sees(WEB)
    assert (executor.condition(WEB), executor.warnings) == (["well"], {})


def test_two_executors_in_one_role_each_show_their_own_until_they_stop(executor: Executor) -> None:
    executor.sees(WEB)
    api = executor.looks[WEB].model_copy(update={"component": "api", "condition": "down", "reason": "it is gone"})
    watchers: dict[str, Any] = {
        "local": SimpleNamespace(shown=executor.looks),
        "command": SimpleNamespace(shown={API: api}),
    }

    async def both() -> dict[str, list[str]]:
        showing = [
            asyncio.create_task(show_components(watcher, name, executor, executor.health))
            for name, watcher in watchers.items()
        ]
        async with asyncio.timeout(5):
            while len(executor.health.details["components"]) < len(watchers):
                await asyncio.sleep(0.001)
        found = executor.health.details["components"]
        assert executor.condition(API) == ["down"]
        for each in showing:
            each.cancel()
        await asyncio.wait(showing)
        return {name: [row["component"] for row in rows] for name, rows in found.items()}

    assert asyncio.run(both()) == {"local": ["staging/shop/main/web"], "command": ["staging/shop/main/api"]}
    assert executor.health.details["components"] == {"local": [], "command": []}
    assert (executor.condition(API), executor.warnings) == ([], {})
