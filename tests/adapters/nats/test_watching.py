"""The looks of an executor go out as they are made, and what changed is reported once."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from nats.js.errors import NoStreamResponseError

from release_management.adapters.executors.base.look import Look
from release_management.adapters.nats import watching
from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.watching import Watcher
from release_management.domain.condition import Condition, Observation
from release_management.domain.orders import Order
from release_management.services.observations.looks import Looks
from tests.adapters.nats.fakes import order

START = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


class Bus:
    """Collects messages. `takes`: reports can be stored; `is_there`: observations can be published."""

    def __init__(self) -> None:
        self.looks: list[Looks] = []
        self.reports: list[dict[str, Any]] = []
        self.tried = 0
        self.takes = True
        self.is_there = True

    async def publish(self, subject: str, payload: bytes) -> None:
        if not self.is_there:
            raise TimeoutError
        assert subject == "relman.looks.local"
        self.looks.append(Looks.model_validate_json(payload))

    def jetstream(self) -> "Stream":
        return Stream(self)

    @property
    def conditions(self) -> list[tuple[str, str]]:
        """The components that were reported, each with its condition."""
        return [(each["data"]["component"], each["data"]["condition"]) for each in self.reports]


class Stream:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.seq = 1

    async def publish(self, subject: str, payload: bytes, **_: Any) -> "Stream":
        self._bus.tried += 1
        if not self._bus.takes:
            raise NoStreamResponseError
        assert subject == "relman.reports.local"
        self._bus.reports.append(json.loads(payload))
        return self


class Executor:
    """An executor whose observations, or errors, the test sets, once each."""

    def __init__(self) -> None:
        self.sees: dict[str, Condition] = {"web": "well"}
        self.settles = False
        self.rounds = 0
        self.instead: list[Exception | asyncio.Event] = []

    def now(self) -> datetime:
        return START + timedelta(seconds=self.rounds)

    async def look(self, order: Order | None = None) -> Sequence[Look]:
        self.rounds += 1
        seen = [self._seen(name, condition) for name, condition in self.sees.items()]
        looks = [Look(each, self.settles) for each in seen if order is None or each.component == order.component]
        step = self.instead.pop(0) if self.instead else None
        if isinstance(step, Exception):
            raise step
        if step is not None:
            await step.wait()
        return looks

    def _seen(self, component: str, condition: Condition) -> Observation:
        about = {"environment": "staging", "application": "shop", "target": "main", "component": component}
        seen = {**about, "condition": condition, "fence": 7, "observedat": self.now().isoformat()}
        return Observation.model_validate(seen)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.001)
    return iter([None])


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def executor() -> Executor:
    return Executor()


@pytest.fixture
def watcher(bus: Bus, executor: Executor) -> Watcher:
    return Watcher(cast(NatsConnection, bus), "local", executor, executor)


async def look_for(watcher: Watcher, executor: Executor, rounds: int) -> None:
    """Let it look so many more times."""
    until = executor.rounds + rounds
    running = asyncio.create_task(watcher.run())
    async with asyncio.timeout(30):
        while executor.rounds <= until:
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])


def shown(watcher: Watcher) -> dict[str, str]:
    return {key[-1]: look.condition for key, look in watcher.shown.items()}


async def test_every_look_is_published_and_a_condition_is_reported_once(
    watcher: Watcher, executor: Executor, bus: Bus
) -> None:
    await look_for(watcher, executor, 10)
    executor.sees["web"] = "down"
    await look_for(watcher, executor, 10)

    assert len(bus.looks) >= 20
    assert [look.round for look in bus.looks] == list(range(1, len(bus.looks) + 1))
    assert len({look.instance for look in bus.looks}) == 1
    assert all(look.last and len(look.components) == 1 for look in bus.looks)
    assert bus.conditions == [("web", "well"), ("web", "down")]
    assert shown(watcher) == {"web": "down"}


async def test_a_report_says_who_looked_when_and_what_was_seen(watcher: Watcher, executor: Executor, bus: Bus) -> None:
    await look_for(watcher, executor, 1)

    [report] = bus.reports
    assert (report["type"], report["source"]) == ("place.report_condition", "executor:local")
    assert report["data"] == {
        "environment": "staging",
        "application": "shop",
        "target": "main",
        "component": "web",
        "condition": "well",
        "slots": [],
        "fence": 7,
        "observedat": "2026-11-23T09:30:01.000000Z",
        "by": "local",
    }


async def test_a_look_that_the_bus_does_not_carry_is_forgotten_and_the_next_one_goes_out(
    watcher: Watcher, executor: Executor, bus: Bus
) -> None:
    bus.is_there = False
    await look_for(watcher, executor, 3)
    assert bus.looks == []
    bus.is_there = True

    await look_for(watcher, executor, 1)

    assert bus.looks[0].round > 3


async def test_a_report_that_the_bus_does_not_take_is_made_anew_from_the_next_look(
    watcher: Watcher, executor: Executor, bus: Bus
) -> None:
    bus.takes = False
    await look_for(watcher, executor, 3)
    executor.sees["web"] = "down"
    await look_for(watcher, executor, 3)
    assert bus.tried >= 6
    bus.takes = True

    await look_for(watcher, executor, 5)

    assert bus.conditions == [("web", "down")]


async def test_a_bus_that_takes_no_report_does_not_keep_the_executor_from_looking(
    watcher: Watcher, executor: Executor, bus: Bus
) -> None:
    executor.sees = {f"web-{number}": "well" for number in range(100)}
    bus.takes = False

    await look_for(watcher, executor, 5)

    assert bus.tried <= len(bus.looks)
    bus.takes = True
    await look_for(watcher, executor, 2)
    assert len(bus.reports) == 100


async def test_an_older_look_is_not_shown_after_the_look_that_follows_an_order(
    watcher: Watcher, executor: Executor, bus: Bus
) -> None:
    slow = asyncio.Event()
    executor.instead = [slow]
    running = asyncio.create_task(watcher.run())
    while executor.instead:
        await asyncio.sleep(0)
    executor.sees["web"] = "down"
    await watcher.look_at(order())
    assert shown(watcher) == {"web": "down"}
    published = len(bus.looks)

    slow.set()
    async with asyncio.timeout(30):
        while executor.rounds < 3:
            assert shown(watcher) == {"web": "down"}
            await asyncio.sleep(0)
    running.cancel()

    assert {each.condition for look in bus.looks[published:] for each in look.components} == {"down"}
    assert bus.conditions == [("web", "down")]


async def test_a_look_after_an_order_is_about_its_component_alone(
    watcher: Watcher, executor: Executor, bus: Bus
) -> None:
    executor.sees["api"] = "well"
    await look_for(watcher, executor, 1)
    published = len(bus.looks)
    executor.sees = {"web": "down", "api": "down"}

    await watcher.look_at(order())

    [look] = bus.looks[published:]
    assert ([each.component for each in look.components], look.last) == (["web"], False)
    assert shown(watcher) == {"web": "down", "api": "well"}


async def test_an_executor_whose_look_raises_looks_again(watcher: Watcher, executor: Executor, bus: Bus) -> None:
    executor.instead = [OSError("no more files"), ValueError("what is this?")]

    await look_for(watcher, executor, 5)

    assert executor.instead == []
    assert bus.conditions == [("web", "well")]


async def test_an_order_is_reported_though_the_look_after_it_raises(watcher: Watcher, executor: Executor) -> None:
    executor.instead = [OSError("no more files")]

    await watcher.look_at(order())

    assert executor.instead == []


async def test_an_orders_report_waits_for_a_look_only_so_long(
    watcher: Watcher, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_PATIENCE", 0.01)
    executor.instead = [asyncio.Event()]

    async with asyncio.timeout(30):
        await watcher.look_at(order())


async def test_a_component_that_is_gone_is_not_shown_and_the_round_says_so(
    watcher: Watcher, executor: Executor, bus: Bus
) -> None:
    await look_for(watcher, executor, 1)
    executor.sees = {}

    await look_for(watcher, executor, 1)

    assert watcher.shown == {}
    assert (bus.looks[-1].components, bus.looks[-1].last) == ((), True)


async def test_a_starting_component_is_shown_and_not_yet_reported(
    watcher: Watcher, executor: Executor, bus: Bus
) -> None:
    executor.sees["web"], executor.settles = "down", True
    await look_for(watcher, executor, 3)
    assert (shown(watcher), bus.reports) == ({"web": "down"}, [])
    executor.settles = False

    await look_for(watcher, executor, 3)

    assert bus.conditions == [("web", "down")]


async def test_two_processes_of_one_executor_have_names_of_their_own(bus: Bus, executor: Executor) -> None:
    for _ in range(2):
        await look_for(Watcher(cast(NatsConnection, bus), "local", executor, executor), executor, 1)

    assert len({look.instance for look in bus.looks}) == 2
    assert len({each["id"] for each in bus.reports}) == len(bus.reports) == 2
