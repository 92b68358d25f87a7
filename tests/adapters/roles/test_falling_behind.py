"""A role that falls behind reports it before it stops."""

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY

from release_management.adapters.event_store import GapError
from release_management.projections.kit.status import ProjectionStatus
from release_management.runtime.roles import gateway, projector, relay
from release_management.runtime.roles.kit import store
from release_management.runtime.roles.kit.health import Health
from release_management.services.gateway import append_timer
from release_management.services.gateway.append_timer import AppendTimer
from release_management.services.gateway.gateway import WAITING
from release_management.services.ports import EventLog
from tests.adapters.nats.fakes import FakeLog

Warnings = dict[str, str]


def warnings(health: Health) -> Warnings:
    document = health.document()
    assert document["troubles"] == []
    return {each["part"]: each["says"] for each in document["warnings"]}


def gauge(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def log_of(count: int) -> EventLog:
    log = FakeLog()
    cast(Any, log).last_position = lambda: count
    return log


def look_at_gateway(health: Health, waiting: int) -> None:
    asked: Any = SimpleNamespace(
        waiting=waiting,
        trouble=None,
        older=None,
        appends=AppendTimer(),
        pressure={},
        reports_trouble=None,
        letters_warning=None,
    )
    gateway.look_at(asked, asked, health)


def look_at_projector(health: Health, behind: int, parked: int = 0) -> None:
    statuses = ProjectionStatus("releases", 1, 100, parked, min(parked, 1), None)
    reading: Any = SimpleNamespace(statuses=lambda: [statuses], projector=SimpleNamespace(trouble=None))
    projector._look(reading, log_of(100 + behind), health)


def look_at_relay(health: Health, behind: int) -> None:
    async def look() -> None:
        publishing: Any = SimpleNamespace(position=100, trouble=None)
        watching = asyncio.ensure_future(relay._watch(publishing, log_of(100 + behind), health))
        async with asyncio.timeout(5):
            while health.details.get("behind") != behind:
                await asyncio.sleep(0.001)
        watching.cancel()

    asyncio.run(look())


@pytest.mark.parametrize(
    ("look", "much", "part", "says"),
    [
        (look_at_gateway, WAITING // 2, "queue", "2,049 of 4,096 commands wait; at the end callers are told busy"),
        (look_at_projector, projector.FAR_BEHIND, "projection releases", "it is 1,001 records behind the log"),
        (look_at_relay, relay.FAR_BEHIND, "lag", "10,001 records are not published yet"),
    ],
)
def test_a_role_that_is_far_behind_warns_until_it_has_caught_up(
    look: Callable[[Health, int], None], much: int, part: str, says: str
) -> None:
    health = Health("test")
    health.set_status("active")
    look(health, much)
    assert warnings(health) == {}
    look(health, much + 1)
    assert warnings(health) == {part: says}
    assert gauge("relman_trouble", role="test", part=part, kind="warning") == 1
    look(health, 0)
    assert warnings(health) == {}
    assert gauge("relman_trouble", role="test", part=part, kind="warning") == 0


def test_parked_events_are_reported_rather_than_the_lag() -> None:
    health = Health("test")
    look_at_projector(health, projector.FAR_BEHIND + 1, parked=3)
    assert warnings(health)["projection releases"].startswith("3 events are set aside; see: ")


def test_a_relay_whose_bus_is_away_falls_behind_for_all_to_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "LOOK_SECONDS", 0.001)
    health = Health("relay")
    publishing: Any = SimpleNamespace(position=3, trouble=None)
    log = FakeLog(3)

    async def watch() -> None:
        watching = asyncio.ensure_future(relay._watch(publishing, log, health))
        async with asyncio.timeout(5):
            while health.details.get("position") != 3:
                await asyncio.sleep(0.001)
            publishing.position, publishing.trouble = None, "the bus does not answer"
            log.grow(*FakeLog(5).records[3:])
            while health.details["behind"] != 2:
                await asyncio.sleep(0.001)
        watching.cancel()

    asyncio.run(watch())
    assert (gauge("relman_log_position"), gauge("relman_relay_position")) == (5, 3)
    assert [each["part"] for each in health.document()["troubles"]] == ["events"]


def test_a_log_that_was_damaged_ends_nobody_who_can_go_on_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LOOK_SECONDS", 0.001)
    health = Health("road")
    log = FakeLog(3)

    def damaged() -> int:
        raise GapError("position 3", 3, None)

    async def watch() -> None:
        watching = asyncio.ensure_future(store.watch_store(log, health))
        async with asyncio.timeout(5):
            for last_position, said in ((damaged, 1), (lambda: 3, 0)):
                cast(Any, log).last_position = last_position
                while len(health.document()["troubles"]) != said:
                    await asyncio.sleep(0.001)
        assert not watching.done()
        watching.cancel()

    asyncio.run(watch())


def test_an_append_that_takes_long_is_said_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(append_timer, "SLOW_SECONDS", 0.05)
    monkeypatch.setattr(append_timer, "WARNING_SECONDS", 0.2)

    timed = AppendTimer()
    count = gauge("relman_append_seconds_count") or 0.0
    said = [timed.warning]
    with timed.timed():
        time.sleep(0.06)
        said.append(timed.warning)
    said.append(timed.warning)
    time.sleep(0.2)
    said.append(timed.warning)

    before, during, after, later = said
    assert before is None
    assert during is not None
    assert during.startswith("an append has not come back for 0.")
    assert after is not None
    assert after.startswith("an append took 0.")
    assert later is None
    assert gauge("relman_append_seconds_count") == count + 1
