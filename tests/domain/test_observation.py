"""An executor's observation becomes a fact if the component's condition changed, and only then."""

from typing import Any

from release_management.domain.condition import SeenSlot
from release_management.domain.observation import ReportCondition
from release_management.domain.place import PLACE, Place
from release_management.domain.place_decisions import PlaceFacts, decide
from release_management.domain.place_events import (
    PlaceConditionChanged,
    PlaceEvent,
    PlaceLocked,
    PlacePromoted,
    PlaceSlotProvisioned,
)
from tests.domain.build import DEPLOYMENT, component
from tests.domain.specification import Specification


def at(second: int) -> str:
    return f"2026-11-23T09:30:{second:02}.000000Z"


def provisioned(slot: str = "blue", version: str = "1.0.0", fence: int = 10) -> PlaceSlotProvisioned:
    return PlaceSlotProvisioned(
        deployment=DEPLOYMENT,
        component="api",
        slot=slot,
        content=component("api", version),
        replicas=1,
        fence=fence,
    )


STANDS: tuple[PlaceEvent, ...] = (
    provisioned(),
    PlacePromoted(deployment=DEPLOYMENT, component="api", slot="blue"),
)


PLACES = Specification(PLACE, decide, PlaceFacts("2026-11-23T09:31:00.000000Z"))


def place(*facts: PlaceEvent) -> Place:
    return PLACES.given(*facts).state


def changes(state: Place, report: ReportCondition) -> list[PlaceConditionChanged]:
    """What an executor's report changes of a place's condition, which is all that it can change."""
    facts = PLACES.given_state(state).when(report).facts
    conditions = [fact for fact in facts if isinstance(fact, PlaceConditionChanged)]
    assert conditions == facts
    return conditions


def blue(condition: Any = "well", version: str = "1.0.0", **fields: Any) -> SeenSlot:
    healthy = 1 if condition == "well" else 0
    given = {"slot": "blue", "version": version, "wanted": 1, "running": 1, "healthy": healthy, **fields}
    return SeenSlot(condition=condition, **given)


def report(condition: Any = "well", *slots: SeenSlot, second: int = 1, fence: int = 10, **fields: Any) -> Any:
    return ReportCondition(
        environment="production",
        application="shop",
        target="main",
        component="api",
        condition=condition,
        slots=slots or (blue(condition),),
        fence=fence,
        by="local",
        observedat=at(second),
        **fields,
    )


def test_a_first_look_is_recorded_with_the_role_of_each_slot() -> None:
    (changed,) = changes(place(*STANDS), report())

    assert changed.condition == "well"
    assert [(slot.slot, slot.role, slot.version, slot.condition) for slot in changed.slots] == [
        ("blue", "stable", "1.0.0", "well")
    ]
    assert (changed.by, changed.fence, changed.observedat) == ("local", 10, at(1))


def test_a_condition_that_goes_on_is_not_recorded_again() -> None:
    first = report("down", reason="it is gone")
    state = place(*STANDS, *changes(place(*STANDS), first))

    assert changes(state, report("down", second=9, reason="restarted 7 times in 60 s")) == []


def test_a_slot_that_changes_is_recorded_though_the_component_is_in_the_same_condition() -> None:
    slots = (blue(), SeenSlot(slot="green", version="2.0.0", condition="degraded", wanted=1, running=1, healthy=0))
    locked = (*STANDS, PlaceLocked(deployment=DEPLOYMENT))
    state = place(*locked, *changes(place(*locked), report("degraded", *slots)))
    worse = slots[1].model_copy(update={"condition": "down", "running": 0})

    (changed,) = changes(state, report("degraded", slots[0], worse, second=2))

    assert [(slot.role, slot.condition) for slot in changed.slots] == [("stable", "well"), ("candidate", "down")]


def test_a_look_from_before_the_newest_step_counts_for_nothing() -> None:
    assert changes(place(*STANDS, provisioned("green", "2.0.0", fence=20)), report("down", fence=19)) == []


def test_an_impossible_observation_is_recorded_though_it_saw_no_step() -> None:
    failed = report("unknown", fence=0, reason="state.json cannot be read").model_copy(update={"slots": ()})

    (changed,) = changes(place(*STANDS), failed)

    assert (changed.condition, changed.reason, changed.slots) == ("unknown", "state.json cannot be read", ())
    assert changes(place(*STANDS), report("unknown", fence=0)) == []


def test_old_news_of_a_paused_executor_count_for_nothing() -> None:
    state = place(*STANDS, *changes(place(*STANDS), report("well", second=30)))

    assert changes(state, report("down", second=29)) == []
    assert changes(state, report("down", second=30)) == []
    assert changes(state, report("down", second=31)) != []


def test_a_component_that_was_never_deployed_here_is_nobodys() -> None:
    assert changes(Place(), report()) == []


def test_another_version_than_the_recorded_one_is_drift() -> None:
    (changed,) = changes(place(*STANDS), report("well", blue(version="0.9.0")))

    assert (changed.condition, changed.reason) == ("drifted", "blue runs 0.9.0 and 1.0.0 is recorded")


def test_an_empty_slot_that_should_run_something_is_down() -> None:
    empty = blue(wanted=0, running=0, healthy=0)

    (changed,) = changes(place(*STANDS), report("well", empty))

    assert (changed.condition, changed.reason) == ("down", "blue should run 1.0.0 and holds nothing")


def test_while_a_deployment_changes_the_place_what_runs_is_not_compared_with_the_record() -> None:
    state = place(*STANDS, PlaceLocked(deployment=DEPLOYMENT))

    (changed,) = changes(state, report("well", blue(version="2.0.0")))

    assert changed.condition == "well"


def test_the_place_remembers_what_was_seen_last() -> None:
    (changed,) = changes(place(*STANDS), report("down", reason="gone"))

    assert isinstance(changed, PlaceConditionChanged)
    seen = place(*STANDS, changed).components["api"].seen
    assert seen is not None
    assert (seen.condition, seen.reason, seen.slots[0].condition, seen.fence) == ("down", "gone", "down", 10)
