"""Environments and targets that are given up."""

import pytest

from tests.services.gateway_harness import (
    COMMAND,
    GatewayHarness,
    on_both_stores,
)

MAIN = {"name": "main", "components": {"web": {"command": COMMAND, "port": 8080}}}
EU = {"name": "eu", "components": {"web": {"command": COMMAND, "port": 8081}}}


@pytest.fixture(name="serving")
def _serving(harness: GatewayHarness) -> GatewayHarness:
    """Release shop@1.0.0 runs on both targets of staging."""
    harness.do("environment.configure", {"name": "staging", "targets": [MAIN, EU]})
    harness.walk(harness.deploy(harness.release("1.0.0"), strategy="recreate"))
    return harness


def retire(harness: GatewayHarness, **data: object) -> list[str]:
    return [str(id) for id in harness.do("environment.retire", {"name": "staging", **data})["deployments"]]


@on_both_stores
def test_components_of_an_environment_are_stopped_by_a_plan_and_then_it_is_retired(serving: GatewayHarness) -> None:
    [stopping] = retire(serving, reason="moved to the cloud")

    retired = [fact["action"]["verb"] for fact in serving.facts(stopping, "step_started")]
    assert retired == ["route", "route"]
    assert not serving.records("environment.retired")
    serving.walk(stopping)

    assert len(serving.records("environment.retired")) == 1
    assert {fact["action"]["verb"] for fact in serving.facts(stopping, "step_started")} == {"route", "retire"}
    begun = serving.records("environment.retirement_begun")[0]["data"]
    assert begun["note"]["sealed"]
    assert retire(serving) == []


def test_nothing_new_comes_to_an_environment_that_is_retired_or_being_retired(serving: GatewayHarness) -> None:
    [stopping] = retire(serving)

    refused = serving.ask("deployment.deploy", {"release": serving.release("1.1.0"), "environment": "staging"})
    assert "staging is being retired; to take it back: relman env keep staging" in str(refused.reason)
    serving.walk(stopping)
    refused = serving.ask("environment.configure", {"name": "staging", "label": "Stage"})
    assert str(refused.reason).startswith("environment staging is retired")


def test_a_deployment_that_waits_for_approval_there_is_rejected(serving: GatewayHarness) -> None:
    serving.do("environment.configure", {"name": "staging", "approval": {"required": 1}})
    waiting = serving.deploy(serving.release("1.1.0"))
    assert serving.facts(waiting, "approval_awaited")

    [stopping] = retire(serving)

    [rejected] = serving.facts(waiting, "rejected")
    assert rejected["reason"].startswith("staging is being retired")
    assert serving.facts(stopping, "approval_awaited")
    serving.do("approval.grant", {"approval": stopping}, actor="bob")
    serving.walk(stopping)
    assert serving.records("environment.retired")


@on_both_stores
def test_one_target_is_retired_and_the_others_serve_on(serving: GatewayHarness) -> None:
    [stopping] = retire(serving, target="eu")
    serving.walk(stopping)

    [retired] = serving.records("environment.retired")
    assert retired["data"] == {"target": "eu"}
    newer = serving.deploy(serving.release("1.1.0"), strategy="recreate")
    serving.walk(newer)
    [started] = serving.facts(newer, "started")
    assert [binding["target"] for binding in started["bindings"]] == ["main"]


def test_an_environment_without_components_is_retired_at_once_and_its_ports_are_free(harness: GatewayHarness) -> None:
    harness.do("environment.configure", {"name": "staging", "targets": [MAIN]})

    assert retire(harness) == []

    assert harness.records("environment.retired")
    harness.do("environment.configure", {"name": "other", "targets": [MAIN]})


def test_an_environment_is_not_retired_while_a_deployment_is_at_work_there(serving: GatewayHarness) -> None:
    going = serving.deploy(serving.release("1.1.0"))

    refused = serving.ask("environment.retire", {"name": "staging"})

    assert f"deployment {going} is at work in staging/shop/main" in str(refused.reason)


def test_a_retirement_that_is_cancelled_leaves_what_still_runs(serving: GatewayHarness) -> None:
    [stopping] = retire(serving)
    serving.do("deployment.abort", {"deployment": stopping})
    for fact in serving.facts(stopping, "step_started"):
        serving.report(stopping, fact["step"], leg=fact["leg"], attempt=fact["attempt"])

    serving.do("environment.keep", {"name": "staging"})

    assert not serving.records("environment.retired")
    assert serving.deploy(serving.release("1.1.0"))


def test_a_retired_environment_is_taken_back_empty(serving: GatewayHarness) -> None:
    [stopping] = retire(serving)
    serving.walk(stopping)

    serving.do("environment.keep", {"name": "staging"})

    again = serving.deploy("shop@1.0.0", strategy="recreate")
    serving.walk(again)
    assert len(serving.facts(again, "succeeded")) == 1


def test_a_pipeline_that_lost_a_stage_does_not_hold_earlier_releases(harness: GatewayHarness) -> None:
    for number, name in enumerate(("qa", "staging", "live")):
        target = {"name": "main", "components": {"web": {"command": COMMAND, "port": 8090 + number}}}
        harness.do("environment.configure", {"name": name, "targets": [target], "approval": {"required": 0}})
    harness.do("pipeline.configure", {"name": "main", "application": "shop", "stages": ["qa", "staging", "live"]})
    earlier = harness.release("1.0.0")
    harness.walk(harness.deploy(earlier, "qa", strategy="recreate"))
    held = harness.ask("deployment.deploy", {"release": earlier, "environment": "live"})
    assert "has not succeeded in staging" in str(held.reason)

    harness.do("pipeline.configure", {"name": "main", "application": "shop", "stages": ["qa", "live"]})

    assert harness.deploy(earlier, "live")


def test_a_retired_environment_is_no_stage_any_more(harness: GatewayHarness) -> None:
    for number, name in enumerate(("staging", "live")):
        target = {"name": "main", "components": {"web": {"command": COMMAND, "port": 8090 + number}}}
        harness.do("environment.configure", {"name": name, "targets": [target], "approval": {"required": 0}})
    harness.do("pipeline.configure", {"name": "main", "application": "shop"})
    earlier = harness.release("1.0.0")

    retire(harness)

    assert harness.deploy(earlier, "live")
