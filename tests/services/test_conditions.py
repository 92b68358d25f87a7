"""Executors' observations, through the gateway: recorded once, beside their place."""

from typing import Any

import pytest

from tests.services.gateway_harness import GatewayHarness, on_both_stores

LOOK: dict[str, Any] = {
    "environment": "staging",
    "application": "shop",
    "target": "main",
    "component": "web",
    "condition": "well",
    "slots": [{"slot": "blue", "version": "1.0.0", "condition": "well", "wanted": 1, "running": 1, "healthy": 1}],
    "by": "local",
    "fence": 1,
}
EXECUTOR = {"sender": "executor:local", "actor": "executor:local", "actorkind": "service"}


def look(harness: GatewayHarness, id: str | None = None, **data: Any) -> Any:
    harness.clock.advance(1)
    content = {**LOOK, "observedat": harness.clock.now().isoformat(), **data}
    return harness.ask("place.report_condition", content, **EXECUTOR, **({"id": id} if id else {}))


def changes(harness: GatewayHarness) -> list[str]:
    return [record["data"]["condition"] for record in harness.records("place.condition_changed")]


@on_both_stores
def test_a_change_is_recorded_once_however_often_it_is_reported(harness: GatewayHarness) -> None:
    harness.environment()
    harness.carry_out(harness.deploy(harness.release("1.0.0")))

    assert look(harness, id="look-1").status == "accepted"
    assert look(harness, id="look-2").status == "accepted"
    down = {**LOOK["slots"][0], "condition": "down", "running": 0, "healthy": 0}
    assert look(harness, condition="down", reason="web1 exited with code 3", slots=[down]).status == "accepted"
    assert look(harness, id="look-1", observedat="2026-11-23T09:30:01Z").status in ("repeated", "refused")

    assert changes(harness) == ["well", "down"]
    [_, last] = harness.records("place.condition_changed")
    assert last["subject"] == "place:staging/shop/main"
    assert last["data"]["slots"][0]["role"] == "stable"


@on_both_stores
def test_a_step_that_was_carried_out_outdates_every_look_from_before_it(harness: GatewayHarness) -> None:
    harness.environment()
    harness.carry_out(harness.deploy(harness.release("1.0.0")))

    look(harness, fence=0, condition="down")

    assert changes(harness) == []


# A deployment under way

CANARY: dict[str, Any] = {"strategy": "canary", "options": {"steps": [{"set_weight": 25}, {"pause": {}}]}}
GREEN: dict[str, Any] = {"slot": "green", "version": "1.1.0", "condition": "well", "wanted": 1}
STABLE: dict[str, Any] = {**GREEN, "slot": "blue", "version": "1.0.0", "running": 1, "healthy": 1}
DOWN = {**GREEN, "condition": "down", "reason": "green1 exited with code 3", "running": 0, "healthy": 0}


def under_way(harness: GatewayHarness, steps: int) -> str:
    """A canary of 1.1.0, of which so many steps were reported: it is provisioned, healthy, and gets 25 %."""
    harness.environment()
    harness.carry_out(harness.deploy(harness.release("1.0.0")))
    canary = harness.deploy(harness.release("1.1.0"), **CANARY)
    for step in range(steps):
        harness.report(canary, step, fence=step + 2, observed={"blue": 75, "green": 25} if step == 2 else None)
    return canary


def phase(harness: GatewayHarness, deployment: str) -> str:
    return str(harness.log.read_stream(f"deployment:{deployment}")[-1].name)


@on_both_stores
def test_a_candidate_that_is_not_well_during_a_pause_goes_back_with_the_look_that_says_so(
    harness: GatewayHarness,
) -> None:
    canary = under_way(harness, 3)
    assert phase(harness, canary) == "deployment.paused"

    look(harness, fence=4, condition="degraded", slots=[STABLE, DOWN])

    [aborting] = harness.facts(canary, "aborting")
    assert aborting["cause"] == "unwell"
    assert aborting["reason"] == ("web 1.1.0 on main is not well any more: green is down: green1 exited with code 3")
    [changed] = harness.records("place.condition_changed")
    [record] = harness.records("deployment.aborting")
    assert record["commandid"] == changed["commandid"]
    started = harness.facts(canary, "step_started")[-1]
    assert started["action"] == {"verb": "route", "weights": {"blue": 100, "green": 0}, "healthy": {"blue": 1}}


@pytest.mark.parametrize(
    ("steps", "fence", "slots"),
    [
        (3, 4, [{**STABLE, "condition": "down", "running": 0, "healthy": 0}, {**GREEN, "running": 1, "healthy": 1}]),
        (3, 4, [STABLE, {**GREEN, "condition": "unknown", "running": 0, "healthy": 0}]),
        (3, 4, [STABLE, {**GREEN, "condition": "drifted", "running": 1, "healthy": 1}]),
        (3, 4, [STABLE, {**GREEN, "condition": "degraded", "running": 1, "healthy": 1}]),
        (3, 3, [STABLE, DOWN]),
        (1, 2, [STABLE, DOWN]),
    ],
    ids=["the stable one", "nobody could look", "it drifts", "it has just passed", "before the newest step", "awaited"],
)
def test_a_deployment_goes_on_unless_its_candidate_is_known_to_be_ill(
    harness: GatewayHarness, steps: int, fence: int, slots: list[dict[str, Any]]
) -> None:
    canary = under_way(harness, steps)

    look(harness, fence=fence, condition="degraded", slots=slots)

    assert harness.facts(canary, "aborting") == []


def test_a_condition_seen_just_before_a_pause_counts_when_it_begins(harness: GatewayHarness) -> None:
    canary = under_way(harness, 1)
    look(harness, fence=4, condition="degraded", slots=[STABLE, DOWN])
    assert harness.facts(canary, "aborting") == []

    harness.report(canary, 1, fence=3)
    harness.report(canary, 2, fence=4, observed={"blue": 75, "green": 25})

    assert [fact["cause"] for fact in harness.facts(canary, "aborting")] == ["unwell"]


def test_while_it_bakes_a_candidate_that_is_not_well_goes_back_and_the_old_version_is_stable_again(
    harness: GatewayHarness,
) -> None:
    canary = under_way(harness, 3)
    harness.do("deployment.promote", {"deployment": canary})
    harness.report(canary, 4, fence=5)
    assert harness.facts(canary, "paused")[-1]["baking"]

    look(harness, fence=5, condition="down", slots=[STABLE, DOWN])

    assert [fact["cause"] for fact in harness.facts(canary, "aborting")] == ["unwell"]
    while not harness.facts(canary, "rolled_back"):
        if waiting := [fact for fact in harness.facts(canary, "paused") if fact["leg"] == "rollback"]:
            harness.clock.advance(60)
            harness.do("deployment.resume", {"deployment": canary, "leg": "rollback", "step": waiting[0]["step"]})
        started = harness.facts(canary, "step_started")[-1]
        harness.report(canary, started["step"], leg=started["leg"], attempt=started["attempt"], fence=9)
    assert harness.records("place.promoted")[-1]["data"]["slot"] == "blue"
