"""Deployments that wait for a place, and for people."""

from typing import Any

from tests.services.gateway_harness import GatewayHarness


def approved(harness: GatewayHarness, version: str) -> dict[str, Any]:
    """Planned by alice, approved by bob, deployed."""
    wanted = {"release": harness.release(version), "environment": "production"}
    planned = harness.do("deployment.plan", wanted)["deployment"]
    harness.do("approval.request", {"deployment": planned})
    harness.do("approval.grant", {"approval": planned}, actor="bob")
    return harness.do("deployment.deploy", wanted)


def test_a_deployment_that_waits_for_approval_again_does_not_hold_up_the_queue(harness: GatewayHarness) -> None:
    harness.environment("production")
    harness.carry_out(str(approved(harness, "1.0.0")["deployment"]))
    first, second, third = (approved(harness, version) for version in ("1.1.0", "1.2.0", "1.3.0"))
    assert [each["phase"] for each in (first, second, third)] == ["Progressing", "Queued", "Queued"]
    changed = {"application": "shop", "strategy": "rolling", "options": {"min_ready": 5}}
    harness.do("policy.configure_strategy", changed)
    harness.carry_out(str(first["deployment"]))
    assert harness.records("place.unlocked")[-1]["data"]["next"] == second["deployment"]

    voided = harness.do("deployment.proceed", {"deployment": second["deployment"]})
    assert voided["phase"] == "AwaitingApproval"
    assert harness.records("place.unqueued")[-1]["data"]["next"] == third["deployment"]
    assert harness.do("deployment.proceed", {"deployment": third["deployment"]})["phase"] == "AwaitingApproval"
    granted = harness.do("approval.grant", {"approval": third["deployment"]}, actor="bob")

    assert granted["phase"] == "Granted"
    assert harness.facts(str(third["deployment"]), "started")
    assert harness.facts(str(second["deployment"]), "started") == []
    older = {"release": "shop@1.2.0", "environment": "production"}
    assert harness.do("deployment.deploy", older | {"downgrade": True})["phase"] == "AwaitingApproval"
    harness.do("approval.grant", {"approval": second["deployment"]}, actor="bob")
    assert harness.do("deployment.deploy", older)["phase"] == "Queued"


def test_a_cancelled_deployment_leaves_the_queue_to_the_next(harness: GatewayHarness) -> None:
    harness.environment()
    first, second, third = (harness.deploy(harness.release(version)) for version in ("1.0.0", "2.0.0", "3.0.0"))
    harness.do("deployment.abort", {"deployment": second})

    harness.carry_out(first)

    assert harness.records("place.unlocked")[-1]["data"]["next"] == third
    assert harness.do("deployment.proceed", {"deployment": third})["phase"] == "Progressing"


def test_two_that_wait_do_not_wait_for_each_other_when_one_gets_another_place(harness: GatewayHarness) -> None:
    def targets(*names: str) -> list[dict[str, Any]]:
        web = {"command": ["{python}", "-m", "http.server"]}
        return [{"name": name, "components": {"web": web | {"port": 8100 + i}}} for i, name in enumerate(names)]

    harness.do("environment.configure", {"name": "staging", "targets": targets("east")})
    holding = harness.deploy(harness.release("1.0.0"))
    first = harness.deploy(harness.release("1.1.0"), downgrade=True)
    harness.do("environment.configure", {"name": "staging", "targets": targets("east", "west")})
    second = harness.deploy(harness.release("1.2.0"))
    assert harness.facts(second, "queued")[0]["behind"] == [holding, first]

    harness.carry_out(holding)
    waits = harness.do("deployment.proceed", {"deployment": first})
    assert waits["phase"] == "Queued"
    assert harness.records("place.unqueued")[-1]["data"]["next"] == second
    assert harness.do("deployment.proceed", {"deployment": second})["phase"] == "Progressing"
