"""Shown conditions are recent observations, or unknown; and old observations never count as new."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from release_management.domain.condition import Observation, SeenSlot
from release_management.services.observations import shown
from release_management.services.observations.alarms import REFRESH_SECONDS, Alarms
from release_management.services.observations.looks import (
    FRESH_SECONDS,
    ComponentLook,
    Looks,
    NewestLooks,
    rounds,
)

START = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
WHERE = {"environment": "staging", "application": "shop", "target": "main", "component": "web"}


class Time:
    """A wall clock and a steady clock that the test sets, apart if it needs to."""

    def __init__(self) -> None:
        self.wall, self.steady = 0.0, 100.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.wall)

    def monotonic(self) -> float:
        return self.steady

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def stamp(self, ago: float = 0.0) -> str:
        return (self.now() - timedelta(seconds=ago)).isoformat()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def newest(time: Time) -> NewestLooks:
    return NewestLooks(time, time.monotonic)


def blue(condition: Any = "well", **fields: Any) -> SeenSlot:
    healthy = 1 if condition == "well" else 0
    given = {"slot": "blue", "version": "1.0.0", "wanted": 1, "running": 1, "healthy": healthy, "share": 100}
    return SeenSlot(condition=condition, **{**given, **fields})


def observation(time: Time, condition: Any = "well", *slots: SeenSlot, ago: float = 0.0, fence: int = 7) -> Observation:
    seen = {**WHERE, "condition": condition, "slots": slots or (blue(condition),), "fence": fence}
    return Observation.model_validate({**seen, "observedat": time.stamp(ago)})


def look(time: Time, condition: Any = "well", *slots: SeenSlot, ago: float = 0.0, fence: int = 7) -> ComponentLook:
    seen = observation(time, condition, *slots, ago=ago, fence=fence)
    return ComponentLook.model_validate({**dict(seen), "since": time.stamp(ago)})


def sent(newest: NewestLooks, time: Time, *looks: ComponentLook, instance: str = "a", number: int = 1) -> None:
    for part in rounds("local", instance, number, time.stamp(), looks, whole=True):
        newest.take(Looks.model_validate_json(part.model_dump_json()))


def row(slot: str = "blue", version: str = "1.0.0", **fields: Any) -> dict[str, Any]:
    recorded = {"recorded_condition": "well", "recorded_since": "s", "recorded_at": "09:00", "recorded_by": "local"}
    return {**WHERE, "slot": slot, "version": version, "replicas": 1, "fence": 7, "held_by": None, **recorded, **fields}


def component(newest: NewestLooks, *rows: dict[str, Any]) -> dict[str, Any]:
    [found] = shown.components(rows or (row(),), newest)
    return found


def test_a_recent_observation_is_shown_with_its_age(newest: NewestLooks, time: Time) -> None:
    sent(newest, time, look(time, "well", blue(share=40, restarts=2)))
    time.pass_by(3)

    [slot] = shown.slots([row()], newest)

    assert (slot["condition"], slot["running"], slot["healthy"], slot["restarts"]) == ("well", 1, 1, 2)
    assert (slot["observed"], slot["age"]) == (40, 3.0)
    assert component(newest)["condition"] == "well"


def test_a_component_without_a_recent_observation_is_unknown_and_shows_the_last_one(
    newest: NewestLooks, time: Time
) -> None:
    sent(newest, time, look(time))
    time.pass_by(45)

    found = component(newest)
    [slot] = shown.slots([row()], newest)

    assert (found["condition"], found["age"], found["running"]) == ("unknown", 45.0, None)
    assert found["reason"].startswith("nobody has looked for 45 s; last seen well at 2026-11-23T09:30:00")
    assert (slot["condition"], slot["observed"], slot["healthy"]) == ("unknown", None, None)


def test_without_any_observation_the_last_recorded_change_is_not_shown_as_present(newest: NewestLooks) -> None:
    found = component(newest)

    assert (found["condition"], found["age"]) == ("unknown", None)
    assert found["reason"] == "nobody looks; the last change that was seen: well at 09:00"
    never = component(newest, row(recorded_condition=None, recorded_by=None))
    assert never["reason"] == "nobody has looked yet"


def test_an_executor_that_was_stopped_between_look_and_message_reports_nothing_as_new(
    newest: NewestLooks, time: Time
) -> None:
    sent(newest, time, look(time, "well", ago=60.0))

    assert component(newest)["condition"] == "unknown"
    assert component(newest)["age"] == 60.0


def test_a_look_grows_old_though_the_executors_clock_is_ahead(newest: NewestLooks, time: Time) -> None:
    sent(newest, time, look(time, "well", ago=-3600.0))
    assert component(newest)["condition"] == "well"

    time.pass_by(FRESH_SECONDS + 1)

    assert component(newest)["condition"] == "unknown"


def test_an_older_look_of_another_executor_does_not_overwrite_a_newer_one(newest: NewestLooks, time: Time) -> None:
    time.pass_by(10)
    sent(newest, time, look(time, "down"), instance="b")
    sent(newest, time, look(time, "well", ago=5.0), instance="a", number=99)

    assert component(newest)["condition"] == "down"


def test_of_two_executors_that_share_their_orders_the_one_that_took_the_newest_step_is_believed(
    newest: NewestLooks, time: Time
) -> None:
    for number in range(1, 4):
        sent(newest, time, look(time, "well", fence=7), instance="b", number=number)
        time.pass_by(0.5)
        sent(newest, time, look(time, "down", fence=3), instance="a", number=number)
        time.pass_by(0.5)
        assert component(newest)["condition"] == "well"


def test_a_component_of_one_of_two_executors_is_unknown_and_not_down_when_that_one_is_gone(
    newest: NewestLooks, time: Time
) -> None:
    conditions = []
    for number in range(1, 15):
        sent(newest, time, instance="a", number=number)
        if number < 3:
            sent(newest, time, look(time), instance="b", number=number)
        conditions.append(component(newest)["condition"])
        time.pass_by(1)

    assert conditions == ["well"] * 12 + ["unknown"] * 2


def test_a_component_that_a_replaced_executor_lacks_is_down(newest: NewestLooks, time: Time) -> None:
    sent(newest, time, look(time), instance="a")
    time.pass_by(FRESH_SECONDS + 1)
    sent(newest, time, instance="b")

    assert component(newest)["condition"] == "down"


def test_looks_of_one_executor_go_on_after_its_clock_was_set_back(newest: NewestLooks, time: Time) -> None:
    sent(newest, time, look(time, "well"), number=1)
    time.wall -= 3600
    time.steady += 1
    sent(newest, time, look(time, "down"), number=2)

    assert component(newest)["condition"] == "down"


def test_an_executor_that_replaces_another_is_believed_though_its_clock_is_behind(
    newest: NewestLooks, time: Time
) -> None:
    sent(newest, time, look(time, "well", ago=-3600.0), instance="a", number=99)
    time.pass_by(1)
    sent(newest, time, look(time, "down"), instance="b")
    assert component(newest)["condition"] == "well"

    time.pass_by(FRESH_SECONDS)
    sent(newest, time, look(time, "down"), instance="b", number=2)

    assert component(newest)["condition"] == "down"
    sent(newest, time, instance="b", number=3)
    time.pass_by(FRESH_SECONDS + 1)
    sent(newest, time, instance="b", number=4)
    assert component(newest)["reason"].startswith("the executor local has nothing of this name")


def test_an_executor_that_is_gone_leaves_what_it_looked_after_unknown_after_ten_seconds(
    newest: NewestLooks, time: Time
) -> None:
    sent(newest, time, look(time))
    seen = []
    for _ in range(12):
        time.pass_by(1)
        seen.append(component(newest)["condition"])

    assert seen == ["well"] * 10 + ["unknown"] * 2


def test_a_look_that_failed_says_why_though_it_knows_of_no_step(newest: NewestLooks, time: Time) -> None:
    failed = look(time, "unknown", fence=0).model_copy(update={"slots": (), "reason": "the state cannot be read"})
    sent(newest, time, failed)

    found = component(newest)

    assert (found["condition"], found["reason"], found["running"]) == ("unknown", "the state cannot be read", None)
    [slot] = shown.slots([row()], newest)
    assert (slot["condition"], slot["reason"], slot["running"]) == ("unknown", "the state cannot be read", None)


def test_after_a_restore_older_than_the_last_recorded_change_what_is_seen_now_counts(
    newest: NewestLooks, time: Time
) -> None:
    sent(newest, time, look(time, "down", fence=9))

    assert component(newest, row(fence=3, recorded_at="08:00"))["condition"] == "down"


def test_a_look_from_before_the_newest_step_says_nothing_about_now(newest: NewestLooks, time: Time) -> None:
    sent(newest, time, look(time, "well", fence=6))

    assert component(newest)["condition"] == "unknown"
    assert "since the newest step" in component(newest)["reason"]


def test_a_component_that_its_executor_no_longer_has_is_down(newest: NewestLooks, time: Time) -> None:
    sent(newest, time)

    found = component(newest)

    assert (found["condition"], found["running"]) == ("down", 0)
    assert "the executor local has nothing of this name to look after" in found["reason"]
    time.pass_by(FRESH_SECONDS + 1)
    assert component(newest)["condition"] == "unknown"


def test_another_version_than_the_recorded_one_is_drift_unless_a_deployment_is_at_work(
    newest: NewestLooks, time: Time
) -> None:
    sent(newest, time, look(time, "well", blue(version="2.0.0")))

    assert component(newest)["condition"] == "drifted"
    assert component(newest)["reason"] == "blue runs 2.0.0 and 1.0.0 is recorded"
    [slot] = shown.slots([row()], newest)
    assert slot["condition"] == "drifted"
    assert component(newest, row(held_by="d-1"))["condition"] == "well"


def test_many_components_come_in_parts_and_count_when_they_are_complete(newest: NewestLooks, time: Time) -> None:
    looks = [look(time).model_copy(update={"component": f"web-{number}"}) for number in range(450)]
    parts = list(rounds("local", "a", 1, time.stamp(), looks, whole=True))
    assert [part.last for part in parts] == [False, False, True]
    for part in parts[:2]:
        newest.take(part)
    assert newest.missed(("staging", "shop", "main", "other"), "local") is None

    newest.take(parts[2])

    assert newest.missed(("staging", "shop", "main", "other"), "local") == 0.0
    assert newest.missed(looks[0].key, "local") is None


# Alarms


def test_a_condition_is_news_once_and_again_after_a_newer_order_or_a_long_time(time: Time) -> None:
    alarms = Alarms(time.monotonic)
    first = alarms.take(observation(time))
    assert alarms.news(first)
    alarms.was_reported(first)

    assert not alarms.news(alarms.take(observation(time)))
    assert alarms.news(alarms.take(observation(time, fence=8)))
    time.pass_by(REFRESH_SECONDS)
    assert alarms.news(alarms.take(observation(time)))


def test_a_condition_that_the_bus_did_not_take_stays_news(time: Time) -> None:
    alarms = Alarms(time.monotonic)
    alarms.was_reported(alarms.take(observation(time)))

    assert alarms.news(alarms.take(observation(time, "down")))
    assert alarms.news(alarms.take(observation(time, "down")))


def test_a_better_look_is_held_back_and_says_for_how_long(time: Time) -> None:
    alarms = Alarms(time.monotonic)
    alarms.take(observation(time))
    alarms.take(observation(time, "down", blue("down", reason="blue1 exited")))
    time.pass_by(1)
    alarms.take(observation(time))
    time.pass_by(1)

    held = alarms.take(observation(time))

    assert (held.condition, held.slots[0].condition, held.slots[0].healthy) == ("down", "down", 1)
    assert held.slots[0].reason == "blue1 exited; seen well for 1 s, and must be for 5 s"


def test_another_version_is_not_held_for_what_the_one_before_did(time: Time) -> None:
    alarms = Alarms(time.monotonic)
    for condition in ("well", "down", "well", "down"):
        alarms.take(observation(time, condition))
        time.pass_by(30)

    assert alarms.take(observation(time, "well", blue(version="1.0.1"))).condition == "well"


def test_a_degraded_component_is_well_again_and_reported_once_all_its_instances_stay_healthy(time: Time) -> None:
    alarms = Alarms(time.monotonic)
    ill = blue("degraded", wanted=2, running=1, healthy=1)
    healthy = blue(wanted=2, running=2, healthy=2, restarts=1)
    alarms.take(observation(time, "well", healthy))
    alarms.was_reported(alarms.take(observation(time, "degraded", ill)))
    seen = []
    for _ in range(8):
        time.pass_by(1)
        found = alarms.take(observation(time, "well", healthy))
        seen.append((found.condition, found.slots[0].condition, alarms.news(found)))

    assert seen == [("degraded", "degraded", False)] * 5 + [("well", "well", True)] * 3


def test_a_version_that_was_well_and_is_started_anew_is_well_as_soon_as_it_is_there(time: Time) -> None:
    """An executor that stood still saw the version well before it went, and sees it next while it starts again."""
    alarms = Alarms(time.monotonic)
    alarms.take(observation(time))
    time.pass_by(1)
    starting = blue("down", running=0, reason="0 of 1 instances of blue are there")
    assert alarms.take(observation(time, "down", starting), settles=True).condition == "down"
    time.pass_by(1)

    found = alarms.take(observation(time))
    assert (found.condition, found.slots[0].condition, found.reason) == ("well", "well", None)


def test_starting_does_not_end_the_time_that_a_flapping_component_must_be_well(time: Time) -> None:
    alarms = Alarms(time.monotonic)
    alarms.take(observation(time))
    alarms.take(observation(time, "down", blue("down", reason="blue1 exited")))
    time.pass_by(1)

    green = SeenSlot(slot="green", version="1.0.1", condition="down", wanted=1, running=0, healthy=0, share=0)
    beside = alarms.take(observation(time, "degraded", blue(), green), settles=True)
    assert {slot.slot: slot.condition for slot in beside.slots} == {"blue": "down", "green": "down"}
