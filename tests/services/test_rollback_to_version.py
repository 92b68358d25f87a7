"""Back to any earlier version by name, in one step; the policy's window says how long that needs no approval."""

import pytest

from tests.services.gateway_harness import GatewayHarness, on_both_stores
from tests.services.test_rollback_by_component import (
    WEB,
    brought,
    configure,
    release,
    succeed,
)
from tests.services.test_rollback_kept_true import (
    end_backwards,
    half_way,
    phase,
)

DAY = 86_400.0


def to(harness: GatewayHarness, version: str | None, **more: object) -> dict[str, object]:
    wanted = {"application": "shop", "environment": "staging", **({} if version is None else {"to": version}), **more}
    return harness.do("deployment.rollback", wanted)


@on_both_stores
def test_each_component_goes_back_on_each_target_to_what_it_was_in_that_version(harness: GatewayHarness) -> None:
    both = {"main": {"web": WEB}, "eu": {"web": {**WEB, "port": 8082}}}
    configure(harness, targets=both, variables={"GREETING": "hello"})
    succeed(harness, "1.0.0", "web")
    configure(harness, variables={"GREETING": "good morning"}, targets=both)
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        newest = succeed(harness, version, "web")

    back = str(to(harness, "1.0.0")["deployment"])
    harness.walk(back)

    assert brought(harness, back) == [("main", "web", "1.0.0"), ("eu", "web", "1.0.0")]
    [started] = harness.facts(back, "started")
    assert started["bindings"][0]["configuration"]["variables"] == {"GREETING": "hello"}
    [planned] = harness.facts(back, "planned")
    assert (planned["release"], planned["reverts"], planned["strategy"]) == ("shop@1.0.0", newest, "blue-green")


def test_a_version_left_by_a_named_rollback_does_not_count_as_a_success_any_more(harness: GatewayHarness) -> None:
    configure(harness)
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        succeed(harness, version, "web")
    harness.walk(str(to(harness, "1.0.0")["deployment"]))

    again = str(to(harness, None)["deployment"])

    harness.walk(again)
    assert brought(harness, again) == [("main", "web", "1.1.0")]


