"""A hotfix that cannot wait for what is on its way."""

from typing import Any

import pytest

from tests.services.gateway_harness import GatewayHarness, on_both_stores

CANARY: dict[str, Any] = {
    "strategy": "canary",
    "options": {"steps": [{"set_weight": 25}, {"pause": {}}], "abort_scale_down_delay": 0},
}


def test_a_hotfix_supersedes_a_running_canary_and_keeps_the_original_stable_as_its_base(
    harness: GatewayHarness,
) -> None:
    harness.environment()
    harness.carry_out(harness.deploy(harness.release("1.0.0")))
    canary = harness.deploy(harness.release("1.1.0"), **CANARY)
    for step in range(3):
        harness.report(canary, step)
    assert harness.facts(canary, "paused")

    hotfix = harness.deploy(harness.release("1.1.1"), supersede=True)

    assert harness.facts(canary, "aborting")[0]["cause"] == "superseded"
    assert harness.facts(hotfix, "queued")[0]["behind"] == [canary]
    while not harness.facts(canary, "rolled_back"):
        started = harness.facts(canary, "step_started")[-1]
        harness.report(canary, started["step"], leg="rollback")
    assert harness.records("place.unlocked")[-1]["data"]["next"] == hotfix
    harness.do("deployment.proceed", {"deployment": hotfix})
    [binding] = harness.facts(hotfix, "started")[0]["bindings"]
    assert binding["stable"]["version"] == "1.0.0"


def test_a_hotfix_goes_past_those_that_wait_before_it(harness: GatewayHarness) -> None:
    harness.environment()
    harness.carry_out(harness.deploy(harness.release("1.0.0")))
    running = harness.deploy(harness.release("1.1.0"))
    waiting = harness.deploy(harness.release("1.2.0"))

    hotfix = harness.deploy(harness.release("1.1.1"), supersede=True)

    assert harness.facts(waiting, "superseded") == [{"successor": hotfix}]
    assert harness.facts(running, "aborting")
    assert not harness.facts(waiting, "started")


def test_without_being_asked_to_nothing_gives_way(harness: GatewayHarness) -> None:
    harness.environment()
    running = harness.deploy(harness.release("1.0.0"))

    waiting = harness.deploy(harness.release("1.1.0"))

    assert harness.facts(waiting, "queued")[0]["behind"] == [running]
    assert not harness.facts(running, "aborting")


@pytest.mark.parametrize("granted", [False, True], ids=["waiting", "granted"])
def test_the_approval_of_a_plan_that_another_takes_the_place_of_is_void(harness: GatewayHarness, granted: bool) -> None:
    approval = planned_with_approval(harness, granted=granted)

    harness.do("deployment.plan", {"release": "shop@1.0.0", "environment": "staging", "strategy": "recreate"})

    [voided] = harness.records("approval.voided")
    assert voided["subject"] == f"approval:{approval}"
    assert voided["data"]["reason"] == "its deployment was superseded"
    refused = harness.ask("approval.grant", {"approval": approval}, actor="carol")
    assert refused.reason == f"approval {approval} is Voided; only a waiting one can be decided"


def test_the_approval_of_one_that_gives_way_is_void(harness: GatewayHarness) -> None:
    approval = planned_with_approval(harness, granted=True)
    harness.do("environment.configure", {"name": "staging", "approval": {"required": 0}})
    running = harness.deploy(harness.release("0.9.0"))
    harness.do("environment.configure", {"name": "staging", "approval": {"required": 1}})
    harness.deploy("shop@1.0.0")
    assert harness.records("place.queued")
    harness.do("environment.configure", {"name": "staging", "approval": {"required": 0}})

    harness.deploy(harness.release("1.1.0"), supersede=True)

    assert harness.facts(running, "aborting")
    assert [record["subject"] for record in harness.records("approval.voided")] == [f"approval:{approval}"]


def planned_with_approval(harness: GatewayHarness, *, granted: bool) -> str:
    harness.environment(approval={"required": 1})
    planned = harness.do("deployment.plan", {"release": harness.release("1.0.0"), "environment": "staging"})
    approval = str(harness.do("approval.request", {"deployment": planned["deployment"]})["approval"])
    if granted:
        harness.do("approval.grant", {"approval": approval}, actor="bob")
    return approval


