"""Going back after a success: it stays a way back, however many tries it takes."""

from tests.services.gateway_harness import Office


def gone_on(office: Office) -> str:
    """1.0.0 and then 1.1.0 have succeeded; the deployment of 1.1.0."""
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))
    newer = office.deploy(office.release("1.1.0"))
    office.carry_out(newer)
    return newer


def rolled_back(office: Office, deployment: str) -> str:
    return str(office.do("deployment.rollback", {"deployment": deployment})["deployment"])


def test_a_rollback_that_was_aborted_and_is_tried_again_still_says_what_it_reverts(office: Office) -> None:
    newer = gone_on(office)
    back = rolled_back(office, newer)
    office.do("deployment.abort", {"deployment": back})
    while not office.facts(back, "rolled_back"):
        started = office.facts(back, "step_started")[-1]
        office.report(back, started["step"], leg=started["leg"], attempt=started["attempt"])

    again = str(office.do("deployment.retry", {"deployment": back})["deployment"])

    assert office.facts(again, "planned")[0]["reverts"] == newer
