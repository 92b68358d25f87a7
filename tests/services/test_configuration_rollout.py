"""A changed configuration is planned, approved and rolled out like another version; nothing comes in unannounced."""

from typing import Any

from tests.services.gateway_harness import GatewayHarness, on_both_stores


def bring(harness: GatewayHarness, ref: str, **data: Any) -> str:
    """Deploy at once, and report every step as done."""
    deployment = harness.deploy(ref, strategy="recreate", **data)
    harness.carry_out(deployment)
    return deployment


def provisioned(harness: GatewayHarness, deployment: str) -> list[dict[str, Any]]:
    """The variables of every provision that was ordered."""
    started = harness.facts(deployment, "step_started")
    return [fact.get("variables", {}) for fact in started if fact["action"]["verb"] == "provision"]


@on_both_stores
def test_a_deploy_of_the_same_release_rolls_out_a_changed_variable(harness: GatewayHarness) -> None:
    harness.environment(variables={"GREETING": "hello"})
    first = bring(harness, harness.release("1.0.0"))
    harness.environment(variables={"GREETING": "good morning"})

    again = bring(harness, "shop@1.0.0")

    assert again != first
    assert provisioned(harness, again) == [{"GREETING": "good morning"}]


@on_both_stores
def test_deploying_a_version_that_runs_as_declared_is_already_so_and_the_answer_says_so(
    harness: GatewayHarness,
) -> None:
    harness.environment()
    first = bring(harness, harness.release("1.0.0"))

    answer = harness.do("deployment.deploy", {"release": "shop@1.0.0", "environment": "staging"})

    assert (answer["deployment"], answer["already_so"]) == (first, True)
    assert len(harness.records("deployment.planned")) == 1


@on_both_stores
def test_a_redeploy_brings_the_same_again_and_a_record_says_that_it_was_forced(harness: GatewayHarness) -> None:
    harness.environment()
    first = bring(harness, harness.release("1.0.0"))

    forced = bring(harness, "shop@1.0.0", redeploy=True)

    assert forced != first
    assert len(provisioned(harness, forced)) == 1
    [planned] = harness.facts(forced, "planned")
    assert planned["redeploys"] is True
    assert planned["plan"]["notes"] == ["web 1.0.0 on main is the same, and is brought again"]
    assert "redeploys" not in harness.facts(first, "planned")[0]
    assert harness.facts(forced, "succeeded")


@on_both_stores
def test_a_redeploy_that_is_sent_twice_is_done_once(harness: GatewayHarness) -> None:
    harness.environment()
    bring(harness, harness.release("1.0.0"))
    envelope = harness.envelope(
        "deployment.deploy",
        {"release": "shop@1.0.0", "environment": "staging", "strategy": "recreate", "redeploy": True},
    )

    first = harness.gateway.ask(envelope).result(20.0)
    harness.carry_out(str(first.result["deployment"]))
    second = harness.gateway.ask(envelope).result(20.0)

    assert second.result == first.result
    assert len(harness.records("deployment.planned")) == 2


def test_a_redeploy_is_not_dropped_while_another_deployment_of_the_release_is_under_way(
    harness: GatewayHarness,
) -> None:
    harness.environment()
    under_way = harness.deploy(harness.release("1.0.0"), strategy="recreate")

    refused = harness.ask("deployment.deploy", {"release": "shop@1.0.0", "environment": "staging", "redeploy": True})

    assert refused.reason == (
        f"deployment {under_way} of shop@1.0.0 to staging is Progressing; let it end, or abort it, before you redeploy"
    )


def test_a_redeploy_that_is_under_way_is_answered_as_it_is(harness: GatewayHarness) -> None:
    harness.environment()
    bring(harness, harness.release("1.0.0"))
    wanted = {"release": "shop@1.0.0", "environment": "staging", "strategy": "recreate", "redeploy": True}

    first, second = harness.do("deployment.deploy", wanted), harness.do("deployment.deploy", wanted)

    assert first["deployment"] == second["deployment"]


def test_a_plan_that_redeploys_nothing_is_not_taken_for_a_redeploy(harness: GatewayHarness) -> None:
    harness.environment()
    bring(harness, harness.release("1.0.0"))
    harness.environment(variables={"GREETING": "hello"})
    planned = harness.do("deployment.plan", {"release": "shop@1.0.0", "environment": "staging"})["deployment"]

    forced = harness.deploy("shop@1.0.0", redeploy=True)

    assert forced != planned
    assert harness.facts(str(planned), "superseded")


def test_the_retry_of_a_redeploy_redeploys(harness: GatewayHarness) -> None:
    harness.environment()
    bring(harness, harness.release("1.0.0"))
    failed = harness.deploy("shop@1.0.0", strategy="recreate", redeploy=True)
    harness.do("deployment.abort", {"deployment": failed})
    for _ in range(10):
        for fact in harness.facts(failed, "step_started"):
            harness.report(failed, fact["step"], attempt=fact["attempt"], leg=fact["leg"])
    assert harness.facts(failed, "rolled_back")

    retried = str(harness.do("deployment.retry", {"deployment": failed})["deployment"])
    harness.carry_out(retried)

    assert harness.facts(retried, "planned")[0]["redeploys"] is True
    assert len(provisioned(harness, retried)) == 1


# Nothing comes in unannounced


APPROVED: dict[str, Any] = {"approval": {"required": 1}}