def test_a_plan_that_is_to_wait_for_another_time_is_another_plan(harness: GatewayHarness) -> None:
    harness.environment()
    asked = {"release": harness.release("1.0.0"), "environment": "staging", "strategy": "rolling"}
    hour = {**asked, "options": {"plan_deadline": "1h"}}
    first = harness.do("deployment.plan", hour)["deployment"]

    again = harness.do("deployment.plan", {**asked, "options": {"plan_deadline": 3600}})["deployment"]
    longer = harness.do("deployment.plan", {**asked, "options": {"plan_deadline": "2h"}})["deployment"]
    usual = harness.do("deployment.plan", asked)["deployment"]

    assert again == first
    assert len({first, longer, usual}) == 3
    deadlines = [harness.facts(str(id), "planned")[0]["deadline"] for id in (first, longer, usual)]
    assert deadlines == sorted(deadlines)
    assert harness.facts(str(longer), "superseded") == [{"successor": usual}]


def canary_under_way(harness: GatewayHarness) -> str:
    harness.environment()
    harness.carry_out(harness.deploy(harness.release("1.0.0")))
    canary = harness.deploy(harness.release("1.1.0"), **CANARY)
    for step in range(3):
        harness.report(canary, step)
    return canary


@on_both_stores
def test_a_queued_deployment_supersedes_when_it_is_deployed_again_with_supersede(harness: GatewayHarness) -> None:
    canary = canary_under_way(harness)
    hotfix = harness.deploy(harness.release("1.1.1"))
    assert not harness.facts(canary, "aborting")

    assert harness.deploy("shop@1.1.1", supersede=True) == hotfix

    assert harness.facts(canary, "aborting")[0]["cause"] == "superseded"


@on_both_stores
def test_supersede_is_kept_until_the_approval_is_given(harness: GatewayHarness) -> None:
    canary = canary_under_way(harness)
    harness.do("environment.configure", {"name": "staging", "approval": {"required": 1}})
    hotfix = harness.deploy(harness.release("1.1.1"), supersede=True)
    assert harness.facts(hotfix, "approval_awaited")
    assert not harness.facts(canary, "aborting")

    harness.do("approval.grant", {"approval": hotfix}, actor="bob")

    assert harness.facts(canary, "aborting")[0]["reason"] == "superseded by shop@1.1.1"
    assert harness.facts(hotfix, "insisted") == [
        {"by": harness.facts(hotfix, "requested")[0]["by"], "supersede": True, "downgrade": False}
    ]


def test_supersede_said_while_approval_is_awaited_is_kept_and_the_asker_stays_who_asked(
    harness: GatewayHarness,
) -> None:
    canary = canary_under_way(harness)
    harness.do("environment.configure", {"name": "staging", "approval": {"required": 1}})
    hotfix = harness.deploy(harness.release("1.1.1"))

    harness.do(
        "deployment.deploy", {"release": "shop@1.1.1", "environment": "staging", "supersede": True}, actor="carol"
    )
    by_who_asked = harness.ask("approval.grant", {"approval": hotfix})

    assert "somebody else must" in str(by_who_asked.reason)
    harness.do("approval.grant", {"approval": hotfix}, actor="bob")
    assert harness.facts(canary, "aborting")


def test_those_that_wait_behind_it_stay_where_they_are(harness: GatewayHarness) -> None:
    canary_under_way(harness)
    hotfix = harness.deploy(harness.release("1.1.1"))
    behind = harness.deploy(harness.release("1.2.0"))

    harness.deploy("shop@1.1.1", supersede=True)

    assert harness.facts(behind, "superseded") == []
    assert harness.facts(hotfix, "rejected") == []


def test_retried_it_still_supersedes(harness: GatewayHarness) -> None:
    canary = canary_under_way(harness)
    hotfix = harness.deploy(harness.release("1.1.1"), supersede=True)
    harness.do("deployment.abort", {"deployment": hotfix})

    again = str(harness.do("deployment.retry", {"deployment": hotfix})["deployment"])

    assert harness.facts(canary, "aborting")
    assert harness.facts(again, "insisted")[0]["supersede"] is True


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"strategy": "recreate"}, "abort it before deploying with recreate"),
        ({"options": {"steps": [{"set_weight": 50}, {"pause": {}}]}}, "abort it before deploying with other options"),
        ({"strategy": "canary", "options": {"interval": "5s"}}, "abort it before deploying with other options"),
    ],
    ids=["strategy", "options", "both"],
)
@pytest.mark.parametrize("command", ["deployment.deploy", "deployment.plan"])
def test_another_strategy_or_other_options_of_what_is_under_way_are_refused(
    harness: GatewayHarness, command: str, asked: dict[str, Any], reason: str
) -> None:
    canary = canary_under_way(harness)

    refused = harness.ask(command, {"release": "shop@1.1.0", "environment": "staging", **asked})

    assert reason in str(refused.reason)
    assert f"deployment {canary} of shop@1.1.0 to staging is Paused with canary" in str(refused.reason)
    assert harness.deploy("shop@1.1.0", **CANARY) == canary
