"""The slot of each role, above all after a deployment that did not end cleanly.

Before the deployment 1.0.0 was stable in blue; it brought 1.1.0 to green.
"""

import pytest
from pydantic import JsonValue

from release_management.domain.deployment.commands import Promote
from release_management.domain.deployment.events import DeploymentFastForwarded
from release_management.domain.environment import Target
from release_management.domain.place import Place, evolve
from release_management.domain.place_component import ComponentStatus
from release_management.domain.place_events import (
    PlaceEvent,
    PlacePromoted,
    PlaceSlotProvisioned,
    PlaceSlotRetired,
    PlaceTrafficIntended,
    PlaceTrafficObserved,
)
from release_management.domain.plan import Plan
from release_management.domain.plan.planning import Draft, draft
from release_management.domain.plan.slots import (
    SlotAssignment,
    assign_slots,
    is_clean,
)
from release_management.domain.plan.steps.route import Route
from release_management.domain.plan.strategies import StrategyName
from tests.domain.build import (
    DEPLOYMENT,
    NOW,
    OTHER,
    component,
    environment,
    on,
    release,
    started,
)

BLUE_GREEN = ("blue", "green")
QUICK: dict[str, JsonValue] = {"scale_down_delay": 0, "abort_scale_down_delay": 0}


def provisioned(slot: str, version: str, replicas: int = 4) -> PlaceEvent:
    content = component("api", version)
    return PlaceSlotProvisioned(deployment=DEPLOYMENT, component="api", slot=slot, content=content, replicas=replicas)


def wanted(**weights: int) -> PlaceEvent:
    return PlaceTrafficIntended(deployment=DEPLOYMENT, component="api", weights=weights)


def stated(**weights: int) -> PlaceEvent:
    return PlaceTrafficObserved(deployment=DEPLOYMENT, component="api", weights=weights, observedat=NOW)


def promoted(slot: str) -> PlaceEvent:
    return PlacePromoted(deployment=DEPLOYMENT, component="api", slot=slot)


def retired(slot: str) -> PlaceEvent:
    return PlaceSlotRetired(deployment=DEPLOYMENT, component="api", slot=slot)


STABLE = (provisioned("blue", "1.0.0"), wanted(blue=100), promoted("blue"))
HALF_WAY = (*STABLE, provisioned("green", "1.1.0"), wanted(blue=50, green=50), stated(blue=50, green=50))
SWITCHED = (*STABLE, provisioned("green", "1.1.0"), wanted(blue=0, green=100), promoted("green"))
STOPPED = (*STABLE, wanted(blue=0, green=0), retired("blue"), provisioned("green", "1.1.0"))
BACK = wanted(blue=100, green=0)


def place(*facts: PlaceEvent, lock: str | None = None) -> Place:
    state = Place(lock=lock)
    for fact in facts:
        state = evolve(state, fact)
    return state


def status_after(*facts: PlaceEvent) -> ComponentStatus:
    return place(*facts).components["api"]


def seated(*facts: PlaceEvent, slots: tuple[str, ...] = BLUE_GREEN, reversible: bool = True) -> SlotAssignment:
    return assign_slots(status_after(*facts), slots, held=False, reversible=reversible)


def drafted(
    *facts: PlaceEvent, version: str = "2.0.0", strategy: StrategyName = "blue-green", target: Target | None = None
) -> Draft:
    target = target or Target(components={"api": {"replicas": 4}})
    options = {} if strategy == "recreate" else QUICK
    return draft(release(version), environment(target), {"main": place(*facts)}, strategy, options)


def step_texts(plan: Plan, leg: str = "forward") -> list[str]:
    return [step.describe().replace(" of api on main", "").replace("api on main", "api") for step in plan.steps(leg)]


# What is known of the traffic


@pytest.mark.parametrize(
    ("facts", "certain", "reach"),
    [
        (STABLE, True, {"blue": 100}),
        (HALF_WAY, True, {"blue": 50, "green": 50}),
        ((*HALF_WAY, BACK), False, {"blue": 100, "green": 50}),
        ((*HALF_WAY, wanted(blue=25, green=75), BACK), False, {"blue": 100, "green": 75}),
        ((*HALF_WAY, BACK, stated(blue=100, green=0)), True, {"blue": 100, "green": 0}),
        ((*HALF_WAY, BACK, retired("green")), True, {"blue": 100}),
        ((*STABLE, wanted(blue=100, green=0)), True, {"blue": 100}),
    ],
    ids=["promoted", "stated", "in doubt", "twice in doubt", "stated again", "retired", "wanted as it was"],
)
def test_each_slot_has_at_most_what_was_wanted_for_it_since_traffic_was_last_known(
    facts: tuple[PlaceEvent, ...], certain: bool, reach: dict[str, int]
) -> None:
    known = status_after(*facts)

    assert (known.certain, dict(known.reach)) == (certain, reach)