def test_a_component_that_never_was_in_that_version_stays_and_the_plan_says_so(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    succeed(harness, "1.1.0", "web", "api")

    back = str(to(harness, "1.0.0")["deployment"])

    harness.walk(back)
    assert brought(harness, back) == [("main", "web", "1.0.0")]
    assert "api 1.1.0 on main is unchanged" in harness.facts(back, "planned")[0]["plan"]["notes"]


def test_a_component_that_a_complete_version_lacked_is_stopped(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web", partial=False)
    succeed(harness, "1.1.0", "web", "api", partial=False)
    succeed(harness, "1.2.0", "web", "api", partial=False)

    back = str(to(harness, "1.0.0")["deployment"])

    harness.walk(back)
    assert brought(harness, back) == [("main", "web", "1.0.0"), ("main", "api", None)]


@on_both_stores
def test_within_the_window_neither_approval_nor_gates_are_asked_for(harness: GatewayHarness) -> None:
    aged(harness, seconds=6 * DAY)

    assert to(harness, "1.0.0")["phase"] == "Progressing"


@on_both_stores
def test_outside_the_window_approval_is_asked_for_and_then_it_goes_back(harness: GatewayHarness) -> None:
    aged(harness, seconds=8 * DAY)

    waits = to(harness, "1.0.0")

    assert waits["phase"] == "AwaitingApproval"
    assert to(harness, "1.0.0")["deployment"] == waits["deployment"]
    harness.do("approval.grant", {"approval": waits["deployment"]}, actor="bob")
    harness.walk(str(waits["deployment"]))
    assert brought(harness, str(waits["deployment"])) == [("main", "web", "1.0.0")]


def test_outside_the_window_a_gate_is_asked_for(harness: GatewayHarness) -> None:
    aged(harness, seconds=8 * DAY)
    harness.do("policy.configure_gates", {"application": "shop", "gates": {"scan": {"required": True}}})

    refused = harness.ask("deployment.rollback", {"application": "shop", "environment": "staging", "to": "1.0.0"})

    assert "gate scan of shop@1.0.0 is not evaluated" in str(refused.reason)


@pytest.mark.parametrize("scope", [{}, {"environment": "staging"}], ids=["application", "environment"])
def test_a_policy_sets_the_window(harness: GatewayHarness, scope: dict[str, str]) -> None:
    aged(harness, seconds=8 * DAY)
    harness.do("policy.configure_rollback_window", {"application": "shop", "window": "9d", **scope})

    assert to(harness, "1.0.0")["phase"] == "Progressing"


def test_the_version_that_ran_directly_before_needs_no_approval_however_old_it_is(harness: GatewayHarness) -> None:
    aged(harness, seconds=30 * DAY)

    assert to(harness, "1.1.0")["phase"] == "Progressing"


def aged(harness: GatewayHarness, seconds: float) -> None:
    """1.0.0, 1.1.0 and 1.2.0 succeeded so long ago; since then the environment asks for an approval."""
    configure(harness)
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        succeed(harness, version, "web")
    configure(harness, approval={"required": 1})
    harness.clock.advance(seconds)


@on_both_stores
def test_a_deployment_under_way_rolls_back_first(harness: GatewayHarness) -> None:
    configure(harness)
    for version in ("1.0.0", "1.1.0"):
        succeed(harness, version, "web")
    canary = half_way(harness, "1.2.0")

    back = to(harness, "1.0.0")

    assert back["phase"] == "Queued"
    assert harness.facts(canary, "aborting")
    end_backwards(harness, canary)
    assert phase(harness, str(back["deployment"])) == "Progressing"


def test_without_a_version_what_is_under_way_is_aborted(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    canary = half_way(harness, "1.1.0")

    assert to(harness, None, reason="errors at checkout")["deployment"] == canary
    assert harness.facts(canary, "aborting")


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("1.2.0", "there is nothing to take back in staging: web 1.2.0 on main is unchanged"),
        ("1.3.0", "shop@1.3.0 is no version to go back to in staging: it never succeeded there, or was rolled back"),
        ("1.0.0", "shop@1.0.0 is blocked; lift the block, or deploy another version"),
        ("9.9.9", "release shop@9.9.9 does not exist"),
    ],
)
def test_a_rollback_to_an_unreachable_version_is_refused_with_the_reason(
    harness: GatewayHarness, version: str, reason: str
) -> None:
    configure(harness)
    for each in ("1.0.0", "1.1.0", "1.2.0"):
        succeed(harness, each, "web")
    release(harness, "1.3.0", "web")
    harness.do("release.block", {"release": "shop@1.0.0", "reason": "it leaks"})

    refused = harness.ask("deployment.rollback", {"application": "shop", "environment": "staging", "to": version})

    assert reason in str(refused.reason)
    assert not harness.records("deployment.planned")[3:]


@pytest.mark.parametrize(
    "data",
    [{}, {"application": "shop"}, {"environment": "staging"}, {"to": "1.0.0"}],
    ids=["nothing", "no environment", "no application", "no place"],
)
def test_a_rollback_says_of_what(harness: GatewayHarness, data: dict[str, str]) -> None:
    refused = harness.ask("deployment.rollback", data)

    assert "give a deployment, or an application and an environment" in str(refused.reason)


def test_after_an_unclean_end_the_last_success_is_not_the_one_that_is_rolled_back(
    harness: GatewayHarness,
) -> None:
    configure(harness)
    for version in ("1.0.0", "1.1.0"):
        succeed(harness, version, "web")
    failed = half_way(harness, "1.2.0")
    harness.do("deployment.abort", {"deployment": failed})
    while not harness.facts(failed, "rollback_failed"):
        started = harness.facts(failed, "step_started")[-1]
        harness.report(failed, started["step"], "errored", leg="rollback", attempt=started["attempt"])
        harness.clock.advance(60)
        harness.do(
            "deployment.retry_step",
            {"deployment": failed, "leg": "rollback", "step": started["step"], "attempt": started["attempt"]},
        )

    refused = harness.ask("deployment.rollback", {"application": "shop", "environment": "staging"})
    assert str(refused.reason).startswith("the last deployment of web on main in staging did not end cleanly")

    back = str(to(harness, "1.0.0")["deployment"])
    harness.walk(back)
    assert brought(harness, back) == [("main", "web", "1.0.0")]
