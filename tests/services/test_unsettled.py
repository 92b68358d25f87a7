"""After a way back that failed: what the next deployment does first, and going back once more."""

from typing import Any

import pytest

from release_management.domain.orders import ATTEMPTS
from tests.services.gateway_harness import Office, on_both_stores

CANARY: dict[str, Any] = {"strategy": "canary", "options": {"steps": [{"set_weight": 50}, {"pause": {}}]}}


@pytest.fixture
def failed(office: Office) -> str:
    """1.0.0 serves in blue; 1.1.0 has half of the traffic in green, and could not be taken back."""
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))
    canary = office.deploy(office.release("1.1.0"), **CANARY)
    for step in range(3):
        office.report(canary, step, observed={"blue": 50, "green": 50} if step == 2 else None)
    office.do("deployment.abort", {"deployment": canary})
    give_up(office, canary)
    assert office.facts(canary, "rollback_failed")
    return canary


def actions(office: Office, deployment: str) -> list[tuple[str, object]]:
    """Return the orders: the verb, and the slot or the shares."""
    ordered = [fact["action"] for fact in office.facts(deployment, "step_started")]
    return [(action["verb"], action.get("slot", action.get("weights"))) for action in ordered]


def give_up(office: Office, deployment: str) -> None:
    """The step that is out errors as often as it is tried."""
    started = office.facts(deployment, "step_started")[-1]
    leg, step = started["leg"], started["step"]
    for attempt in range(started["attempt"], ATTEMPTS[leg] + 1):
        office.report(deployment, step, "errored", attempt, leg=leg, reason="no answer")
        office.clock.advance(60)
        office.do("deployment.retry_step", {"deployment": deployment, "leg": leg, "step": step, "attempt": attempt})


def step(office: Office, deployment: str, result: str = "succeeded") -> None:
    """The step that is out is reported."""
    started = office.facts(deployment, "step_started")[-1]
    office.report(deployment, started["step"], result, started["attempt"], leg=started["leg"])


def test_the_next_deployment_gives_all_traffic_to_the_stable_version_before_it_touches_a_slot(
    office: Office, failed: str
) -> None:
    fixed = office.deploy(office.release("1.1.1"))
    office.carry_out(fixed)

    assert actions(office, fixed)[:4] == [
        ("provision", "blue"),
        ("await_healthy", "blue"),
        ("route", {"blue": 100, "green": 0}),
        ("provision", "green"),
    ]
    [note] = office.facts(fixed, "planned")[0]["plan"]["notes"]
    assert "First 1.0.0 in blue gets all traffic; a rollback returns to it" in note
    assert office.facts(fixed, "succeeded")
    preview = office.preview(release=office.release("1.1.2"), environment="staging")
    assert preview["plan"]["notes"] == []


def test_a_failed_rollback_is_repeated_by_a_deployment_that_only_repairs_the_rest(office: Office, failed: str) -> None:
    back = office.do("deployment.rollback", {"deployment": failed})
    again = office.do("deployment.rollback", {"deployment": failed})
    office.carry_out(str(back["deployment"]))

    assert again["deployment"] == back["deployment"] != failed
    planned = office.facts(str(back["deployment"]), "planned")[0]
    assert (planned["release"], planned["reverts"]) == ("shop@1.0.0", failed)
    assert actions(office, str(back["deployment"])) == [
        ("provision", "blue"),
        ("await_healthy", "blue"),
        ("route", {"blue": 100, "green": 0}),
        ("retire", "green"),
    ]
    assert office.facts(str(back["deployment"]), "succeeded")
    done = office.do("deployment.rollback", {"deployment": failed})
    assert (done["deployment"], done["phase"]) == (back["deployment"], "Succeeded")
    assert office.preview(release="shop@1.0.0", environment="staging")["steps"] == []


def test_a_place_repaired_by_another_deployment_is_not_rolled_back(office: Office, failed: str) -> None:
    office.carry_out(office.deploy(office.release("1.1.1")))

    refused = office.ask("deployment.rollback", {"deployment": failed})

    assert refused.reason == (
        f"nothing is left of deployment {failed} in staging that could be taken back: another has set it right; "
        "roll back the newest one, or deploy the version that you want"
    )


