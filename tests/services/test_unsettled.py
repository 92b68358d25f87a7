"""After a way back that failed: what the next deployment does first, and going back once more."""

from typing import Any

import pytest

from release_management.domain.orders import ATTEMPTS
from tests.services.gateway_harness import GatewayHarness, on_both_stores

CANARY: dict[str, Any] = {"strategy": "canary", "options": {"steps": [{"set_weight": 50}, {"pause": {}}]}}


@pytest.fixture
def failed(harness: GatewayHarness) -> str:
    """1.0.0 serves in blue; 1.1.0 has half of the traffic in green, and could not be taken back."""
    harness.environment()
    harness.carry_out(harness.deploy(harness.release("1.0.0")))
    canary = harness.deploy(harness.release("1.1.0"), **CANARY)
    for step in range(3):
        harness.report(canary, step, observed={"blue": 50, "green": 50} if step == 2 else None)
    harness.do("deployment.abort", {"deployment": canary})
    give_up(harness, canary)
    assert harness.facts(canary, "rollback_failed")
    return canary


def actions(harness: GatewayHarness, deployment: str) -> list[tuple[str, object]]:
    """Return the orders: the verb, and the slot or the shares."""
    ordered = [fact["action"] for fact in harness.facts(deployment, "step_started")]
    return [(action["verb"], action.get("slot", action.get("weights"))) for action in ordered]


def give_up(harness: GatewayHarness, deployment: str) -> None:
    """The step that is out errors as often as it is tried."""
    started = harness.facts(deployment, "step_started")[-1]
    leg, step = started["leg"], started["step"]
    for attempt in range(started["attempt"], ATTEMPTS[leg] + 1):
        harness.report(deployment, step, "errored", attempt, leg=leg, reason="no answer")
        harness.clock.advance(60)
        harness.do("deployment.retry_step", {"deployment": deployment, "leg": leg, "step": step, "attempt": attempt})


def step(harness: GatewayHarness, deployment: str, result: str = "succeeded") -> None:
    """The step that is out is reported."""
    started = harness.facts(deployment, "step_started")[-1]
    harness.report(deployment, started["step"], result, started["attempt"], leg=started["leg"])


def test_the_next_deployment_gives_all_traffic_to_the_stable_version_before_it_touches_a_slot(
    harness: GatewayHarness, failed: str
) -> None:
    fixed = harness.deploy(harness.release("1.1.1"))
    harness.carry_out(fixed)

    assert actions(harness, fixed)[:4] == [
        ("provision", "blue"),
        ("await_healthy", "blue"),
        ("route", {"blue": 100, "green": 0}),
        ("provision", "green"),
    ]
    [note] = harness.facts(fixed, "planned")[0]["plan"]["notes"]
    assert "First 1.0.0 in blue gets all traffic; a rollback returns to it" in note
    assert harness.facts(fixed, "succeeded")
    preview = harness.preview(release=harness.release("1.1.2"), environment="staging")
    assert preview["plan"]["notes"] == []


def test_a_failed_rollback_is_repeated_by_a_deployment_that_only_repairs_the_rest(
    harness: GatewayHarness, failed: str
) -> None:
    back = harness.do("deployment.rollback", {"deployment": failed})
    again = harness.do("deployment.rollback", {"deployment": failed})
    harness.carry_out(str(back["deployment"]))

    assert again["deployment"] == back["deployment"] != failed
    planned = harness.facts(str(back["deployment"]), "planned")[0]
    assert (planned["release"], planned["reverts"]) == ("shop@1.0.0", failed)
    assert actions(harness, str(back["deployment"])) == [
        ("provision", "blue"),
        ("await_healthy", "blue"),
        ("route", {"blue": 100, "green": 0}),
        ("retire", "green"),
    ]
    assert harness.facts(str(back["deployment"]), "succeeded")
    done = harness.do("deployment.rollback", {"deployment": failed})
    assert (done["deployment"], done["phase"]) == (back["deployment"], "Succeeded")
    assert harness.preview(release="shop@1.0.0", environment="staging")["steps"] == []


def test_a_place_repaired_by_another_deployment_is_not_rolled_back(harness: GatewayHarness, failed: str) -> None:
    harness.carry_out(harness.deploy(harness.release("1.1.1")))

    refused = harness.ask("deployment.rollback", {"deployment": failed})

    assert refused.reason == (
        f"nothing is left of deployment {failed} in staging that could be taken back: another has set it right; "
        "roll back the newest one, or deploy the version that you want"
    )


