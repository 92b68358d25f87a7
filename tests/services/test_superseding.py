"""A hotfix that cannot wait for what is on its way."""

from typing import Any

import pytest

from tests.services.gateway_harness import Office, on_both_stores

CANARY: dict[str, Any] = {
    "strategy": "canary",
    "options": {"steps": [{"set_weight": 25}, {"pause": {}}], "abort_scale_down_delay": 0},
}


def test_a_hotfix_supersedes_a_running_canary_and_keeps_the_original_stable_as_its_base(office: Office) -> None:
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))
    canary = office.deploy(office.release("1.1.0"), **CANARY)
    for step in range(3):
        office.report(canary, step)
    assert office.facts(canary, "paused")

    hotfix = office.deploy(office.release("1.1.1"), supersede=True)

    assert office.facts(canary, "aborting")[0]["cause"] == "superseded"
    assert office.facts(hotfix, "queued")[0]["behind"] == [canary]
    while not office.facts(canary, "rolled_back"):
        started = office.facts(canary, "step_started")[-1]
        office.report(canary, started["step"], leg="rollback")
    assert office.records("place.unlocked")[-1]["data"]["next"] == hotfix
    office.do("deployment.proceed", {"deployment": hotfix})
    [binding] = office.facts(hotfix, "started")[0]["bindings"]
    assert binding["stable"]["version"] == "1.0.0"


def test_a_hotfix_goes_past_those_that_wait_before_it(office: Office) -> None:
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))
    running = office.deploy(office.release("1.1.0"))
    waiting = office.deploy(office.release("1.2.0"))

    hotfix = office.deploy(office.release("1.1.1"), supersede=True)

    assert office.facts(waiting, "superseded") == [{"successor": hotfix}]
    assert office.facts(running, "aborting")
    assert not office.facts(waiting, "started")


def test_without_being_asked_to_nothing_gives_way(office: Office) -> None:
    office.environment()
    running = office.deploy(office.release("1.0.0"))

    waiting = office.deploy(office.release("1.1.0"))

    assert office.facts(waiting, "queued")[0]["behind"] == [running]
    assert not office.facts(running, "aborting")


@pytest.mark.parametrize("granted", [False, True], ids=["waiting", "granted"])
def test_the_approval_of_a_plan_that_another_takes_the_place_of_is_void(office: Office, granted: bool) -> None:
    approval = planned_with_approval(office, granted=granted)

    office.do("deployment.plan", {"release": "shop@1.0.0", "environment": "staging", "strategy": "recreate"})

    [voided] = office.records("approval.voided")
    assert voided["subject"] == f"approval:{approval}"
    assert voided["data"]["reason"] == "its deployment was superseded"
    refused = office.ask("approval.grant", {"approval": approval}, actor="carol")
    assert refused.reason == f"approval {approval} is Voided; only a waiting one can be decided"


def test_the_approval_of_one_that_gives_way_is_void(office: Office) -> None:
    approval = planned_with_approval(office, granted=True)
    office.do("environment.configure", {"name": "staging", "approval": {"required": 0}})
    running = office.deploy(office.release("0.9.0"))
    office.do("environment.configure", {"name": "staging", "approval": {"required": 1}})
    office.deploy("shop@1.0.0")
    assert office.records("place.queued")
    office.do("environment.configure", {"name": "staging", "approval": {"required": 0}})

    office.deploy(office.release("1.1.0"), supersede=True)

    assert office.facts(running, "aborting")
    assert [record["subject"] for record in office.records("approval.voided")] == [f"approval:{approval}"]


def planned_with_approval(office: Office, *, granted: bool) -> str:
    office.environment(approval={"required": 1})
    planned = office.do("deployment.plan", {"release": office.release("1.0.0"), "environment": "staging"})
    approval = str(office.do("approval.request", {"deployment": planned["deployment"]})["approval"])
    if granted:
        office.do("approval.grant", {"approval": approval}, actor="bob")
    return approval