def test_while_another_is_at_work_there_it_is_not_rolled_back(office: Office, failed: str) -> None:
    fixed = office.deploy(office.release("1.1.1"))

    refused = office.ask("deployment.rollback", {"deployment": failed})

    assert refused.reason == (
        f"deployment {fixed} is at work where {failed} could not go back; let it end, or abort it first"
    )


def test_remains_of_a_first_deployment_that_could_not_be_undone_are_stopped_by_its_rollback(office: Office) -> None:
    office.environment()
    first = office.deploy(office.release("1.0.0"))
    office.report(first, 0)
    office.do("deployment.abort", {"deployment": first})
    give_up(office, first)
    assert office.facts(first, "rollback_failed")

    back = office.do("deployment.rollback", {"deployment": first})["deployment"]

    office.carry_out(str(back))
    assert [order["action"]["verb"] for order in office.facts(str(back), "step_started")] == ["retire"]
    assert office.facts(str(back), "succeeded")
    assert office.records("release.succeeded") == []
    again = office.ask("deployment.rollback", {"deployment": first})
    assert str(again.reason).startswith(f"nothing is left of deployment {first} in staging")


def test_a_deployment_after_whose_rollback_nothing_serves_can_be_rolled_back_again(office: Office) -> None:
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))
    newer = office.deploy(office.release("1.1.0"), strategy="recreate")
    while actions(office, newer)[-1][0] != "await_healthy":
        step(office, newer)
    step(office, newer, "failed")
    while actions(office, newer)[-1] != ("provision", "blue"):
        step(office, newer)
    give_up(office, newer)
    assert office.facts(newer, "rollback_failed")

    back = str(office.do("deployment.rollback", {"deployment": newer})["deployment"])
    office.carry_out(back)

    assert office.facts(back, "planned")[0]["release"] == "shop@1.0.0"
    assert office.facts(back, "succeeded")


def test_a_rollback_restores_the_earlier_state_although_it_is_the_same_version(office: Office) -> None:
    office.environment()
    office.environment("production")
    office.carry_out(office.deploy(office.release("1.0.0")))
    office.do("pipeline.configure", {"application": "shop", "name": "main", "stages": ["staging", "production"]})
    office.carry_out(office.deploy(office.release("1.1.0")))
    wider = office.deploy("shop@1.1.0", options={"replicas": 2})
    step(office, wider)
    office.do("deployment.abort", {"deployment": wider})
    give_up(office, wider)
    assert office.facts(wider, "rollback_failed")

    back = str(office.do("deployment.rollback", {"deployment": wider})["deployment"])
    office.carry_out(back)

    assert office.facts(back, "planned")[0]["release"] == "shop@1.1.0"
    assert office.facts(back, "succeeded")
    assert office.records("place.version_withdrawn") == office.records("release.withdrawn") == []
    assert office.facts(office.deploy("shop@1.1.0", "production"), "approval_awaited")


def test_remains_of_a_first_deployment_are_stopped_by_the_one_that_succeeds(office: Office) -> None:
    office.environment()
    first = office.deploy(office.release("1.0.0"))
    while actions(office, first)[-1][0] != "route":
        step(office, first)
    give_up(office, first)
    give_up(office, first)
    assert office.facts(first, "rollback_failed")

    second = office.deploy(office.release("1.1.0"))
    office.carry_out(second)

    assert actions(office, second)[-2:] == [("route", {"green": 100}), ("retire", "blue")]
    assert office.facts(second, "succeeded")
    assert office.deploy("shop@1.1.0") == second


@on_both_stores
def test_an_interrupted_version_is_named_in_the_next_plan_and_stopped_however_early_that_rolls_back(
    office: Office,
) -> None:
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))
    broken = office.deploy(office.release("1.1.0"))
    while not office.facts(broken, "rollback_failed"):
        give_up(office, broken)

    [doubt] = office.records("place.slot_doubted")
    assert doubt["data"] == {"deployment": broken, "component": "web", "slot": "green"}

    following = office.deploy(office.release("1.2.0"), strategy="recreate")
    office.do("deployment.abort", {"deployment": following})
    while not office.facts(following, "rolled_back"):
        step(office, following)

    [note] = office.facts(following, "planned")[0]["plan"]["notes"]
    assert "the deployment before did not end cleanly" in note
    assert "green (nothing known, in doubt)" in note
    assert ("retire", "green") in actions(office, following)
