"""A block stops what is under way at its next pause."""

from typing import Any

from tests.services.gateway_harness import Office, on_both_stores

CANARY: dict[str, Any] = {
    "strategy": "canary",
    "options": {"steps": [{"set_weight": 10}, {"pause": {}}, {"set_weight": 50}]},
}


def canary_of_1_1(office: Office) -> str:
    """1.0.0 runs, and the canary of 1.1.0 has begun."""
    office.environment()
    office.walk(office.deploy(office.release("1.0.0"), strategy="recreate"))
    return office.deploy(office.release("1.1.0"), **CANARY)


def go_on(office: Office, deployment: str) -> None:
    """Report the orders that are out as done, until it pauses."""
    while not office.facts(deployment, "paused"):
        latest = office.facts(deployment, "step_started")[-1]
        office.report(deployment, latest["step"], attempt=latest["attempt"])


def block(office: Office, release: str = "shop@1.1.0") -> None:
    office.do("release.block", {"release": release, "reason": "it leaks"})


@on_both_stores
def test_a_deployment_of_a_blocked_release_in_a_pause_rolls_back_at_once(office: Office) -> None:
    deployment = canary_of_1_1(office)
    go_on(office, deployment)

    block(office)

    [aborting] = office.facts(deployment, "aborting")
    assert (aborting["cause"], aborting["reason"]) == ("blocked", "shop@1.1.0 is blocked")
    refused = office.ask("deployment.promote", {"deployment": deployment})
    assert refused.refused


@on_both_stores
def test_a_deployment_of_a_blocked_release_between_pauses_rolls_back_at_the_next_one(office: Office) -> None:
    deployment = canary_of_1_1(office)

    block(office)

    assert not office.facts(deployment, "aborting")
    go_on(office, deployment)
    assert office.facts(deployment, "aborting")[0]["cause"] == "blocked"


def test_a_block_that_is_lifted_before_the_next_pause_stops_nothing(office: Office) -> None:
    deployment = canary_of_1_1(office)
    block(office)
    office.do("release.unblock", {"release": "shop@1.1.0"})

    go_on(office, deployment)

    assert not office.facts(deployment, "aborting")


def test_another_release_goes_on(office: Office) -> None:
    deployment = canary_of_1_1(office)
    go_on(office, deployment)

    block(office, "shop@1.0.0")

    assert not office.facts(deployment, "aborting")