def test_while_another_is_at_work_there_it_is_not_rolled_back(harness: GatewayHarness, failed: str) -> None:
    fixed = harness.deploy(harness.release("1.1.1"))

    refused = harness.ask("deployment.rollback", {"deployment": failed})

    assert refused.reason == (
        f"deployment {fixed} is at work where {failed} could not go back; let it end, or abort it first"
    )


def test_remains_of_a_first_deployment_that_could_not_be_undone_are_stopped_by_its_rollback(
    harness: GatewayHarness,
) -> None:
    harness.environment()
    first = harness.deploy(harness.release("1.0.0"))
    harness.report(first, 0)
    harness.do("deployment.abort", {"deployment": first})
    give_up(harness, first)
    assert harness.facts(first, "rollback_failed")

    back = harness.do("deployment.rollback", {"deployment": first})["deployment"]

    harness.carry_out(str(back))
    assert [order["action"]["verb"] for order in harness.facts(str(back), "step_started")] == ["retire"]
    assert harness.facts(str(back), "succeeded")
    assert harness.records("release.succeeded") == []
    again = harness.ask("deployment.rollback", {"deployment": first})
    assert str(again.reason).startswith(f"nothing is left of deployment {first} in staging")


def test_a_deployment_after_whose_rollback_nothing_serves_can_be_rolled_back_again(harness: GatewayHarness) -> None:
    harness.environment()
    harness.carry_out(harness.deploy(harness.release("1.0.0")))
    newer = harness.deploy(harness.release("1.1.0"), strategy="recreate")
    while actions(harness, newer)[-1][0] != "await_healthy":
        step(harness, newer)
    step(harness, newer, "failed")
    while actions(harness, newer)[-1] != ("provision", "blue"):
        step(harness, newer)
    give_up(harness, newer)
    assert harness.facts(newer, "rollback_failed")

    back = str(harness.do("deployment.rollback", {"deployment": newer})["deployment"])
    harness.carry_out(back)

    assert harness.facts(back, "planned")[0]["release"] == "shop@1.0.0"
    assert harness.facts(back, "succeeded")


def test_a_rollback_restores_the_earlier_state_although_it_is_the_same_version(harness: GatewayHarness) -> None:
    harness.environment()
    harness.environment("production")
    harness.carry_out(harness.deploy(harness.release("1.0.0")))
    harness.do("pipeline.configure", {"application": "shop", "name": "main", "stages": ["staging", "production"]})
    harness.carry_out(harness.deploy(harness.release("1.1.0")))
    wider = harness.deploy("shop@1.1.0", options={"replicas": 2})
    step(harness, wider)
    harness.do("deployment.abort", {"deployment": wider})
    give_up(harness, wider)
    assert harness.facts(wider, "rollback_failed")

    back = str(harness.do("deployment.rollback", {"deployment": wider})["deployment"])
    harness.carry_out(back)

    assert harness.facts(back, "planned")[0]["release"] == "shop@1.1.0"
    assert harness.facts(back, "succeeded")
    assert harness.records("place.version_withdrawn") == harness.records("release.withdrawn") == []
    assert harness.facts(harness.deploy("shop@1.1.0", "production"), "approval_awaited")


def test_remains_of_a_first_deployment_are_stopped_by_the_one_that_succeeds(harness: GatewayHarness) -> None:
    harness.environment()
    first = harness.deploy(harness.release("1.0.0"))
    while actions(harness, first)[-1][0] != "route":
        step(harness, first)
    give_up(harness, first)
    give_up(harness, first)
    assert harness.facts(first, "rollback_failed")

    second = harness.deploy(harness.release("1.1.0"))
    harness.carry_out(second)

    assert actions(harness, second)[-2:] == [("route", {"green": 100}), ("retire", "blue")]
    assert harness.facts(second, "succeeded")
    assert harness.deploy("shop@1.1.0") == second


@on_both_stores
def test_an_interrupted_version_is_named_in_the_next_plan_and_stopped_however_early_that_rolls_back(
    harness: GatewayHarness,
) -> None:
    harness.environment()
    harness.carry_out(harness.deploy(harness.release("1.0.0")))
    broken = harness.deploy(harness.release("1.1.0"))
    while not harness.facts(broken, "rollback_failed"):
        give_up(harness, broken)

    [doubt] = harness.records("place.slot_doubted")
    assert doubt["data"] == {"deployment": broken, "component": "web", "slot": "green"}

    following = harness.deploy(harness.release("1.2.0"), strategy="recreate")
    harness.do("deployment.abort", {"deployment": following})
    while not harness.facts(following, "rolled_back"):
        step(harness, following)

    [note] = harness.facts(following, "planned")[0]["plan"]["notes"]
    assert "the deployment before did not end cleanly" in note
    assert "green (nothing known, in doubt)" in note
    assert ("retire", "green") in actions(harness, following)
