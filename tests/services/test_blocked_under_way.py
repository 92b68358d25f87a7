"""A block stops what is under way at its next pause."""

from typing import Any

from tests.services.gateway_harness import GatewayHarness, on_both_stores

CANARY: dict[str, Any] = {
    "strategy": "canary",
    "options": {"steps": [{"set_weight": 10}, {"pause": {}}, {"set_weight": 50}]},
}


def canary_of_1_1(harness: GatewayHarness) -> str:
    """1.0.0 runs, and the canary of 1.1.0 has begun."""
    harness.environment()
    harness.walk(harness.deploy(harness.release("1.0.0"), strategy="recreate"))
    return harness.deploy(harness.release("1.1.0"), **CANARY)


def go_on(harness: GatewayHarness, deployment: str) -> None:
    """Report the orders that are out as done, until it pauses."""
    while not harness.facts(deployment, "paused"):
        latest = harness.facts(deployment, "step_started")[-1]
        harness.report(deployment, latest["step"], attempt=latest["attempt"])


def block(harness: GatewayHarness, release: str = "shop@1.1.0") -> None:
    harness.do("release.block", {"release": release, "reason": "it leaks"})


@on_both_stores
def test_a_deployment_of_a_blocked_release_in_a_pause_rolls_back_at_once(harness: GatewayHarness) -> None:
    deployment = canary_of_1_1(harness)
    go_on(harness, deployment)

    block(harness)

    [aborting] = harness.facts(deployment, "aborting")
    assert (aborting["cause"], aborting["reason"]) == ("blocked", "shop@1.1.0 is blocked")
    refused = harness.ask("deployment.promote", {"deployment": deployment})
    assert refused.refused


@on_both_stores
def test_a_deployment_of_a_blocked_release_between_pauses_rolls_back_at_the_next_one(harness: GatewayHarness) -> None:
    deployment = canary_of_1_1(harness)

    block(harness)

    assert not harness.facts(deployment, "aborting")
    go_on(harness, deployment)
    assert harness.facts(deployment, "aborting")[0]["cause"] == "blocked"


def test_a_block_that_is_lifted_before_the_next_pause_stops_nothing(harness: GatewayHarness) -> None:
    deployment = canary_of_1_1(harness)
    block(harness)
    harness.do("release.unblock", {"release": "shop@1.1.0"})

    go_on(harness, deployment)

    assert not harness.facts(deployment, "aborting")


def test_another_release_goes_on(harness: GatewayHarness) -> None:
    deployment = canary_of_1_1(harness)
    go_on(harness, deployment)

    block(harness, "shop@1.0.0")

    assert not harness.facts(deployment, "aborting")