def test_a_stable_version_with_all_traffic_that_runs_alone_leaves_nothing_to_repair() -> None:
    assert is_clean(ComponentStatus(), BLUE_GREEN)
    assert is_clean(status_after(*STABLE), BLUE_GREEN)
    assert is_clean(status_after(*SWITCHED, retired("blue")), BLUE_GREEN)
    assert is_clean(status_after(*HALF_WAY, BACK, retired("green")), BLUE_GREEN)
    assert is_clean(status_after(provisioned("blue", "1.0.0"), promoted("blue")), BLUE_GREEN)


@pytest.mark.parametrize(
    "facts",
    [
        HALF_WAY,
        (*HALF_WAY, BACK),
        (*SWITCHED, BACK),
        (*SWITCHED, stated(green=100)),
        (*STABLE, wanted(blue=0, green=0), stated(blue=0, green=0)),
        (provisioned("blue", "1.0.0"),),
    ],
    ids=["split", "uncertain", "uncertain after the switch", "the old one runs on", "no traffic", "nothing is stable"],
)
def test_anything_else_is_not(facts: tuple[PlaceEvent, ...]) -> None:
    assert not is_clean(status_after(*facts), BLUE_GREEN)


# Which slots


@pytest.mark.parametrize(
    ("facts", "stable", "candidate"),
    [
        ((*HALF_WAY, BACK), "blue", "green"),
        ((*HALF_WAY, wanted(blue=0, green=100)), "blue", "green"),
        ((*SWITCHED, BACK), "blue", "green"),
        ((*SWITCHED, stated(green=100)), "green", "blue"),
        ((*STOPPED, wanted(blue=0, green=100), wanted(blue=0, green=0)), None, "blue"),
        ((*STOPPED, wanted(blue=0, green=0), retired("green"), provisioned("blue", "1.0.0"), BACK), "blue", "green"),
        ((provisioned("blue", "1.0.0"), wanted(blue=100), wanted(blue=0)), None, "green"),
        ((*SWITCHED, stated(green=100), provisioned("blue", "2.0.0"), wanted(blue=100, green=0)), "green", "blue"),
    ],
    ids=[
        "the way back did not move the traffic",
        "the way back failed before that",
        "the way back failed after the switch",
        "the old version could not be stopped",
        "the old version is stopped, nothing is stable",
        "the old version runs again and is to have the traffic",
        "a first deployment could not be undone",
        "another version took the slot of the one before, and was to have the traffic",
    ],
)
def test_stable_is_what_the_way_back_wanted_and_the_candidate_keeps_away_from_it(
    facts: tuple[PlaceEvent, ...], stable: str | None, candidate: str
) -> None:
    found = seated(*facts)

    assert (found.stable, found.candidate, found.unsettled) == (stable, candidate, True)


def test_a_leftover_version_is_replaced_before_an_empty_slot_is_taken() -> None:
    facts = (provisioned("red", "1.0.0"), wanted(red=100), promoted("red"), provisioned("green", "1.1.0"))

    assert seated(*facts, slots=("blue", "green", "red")).candidate == "green"


def test_without_a_way_back_the_candidate_takes_the_slot_with_the_least_traffic() -> None:
    facts = (*HALF_WAY, wanted(blue=25, green=75))

    assert seated(*facts, reversible=False).candidate == "green"
    assert seated(*facts, slots=("blue", "green", "red"), reversible=False).candidate == "red"


def test_the_leftovers_of_a_deployment_at_work_are_not_guessed() -> None:
    found = assign_slots(status_after(*HALF_WAY, BACK), BLUE_GREEN, held=True, reversible=True)

    assert (found.stable, found.candidate, found.unsettled) == ("blue", "green", False)
    running = {"main": place(*HALF_WAY, lock=OTHER)}
    target = environment(Target(components={"api": {}}))
    assert draft(release(), target, running, "rolling", {}).plan.notes == ()


# What the plan does about it


def test_first_all_traffic_goes_to_the_stable_version_which_runs_in_full() -> None:
    shrunk = (*HALF_WAY, provisioned("blue", "1.0.0", 2), BACK)

    plan = drafted(*shrunk).plan

    assert step_texts(plan)[:4] == [
        "run 4 of the stable version",
        "wait until 4 of api (stable) on main are healthy, at most 300 s",
        "route api: 100 % stable, 0 % candidate",
        "run 4 of the candidate version",
    ]
    assert plan.notes == (
        "api on main: the deployment before did not end cleanly: blue (1.0.0) has perhaps 100 % of the traffic, green "
        "(1.1.0) has perhaps 50 % of the traffic. First 1.0.0 in blue gets all traffic; a rollback returns to it",
    )


