"""Deployments that wait for a place, and for people."""

from typing import Any

from tests.services.gateway_harness import Office


def approved(office: Office, version: str) -> dict[str, Any]:
    """Planned by alice, approved by bob, deployed."""
    wanted = {"release": office.release(version), "environment": "production"}
    planned = office.do("deployment.plan", wanted)["deployment"]
    office.do("approval.request", {"deployment": planned})
    office.do("approval.grant", {"approval": planned}, actor="bob")
    return office.do("deployment.deploy", wanted)


def test_a_deployment_that_waits_for_approval_again_does_not_hold_up_the_queue(office: Office) -> None:
    office.environment("production")
    office.carry_out(str(approved(office, "1.0.0")["deployment"]))
    first, second, third = (approved(office, version) for version in ("1.1.0", "1.2.0", "1.3.0"))
    assert [each["phase"] for each in (first, second, third)] == ["Progressing", "Queued", "Queued"]
    changed = {"application": "shop", "strategy": "rolling", "options": {"min_ready": 5}}
    office.do("policy.configure_strategy", changed)
    office.carry_out(str(first["deployment"]))
    assert office.records("place.unlocked")[-1]["data"]["next"] == second["deployment"]

    voided = office.do("deployment.proceed", {"deployment": second["deployment"]})
    assert voided["phase"] == "AwaitingApproval"
    assert office.records("place.unqueued")[-1]["data"]["next"] == third["deployment"]
    assert office.do("deployment.proceed", {"deployment": third["deployment"]})["phase"] == "AwaitingApproval"
    granted = office.do("approval.grant", {"approval": third["deployment"]}, actor="bob")

    assert granted["phase"] == "Granted"
    assert office.facts(str(third["deployment"]), "started")
    assert office.facts(str(second["deployment"]), "started") == []
    older = {"release": "shop@1.2.0", "environment": "production"}
    assert office.do("deployment.deploy", older | {"downgrade": True})["phase"] == "AwaitingApproval"
    office.do("approval.grant", {"approval": second["deployment"]}, actor="bob")
    assert office.do("deployment.deploy", older)["phase"] == "Queued"


def test_a_cancelled_deployment_leaves_the_queue_to_the_next(office: Office) -> None:
    office.environment()
    first, second, third = (office.deploy(office.release(version)) for version in ("1.0.0", "2.0.0", "3.0.0"))
    office.do("deployment.abort", {"deployment": second})

    office.carry_out(first)

    assert office.records("place.unlocked")[-1]["data"]["next"] == third
    assert office.do("deployment.proceed", {"deployment": third})["phase"] == "Progressing"


def test_two_that_wait_do_not_wait_for_each_other_when_one_gets_another_place(office: Office) -> None:
    def targets(*names: str) -> list[dict[str, Any]]:
        web = {"command": ["{python}", "-m", "http.server"]}
        return [{"name": name, "components": {"web": web | {"port": 8100 + i}}} for i, name in enumerate(names)]

    office.do("environment.configure", {"name": "staging", "targets": targets("east")})
    holding = office.deploy(office.release("1.0.0"))
    first = office.deploy(office.release("1.1.0"), downgrade=True)
    office.do("environment.configure", {"name": "staging", "targets": targets("east", "west")})
    second = office.deploy(office.release("1.2.0"))
    assert office.facts(second, "queued")[0]["behind"] == [holding, first]

    office.carry_out(holding)
    waits = office.do("deployment.proceed", {"deployment": first})
    assert waits["phase"] == "Queued"
    assert office.records("place.unqueued")[-1]["data"]["next"] == second
    assert office.do("deployment.proceed", {"deployment": second})["phase"] == "Progressing"