@on_both_stores
def test_a_changed_variable_voids_an_approval_that_waits_and_says_why(harness: GatewayHarness) -> None:
    harness.environment(variables={"GREETING": "hello"}, **APPROVED)
    deployment = harness.deploy(harness.release("1.0.0"), strategy="recreate")
    [asked] = harness.facts(deployment, "approval_awaited")
    harness.environment(variables={"GREETING": "good morning"})

    harness.do("approval.grant", {"approval": asked["approval"]}, actor="bob")

    [voided] = harness.records("approval.voided")
    assert voided["data"]["reason"] == "the configuration of web on main has changed since approval was asked for"
    assert not harness.facts(deployment, "started")
    [replanned] = harness.facts(deployment, "replanned")
    assert replanned["reason"] == "the configuration of web on main has changed"
    latest = harness.facts(deployment, "approval_awaited")[-1]["approval"]
    harness.do("approval.grant", {"approval": latest}, actor="bob")
    harness.carry_out(deployment)
    assert provisioned(harness, deployment) == [{"GREETING": "good morning"}]


@on_both_stores
def test_a_changed_variable_voids_an_approval_that_was_given_before_the_deploy_and_names_it(
    harness: GatewayHarness,
) -> None:
    harness.environment(variables={"GREETING": "hello"})
    bring(harness, harness.release("1.0.0"))
    harness.environment(variables={"GREETING": "good morning"}, **APPROVED)
    planned = str(harness.do("deployment.plan", {"release": "shop@1.0.0", "environment": "staging"})["deployment"])
    asked = harness.do("approval.request", {"deployment": planned})
    harness.do("approval.grant", {"approval": asked["approval"]}, actor="bob")
    harness.environment(variables={"GREETING": "good evening"})

    answer = harness.do("deployment.deploy", {"release": "shop@1.0.0", "environment": "staging"})

    assert (answer["deployment"], answer["phase"]) == (planned, "AwaitingApproval")
    [voided] = harness.records("approval.voided")
    named = "the configuration of web on main has changed (GREETING)"
    assert voided["data"]["reason"] == f"{named} since approval was asked for"
    assert [fact["reason"] for fact in harness.facts(planned, "replanned")] == [named]


@on_both_stores
def test_a_variable_that_changes_while_a_deployment_is_queued_is_planned_anew_before_it_starts(
    harness: GatewayHarness,
) -> None:
    harness.environment(variables={"GREETING": "hello"})
    bring(harness, harness.release("1.0.0"))
    ahead = harness.deploy(harness.release("1.1.0"), strategy="recreate")
    queued = harness.deploy(harness.release("1.2.0"), strategy="recreate")
    harness.environment(variables={"GREETING": "good morning"})

    harness.carry_out(ahead)
    harness.do("deployment.proceed", {"deployment": queued})

    assert provisioned(harness, ahead) == [{"GREETING": "hello"}], "what has started keeps what it was planned with"
    [replanned] = harness.facts(queued, "replanned")
    assert replanned["plan"]["changes"][0]["differs"][0]["name"] == "GREETING"
    harness.carry_out(queued)
    assert provisioned(harness, queued) == [{"GREETING": "good morning"}]


def test_a_step_that_is_tried_again_has_what_it_was_planned_with(harness: GatewayHarness) -> None:
    harness.environment(variables={"GREETING": "hello"})
    deployment = harness.deploy(harness.release("1.0.0"), strategy="recreate")
    harness.environment(variables={"GREETING": "good morning"})
    harness.report(deployment, 0, "errored")
    harness.clock.advance(10)
    harness.do("deployment.retry_step", {"deployment": deployment, "leg": "forward", "step": 0, "attempt": 1})

    assert provisioned(harness, deployment) == [{"GREETING": "hello"}, {"GREETING": "hello"}]


@on_both_stores
def test_the_way_back_has_the_configuration_that_ran_and_not_the_one_declared_meanwhile(
    harness: GatewayHarness,
) -> None:
    harness.environment(variables={"GREETING": "hello"})
    bring(harness, harness.release("1.0.0"))
    harness.environment(variables={"GREETING": "good morning"})
    deployment = harness.deploy(harness.release("1.1.0"), strategy="recreate")
    for step in range(4):
        harness.report(deployment, step)
    harness.environment(variables={"GREETING": "good evening"})
    harness.do("deployment.abort", {"deployment": deployment})
    for _ in range(10):
        for fact in harness.facts(deployment, "step_started"):
            harness.report(deployment, fact["step"], attempt=fact["attempt"], leg=fact["leg"])

    assert harness.facts(deployment, "rolled_back")
    assert provisioned(harness, deployment) == [{"GREETING": "good morning"}, {"GREETING": "hello"}]


@on_both_stores
def test_a_retry_is_planned_with_what_is_declared_now_and_shows_it(harness: GatewayHarness) -> None:
    harness.environment(variables={"GREETING": "hello"})
    bring(harness, harness.release("1.0.0"))
    failed = harness.deploy(harness.release("1.1.0"), strategy="recreate")
    harness.do("deployment.abort", {"deployment": failed})
    for _ in range(10):
        for fact in harness.facts(failed, "step_started"):
            harness.report(failed, fact["step"], attempt=fact["attempt"], leg=fact["leg"])
    harness.environment(variables={"GREETING": "good morning"})

    retried = str(harness.do("deployment.retry", {"deployment": failed})["deployment"])

    [planned] = harness.facts(retried, "planned")
    assert planned["plan"]["changes"][0]["differs"] == [
        {"name": "GREETING", "before": "hello", "after": "good morning"}
    ]