def test_however_early_it_is_aborted_the_earlier_way_back_is_finished() -> None:
    plan = drafted(*HALF_WAY, BACK).plan

    assert {step.since for step in plan.rollback} == {0}
    assert step_texts(plan, "rollback")[2:] == [
        "route api: 100 % stable, 0 % candidate",
        "the stable version is stable now",
        "stop the candidate version",
    ]


def test_the_version_that_was_to_be_gone_back_to_gets_all_traffic_and_nothing_else_is_done() -> None:
    plan = drafted(*HALF_WAY, BACK, version="1.0.0").plan

    assert step_texts(plan)[2:] == [
        "route api: 100 % stable, 0 % candidate",
        "the stable version is stable now",
        "stop the candidate version",
    ]
    assert plan.notes[0].endswith("1.0.0 in blue gets all traffic, and what is in green is stopped")
    assert drafted(*STABLE, version="1.0.0").plan.forward == ()


def test_promoted_in_full_it_still_takes_the_traffic_away_first() -> None:
    plan = drafted(*HALF_WAY, BACK, strategy="canary").plan
    state = started(plan)

    (skipped,) = on(state).when(Promote(deployment=DEPLOYMENT, full=True)).facts

    assert isinstance(skipped, DeploymentFastForwarded)
    kept = [step for index, step in enumerate(plan.forward) if index not in skipped.skipped]
    assert [step.weights["candidate"] for step in kept if isinstance(step, Route)] == [0, 100]


def test_recreate_takes_all_traffic_away_first_as_ever() -> None:
    plan = drafted(*HALF_WAY, BACK, strategy="recreate").plan

    assert step_texts(plan)[0] == "route api: 0 % stable, 0 % candidate"
    assert "All traffic is taken away first; a rollback returns to 1.0.0 in blue" in plan.notes[0]


def test_a_version_that_could_not_be_undone_keeps_its_traffic_until_the_new_one_is_healthy() -> None:
    plan = drafted(provisioned("blue", "1.0.0"), wanted(blue=100), wanted(blue=0)).plan

    assert step_texts(plan)[0] == "run 4 of the candidate version"
    assert plan.notes[0].endswith(
        "Nothing there is known to be stable: it starts in green, and what is in blue is stopped once it serves; "
        "after a rollback nothing serves"
    )


@pytest.mark.parametrize("strategy", ["blue-green", "recreate"])
def test_a_version_that_could_not_be_undone_is_stopped_once_the_new_one_has_its_traffic(strategy: StrategyName) -> None:
    made = drafted(provisioned("blue", "1.0.0"), wanted(blue=100), wanted(blue=0), strategy=strategy)

    assert step_texts(made.plan)[-3:] == [
        "route api: 100 % candidate",
        "the candidate version is stable now",
        "stop the stable version",
    ]
    [binding] = made.bindings
    assert (binding.candidate_slot, binding.slot("stable"), binding.stable) == ("green", "blue", None)


def test_traffic_is_taken_from_the_only_slot_before_it_is_replaced() -> None:
    single = Target(slots=("blue",), components={"api": {"replicas": 4}})

    plan = drafted(
        provisioned("blue", "1.0.0"), wanted(blue=100), wanted(blue=0), strategy="recreate", target=single
    ).plan

    assert step_texts(plan)[0] == "route api: 0 % candidate"
    assert "all traffic is taken away first; after a rollback nothing serves" in plan.notes[0]


def test_without_a_way_back_no_traffic_is_returned_and_the_plan_says_so() -> None:
    target = Target(reversible=False, components={"api": {"replicas": 4}})

    plan = drafted(*HALF_WAY, target=target).plan

    assert step_texts(plan)[0] == "run 4 of the candidate version"
    assert plan.notes[0].endswith(
        "There is no way back here: it replaces what is in green, traffic or not; "
        "recreate would take all traffic away first"
    )


def test_without_traffic_to_shift_the_stable_version_is_only_made_to_run_in_full() -> None:
    target = Target(routes="none", components={"api": {"replicas": 4}})
    left = (
        provisioned("blue", "1.0.0"),
        promoted("blue"),
        provisioned("green", "1.1.0"),
        provisioned("blue", "1.0.0", 1),
    )

    plan = drafted(*left, strategy="rolling", target=target).plan

    assert step_texts(plan)[0] == "run 4 of the stable version"
    assert "blue runs 1.0.0, green runs 1.1.0" in plan.notes[0]


@pytest.mark.parametrize(
    ("strategy", "options"),
    [("canary", {}), ("blue-green", {"auto_promotion": False}), ("blue-green", {"auto_promotion_seconds": 60})],
)
def test_a_plan_that_only_repairs_has_no_pauses(strategy: StrategyName, options: dict[str, JsonValue]) -> None:
    target = environment(Target(components={"api": {"replicas": 4}}))

    plan = draft(release("1.0.0"), target, {"main": place(*HALF_WAY, BACK)}, strategy, options).plan

    assert [step.verb for step in plan.forward] == ["provision", "await_healthy", "route", "promote", "retire"]
