"""Going back after a success: it stays a way back, however many tries it takes."""

from tests.services.gateway_harness import GatewayHarness


def gone_on(harness: GatewayHarness) -> str:
    """1.0.0 and then 1.1.0 have succeeded; the deployment of 1.1.0."""
    harness.environment()
    harness.carry_out(harness.deploy(harness.release("1.0.0")))
    newer = harness.deploy(harness.release("1.1.0"))
    harness.carry_out(newer)
    return newer


def rolled_back(harness: GatewayHarness, deployment: str) -> str:
    return str(harness.do("deployment.rollback", {"deployment": deployment})["deployment"])


def test_a_rollback_that_was_aborted_and_is_tried_again_still_says_what_it_reverts(harness: GatewayHarness) -> None:
    newer = gone_on(harness)
    back = rolled_back(harness, newer)
    harness.do("deployment.abort", {"deployment": back})
    while not harness.facts(back, "rolled_back"):
        started = harness.facts(back, "step_started")[-1]
        harness.report(back, started["step"], leg=started["leg"], attempt=started["attempt"])

    again = str(harness.do("deployment.retry", {"deployment": back})["deployment"])

    assert harness.facts(again, "planned")[0]["reverts"] == newer
