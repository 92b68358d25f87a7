"""Approval rules that change while something waits."""

from tests.services.gateway_harness import GatewayHarness, on_both_stores


def waiting(harness: GatewayHarness, **rule: object) -> str:
    harness.environment(approval={"required": 2, **rule})
    deployment = harness.deploy(harness.release("1.0.0"))
    assert harness.facts(deployment, "approval_awaited")
    return deployment


def grant(harness: GatewayHarness, deployment: str, actor: str) -> None:
    harness.do("approval.grant", {"approval": deployment}, actor=actor)


def ask_for(harness: GatewayHarness, **rule: object) -> None:
    harness.do("environment.configure", {"name": "staging", "approval": rule})


@on_both_stores
def test_a_weaker_rule_lets_what_waits_go_on_at_once(harness: GatewayHarness) -> None:
    deployment = waiting(harness)
    grant(harness, deployment, "bob")
    assert not harness.facts(deployment, "started")

    ask_for(harness, required=1)

    assert harness.facts(deployment, "started")
    assert harness.records("approval.completed")


def test_a_waiting_deployment_starts_once_no_approval_is_required_any_more(harness: GatewayHarness) -> None:
    deployment = waiting(harness)

    ask_for(harness, required=0)

    assert harness.facts(deployment, "started")


@on_both_stores
def test_a_stricter_rule_is_asked_of_what_waits(harness: GatewayHarness) -> None:
    deployment = waiting(harness)
    grant(harness, deployment, "bob")

    ask_for(harness, required=3)

    grant(harness, deployment, "carol")
    assert not harness.facts(deployment, "started")
    grant(harness, deployment, "dave")
    assert harness.facts(deployment, "started")


def test_a_signature_of_a_person_who_may_not_approve_any_more_does_not_count(harness: GatewayHarness) -> None:
    deployment = waiting(harness)
    grant(harness, deployment, "bob")

    ask_for(harness, required=1, approvers=["carol"])

    assert not harness.facts(deployment, "started")
    grant(harness, deployment, "carol")
    assert harness.facts(deployment, "started")


def test_an_approved_deployment_in_the_queue_needs_approval_again_under_a_stricter_rule(
    harness: GatewayHarness,
) -> None:
    harness.environment(approval={"required": 1})
    first = harness.deploy(harness.release("1.0.0"))
    grant(harness, first, "bob")
    queued = harness.deploy(harness.release("1.1.0"))
    grant(harness, queued, "bob")
    assert harness.facts(queued, "queued")

    ask_for(harness, required=2)
    harness.do("deployment.abort", {"deployment": first})
    while not harness.facts(first, "rolled_back"):
        latest = harness.facts(first, "step_started")[-1]
        harness.report(first, latest["step"], leg=latest["leg"], attempt=latest["attempt"])
    harness.do("deployment.proceed", {"deployment": queued}, sender="system:orchestrator")

    assert not harness.facts(queued, "started")
    grant(harness, queued, "carol")
    assert harness.facts(queued, "started")


def test_a_plan_whose_approval_was_given_under_a_weaker_rule_is_asked_again(harness: GatewayHarness) -> None:
    harness.environment(approval={"required": 1})
    release = harness.release("1.0.0")
    planned = str(harness.do("deployment.plan", {"release": release, "environment": "staging"})["deployment"])
    harness.do("approval.request", {"deployment": planned})
    grant(harness, planned, "bob")

    ask_for(harness, required=2)

    harness.deploy(release)
    assert not harness.facts(planned, "started")
    grant(harness, planned, "carol")
    assert harness.facts(planned, "started")
