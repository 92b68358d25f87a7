"""Approval rules that change while something waits."""

from tests.services.gateway_harness import Office, on_both_stores


def waiting(office: Office, **rule: object) -> str:
    office.environment(approval={"required": 2, **rule})
    deployment = office.deploy(office.release("1.0.0"))
    assert office.facts(deployment, "approval_awaited")
    return deployment


def grant(office: Office, deployment: str, actor: str) -> None:
    office.do("approval.grant", {"approval": deployment}, actor=actor)


def ask_for(office: Office, **rule: object) -> None:
    office.do("environment.configure", {"name": "staging", "approval": rule})


@on_both_stores
def test_a_weaker_rule_lets_what_waits_go_on_at_once(office: Office) -> None:
    deployment = waiting(office)
    grant(office, deployment, "bob")
    assert not office.facts(deployment, "started")

    ask_for(office, required=1)

    assert office.facts(deployment, "started")
    assert office.records("approval.completed")


def test_a_waiting_deployment_starts_once_no_approval_is_required_any_more(office: Office) -> None:
    deployment = waiting(office)

    ask_for(office, required=0)

    assert office.facts(deployment, "started")


@on_both_stores
def test_a_stricter_rule_is_asked_of_what_waits(office: Office) -> None:
    deployment = waiting(office)
    grant(office, deployment, "bob")

    ask_for(office, required=3)

    grant(office, deployment, "carol")
    assert not office.facts(deployment, "started")
    grant(office, deployment, "dave")
    assert office.facts(deployment, "started")


def test_a_signature_of_a_person_who_may_not_approve_any_more_does_not_count(office: Office) -> None:
    deployment = waiting(office)
    grant(office, deployment, "bob")

    ask_for(office, required=1, approvers=["carol"])

    assert not office.facts(deployment, "started")
    grant(office, deployment, "carol")
    assert office.facts(deployment, "started")


def test_an_approved_deployment_in_the_queue_needs_approval_again_under_a_stricter_rule(office: Office) -> None:
    office.environment(approval={"required": 1})
    first = office.deploy(office.release("1.0.0"))
    grant(office, first, "bob")
    queued = office.deploy(office.release("1.1.0"))
    grant(office, queued, "bob")
    assert office.facts(queued, "queued")

    ask_for(office, required=2)
    office.do("deployment.abort", {"deployment": first})
    while not office.facts(first, "rolled_back"):
        latest = office.facts(first, "step_started")[-1]
        office.report(first, latest["step"], leg=latest["leg"], attempt=latest["attempt"])
    office.do("deployment.proceed", {"deployment": queued}, sender="system:orchestrator")

    assert not office.facts(queued, "started")
    grant(office, queued, "carol")
    assert office.facts(queued, "started")


def test_a_plan_whose_approval_was_given_under_a_weaker_rule_is_asked_again(office: Office) -> None:
    office.environment(approval={"required": 1})
    release = office.release("1.0.0")
    planned = str(office.do("deployment.plan", {"release": release, "environment": "staging"})["deployment"])
    office.do("approval.request", {"deployment": planned})
    grant(office, planned, "bob")

    ask_for(office, required=2)

    office.deploy(release)
    assert not office.facts(planned, "started")
    grant(office, planned, "carol")
    assert office.facts(planned, "started")
