"""A changed configuration is planned, approved and rolled out like another version; nothing comes in unannounced."""

from typing import Any

from tests.services.gateway_harness import Office, on_both_stores


def bring(office: Office, ref: str, **data: Any) -> str:
    """Deploy at once, and report every step as done."""
    deployment = office.deploy(ref, strategy="recreate", **data)
    office.carry_out(deployment)
    return deployment


def provisioned(office: Office, deployment: str) -> list[dict[str, Any]]:
    """The variables of every provision that was ordered."""
    started = office.facts(deployment, "step_started")
    return [fact.get("variables", {}) for fact in started if fact["action"]["verb"] == "provision"]


@on_both_stores
def test_a_deploy_of_the_same_release_rolls_out_a_changed_variable(office: Office) -> None:
    office.environment(variables={"GREETING": "hello"})
    first = bring(office, office.release("1.0.0"))
    office.environment(variables={"GREETING": "good morning"})

    again = bring(office, "shop@1.0.0")

    assert again != first
    assert provisioned(office, again) == [{"GREETING": "good morning"}]


@on_both_stores
def test_deploying_a_version_that_runs_as_declared_is_already_so_and_the_answer_says_so(office: Office) -> None:
    office.environment()
    first = bring(office, office.release("1.0.0"))

    answer = office.do("deployment.deploy", {"release": "shop@1.0.0", "environment": "staging"})

    assert (answer["deployment"], answer["already_so"]) == (first, True)
    assert len(office.records("deployment.planned")) == 1


@on_both_stores
def test_a_redeploy_brings_the_same_again_and_a_record_says_that_it_was_forced(office: Office) -> None:
    office.environment()
    first = bring(office, office.release("1.0.0"))

    forced = bring(office, "shop@1.0.0", redeploy=True)

    assert forced != first
    assert len(provisioned(office, forced)) == 1
    [planned] = office.facts(forced, "planned")
    assert planned["redeploys"] is True
    assert planned["plan"]["notes"] == ["web 1.0.0 on main is the same, and is brought again"]
    assert "redeploys" not in office.facts(first, "planned")[0]
    assert office.facts(forced, "succeeded")


@on_both_stores
def test_a_redeploy_that_is_sent_twice_is_done_once(office: Office) -> None:
    office.environment()
    bring(office, office.release("1.0.0"))
    envelope = office.envelope(
        "deployment.deploy",
        {"release": "shop@1.0.0", "environment": "staging", "strategy": "recreate", "redeploy": True},
    )

    first = office.gateway.ask(envelope).result(20.0)
    office.carry_out(str(first.result["deployment"]))
    second = office.gateway.ask(envelope).result(20.0)

    assert second.result == first.result
    assert len(office.records("deployment.planned")) == 2


def test_a_redeploy_is_not_dropped_while_another_deployment_of_the_release_is_under_way(office: Office) -> None:
    office.environment()
    under_way = office.deploy(office.release("1.0.0"), strategy="recreate")

    refused = office.ask("deployment.deploy", {"release": "shop@1.0.0", "environment": "staging", "redeploy": True})

    assert refused.reason == (
        f"deployment {under_way} of shop@1.0.0 to staging is Progressing; let it end, or abort it, before you redeploy"
    )


def test_a_redeploy_that_is_under_way_is_answered_as_it_is(office: Office) -> None:
    office.environment()
    bring(office, office.release("1.0.0"))
    wanted = {"release": "shop@1.0.0", "environment": "staging", "strategy": "recreate", "redeploy": True}

    first, second = office.do("deployment.deploy", wanted), office.do("deployment.deploy", wanted)

    assert first["deployment"] == second["deployment"]


def test_a_plan_that_redeploys_nothing_is_not_taken_for_a_redeploy(office: Office) -> None:
    office.environment()
    bring(office, office.release("1.0.0"))
    office.environment(variables={"GREETING": "hello"})
    planned = office.do("deployment.plan", {"release": "shop@1.0.0", "environment": "staging"})["deployment"]

    forced = office.deploy("shop@1.0.0", redeploy=True)

    assert forced != planned
    assert office.facts(str(planned), "superseded")


def test_the_retry_of_a_redeploy_redeploys(office: Office) -> None:
    office.environment()
    bring(office, office.release("1.0.0"))
    failed = office.deploy("shop@1.0.0", strategy="recreate", redeploy=True)
    office.do("deployment.abort", {"deployment": failed})
    for _ in range(10):
        for fact in office.facts(failed, "step_started"):
            office.report(failed, fact["step"], attempt=fact["attempt"], leg=fact["leg"])
    assert office.facts(failed, "rolled_back")

    retried = str(office.do("deployment.retry", {"deployment": failed})["deployment"])
    office.carry_out(retried)

    assert office.facts(retried, "planned")[0]["redeploys"] is True
    assert len(provisioned(office, retried)) == 1


# Nothing comes in unannounced


APPROVED: dict[str, Any] = {"approval": {"required": 1}}