def test_a_plan_that_is_to_wait_for_another_time_is_another_plan(office: Office) -> None:
    office.environment()
    asked = {"release": office.release("1.0.0"), "environment": "staging", "strategy": "rolling"}
    hour = {**asked, "options": {"plan_deadline": "1h"}}
    first = office.do("deployment.plan", hour)["deployment"]

    again = office.do("deployment.plan", {**asked, "options": {"plan_deadline": 3600}})["deployment"]
    longer = office.do("deployment.plan", {**asked, "options": {"plan_deadline": "2h"}})["deployment"]
    usual = office.do("deployment.plan", asked)["deployment"]

    assert again == first
    assert len({first, longer, usual}) == 3
    deadlines = [office.facts(str(id), "planned")[0]["deadline"] for id in (first, longer, usual)]
    assert deadlines == sorted(deadlines)
    assert office.facts(str(longer), "superseded") == [{"successor": usual}]


def canary_under_way(office: Office) -> str:
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))
    canary = office.deploy(office.release("1.1.0"), **CANARY)
    for step in range(3):
        office.report(canary, step)
    return canary


@on_both_stores
def test_a_queued_deployment_supersedes_when_it_is_deployed_again_with_supersede(office: Office) -> None:
    canary = canary_under_way(office)
    hotfix = office.deploy(office.release("1.1.1"))
    assert not office.facts(canary, "aborting")

    assert office.deploy("shop@1.1.1", supersede=True) == hotfix

    assert office.facts(canary, "aborting")[0]["cause"] == "superseded"


@on_both_stores
def test_supersede_is_kept_until_the_approval_is_given(office: Office) -> None:
    canary = canary_under_way(office)
    office.do("environment.configure", {"name": "staging", "approval": {"required": 1}})
    hotfix = office.deploy(office.release("1.1.1"), supersede=True)
    assert office.facts(hotfix, "approval_awaited")
    assert not office.facts(canary, "aborting")

    office.do("approval.grant", {"approval": hotfix}, actor="bob")

    assert office.facts(canary, "aborting")[0]["reason"] == "superseded by shop@1.1.1"
    assert office.facts(hotfix, "insisted") == [
        {"by": office.facts(hotfix, "requested")[0]["by"], "supersede": True, "downgrade": False}
    ]


def test_supersede_said_while_approval_is_awaited_is_kept_and_the_asker_stays_who_asked(office: Office) -> None:
    canary = canary_under_way(office)
    office.do("environment.configure", {"name": "staging", "approval": {"required": 1}})
    hotfix = office.deploy(office.release("1.1.1"))

    office.do(
        "deployment.deploy", {"release": "shop@1.1.1", "environment": "staging", "supersede": True}, actor="carol"
    )
    by_who_asked = office.ask("approval.grant", {"approval": hotfix})

    assert "somebody else must" in str(by_who_asked.reason)
    office.do("approval.grant", {"approval": hotfix}, actor="bob")
    assert office.facts(canary, "aborting")


def test_those_that_wait_behind_it_stay_where_they_are(office: Office) -> None:
    canary_under_way(office)
    hotfix = office.deploy(office.release("1.1.1"))
    behind = office.deploy(office.release("1.2.0"))

    office.deploy("shop@1.1.1", supersede=True)

    assert office.facts(behind, "superseded") == []
    assert office.facts(hotfix, "rejected") == []


def test_retried_it_still_supersedes(office: Office) -> None:
    canary = canary_under_way(office)
    hotfix = office.deploy(office.release("1.1.1"), supersede=True)
    office.do("deployment.abort", {"deployment": hotfix})

    again = str(office.do("deployment.retry", {"deployment": hotfix})["deployment"])

    assert office.facts(canary, "aborting")
    assert office.facts(again, "insisted")[0]["supersede"] is True


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
    office: Office, command: str, asked: dict[str, Any], reason: str
) -> None:
    canary = canary_under_way(office)

    refused = office.ask(command, {"release": "shop@1.1.0", "environment": "staging", **asked})

    assert reason in str(refused.reason)
    assert f"deployment {canary} of shop@1.1.0 to staging is Paused with canary" in str(refused.reason)
    assert office.deploy("shop@1.1.0", **CANARY) == canary