@on_both_stores
def test_a_changed_variable_voids_an_approval_that_waits_and_says_why(office: Office) -> None:
    office.environment(variables={"GREETING": "hello"}, **APPROVED)
    deployment = office.deploy(office.release("1.0.0"), strategy="recreate")
    [asked] = office.facts(deployment, "approval_awaited")
    office.environment(variables={"GREETING": "good morning"})

    office.do("approval.grant", {"approval": asked["approval"]}, actor="bob")

    [voided] = office.records("approval.voided")
    assert voided["data"]["reason"] == "the configuration of web on main has changed since approval was asked for"
    assert not office.facts(deployment, "started")
    [replanned] = office.facts(deployment, "replanned")
    assert replanned["reason"] == "the configuration of web on main has changed"
    latest = office.facts(deployment, "approval_awaited")[-1]["approval"]
    office.do("approval.grant", {"approval": latest}, actor="bob")
    office.carry_out(deployment)
    assert provisioned(office, deployment) == [{"GREETING": "good morning"}]


@on_both_stores
def test_a_changed_variable_voids_an_approval_that_was_given_before_the_deploy_and_names_it(office: Office) -> None:
    office.environment(variables={"GREETING": "hello"})
    bring(office, office.release("1.0.0"))
    office.environment(variables={"GREETING": "good morning"}, **APPROVED)
    planned = str(office.do("deployment.plan", {"release": "shop@1.0.0", "environment": "staging"})["deployment"])
    asked = office.do("approval.request", {"deployment": planned})
    office.do("approval.grant", {"approval": asked["approval"]}, actor="bob")
    office.environment(variables={"GREETING": "good evening"})

    answer = office.do("deployment.deploy", {"release": "shop@1.0.0", "environment": "staging"})

    assert (answer["deployment"], answer["phase"]) == (planned, "AwaitingApproval")
    [voided] = office.records("approval.voided")
    named = "the configuration of web on main has changed (GREETING)"
    assert voided["data"]["reason"] == f"{named} since approval was asked for"
    assert [fact["reason"] for fact in office.facts(planned, "replanned")] == [named]


@on_both_stores
def test_a_variable_that_changes_while_a_deployment_is_queued_is_planned_anew_before_it_starts(office: Office) -> None:
    office.environment(variables={"GREETING": "hello"})
    bring(office, office.release("1.0.0"))
    ahead = office.deploy(office.release("1.1.0"), strategy="recreate")
    queued = office.deploy(office.release("1.2.0"), strategy="recreate")
    office.environment(variables={"GREETING": "good morning"})

    office.carry_out(ahead)
    office.do("deployment.proceed", {"deployment": queued})

    assert provisioned(office, ahead) == [{"GREETING": "hello"}], "what has started keeps what it was planned with"
    [replanned] = office.facts(queued, "replanned")
    assert replanned["plan"]["changes"][0]["differs"][0]["name"] == "GREETING"
    office.carry_out(queued)
    assert provisioned(office, queued) == [{"GREETING": "good morning"}]


def test_a_step_that_is_tried_again_has_what_it_was_planned_with(office: Office) -> None:
    office.environment(variables={"GREETING": "hello"})
    deployment = office.deploy(office.release("1.0.0"), strategy="recreate")
    office.environment(variables={"GREETING": "good morning"})
    office.report(deployment, 0, "errored")
    office.clock.advance(10)
    office.do("deployment.retry_step", {"deployment": deployment, "leg": "forward", "step": 0, "attempt": 1})

    assert provisioned(office, deployment) == [{"GREETING": "hello"}, {"GREETING": "hello"}]


@on_both_stores
def test_the_way_back_has_the_configuration_that_ran_and_not_the_one_declared_meanwhile(office: Office) -> None:
    office.environment(variables={"GREETING": "hello"})
    bring(office, office.release("1.0.0"))
    office.environment(variables={"GREETING": "good morning"})
    deployment = office.deploy(office.release("1.1.0"), strategy="recreate")
    for step in range(4):
        office.report(deployment, step)
    office.environment(variables={"GREETING": "good evening"})
    office.do("deployment.abort", {"deployment": deployment})
    for _ in range(10):
        for fact in office.facts(deployment, "step_started"):
            office.report(deployment, fact["step"], attempt=fact["attempt"], leg=fact["leg"])

    assert office.facts(deployment, "rolled_back")
    assert provisioned(office, deployment) == [{"GREETING": "good morning"}, {"GREETING": "hello"}]


@on_both_stores
def test_a_retry_is_planned_with_what_is_declared_now_and_shows_it(office: Office) -> None:
    office.environment(variables={"GREETING": "hello"})
    bring(office, office.release("1.0.0"))
    failed = office.deploy(office.release("1.1.0"), strategy="recreate")
    office.do("deployment.abort", {"deployment": failed})
    for _ in range(10):
        for fact in office.facts(failed, "step_started"):
            office.report(failed, fact["step"], attempt=fact["attempt"], leg=fact["leg"])
    office.environment(variables={"GREETING": "good morning"})

    retried = str(office.do("deployment.retry", {"deployment": failed})["deployment"])

    [planned] = office.facts(retried, "planned")
    assert planned["plan"]["changes"][0]["differs"] == [
        {"name": "GREETING", "before": "hello", "after": "good morning"}
    ]
