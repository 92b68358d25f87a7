"""Back to any earlier version by name, in one step; the policy's window says how long that needs no approval."""

import pytest

from tests.services.gateway_harness import Office, on_both_stores
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


def to(office: Office, version: str | None, **more: object) -> dict[str, object]:
    wanted = {"application": "shop", "environment": "staging", **({} if version is None else {"to": version}), **more}
    return office.do("deployment.rollback", wanted)


@on_both_stores
def test_each_component_goes_back_on_each_target_to_what_it_was_in_that_version(office: Office) -> None:
    both = {"main": {"web": WEB}, "eu": {"web": {**WEB, "port": 8082}}}
    configure(office, targets=both, variables={"GREETING": "hello"})
    succeed(office, "1.0.0", "web")
    configure(office, variables={"GREETING": "good morning"}, targets=both)
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        newest = succeed(office, version, "web")

    back = str(to(office, "1.0.0")["deployment"])
    office.walk(back)

    assert brought(office, back) == [("main", "web", "1.0.0"), ("eu", "web", "1.0.0")]
    [started] = office.facts(back, "started")
    assert started["bindings"][0]["configuration"]["variables"] == {"GREETING": "hello"}
    [planned] = office.facts(back, "planned")
    assert (planned["release"], planned["reverts"], planned["strategy"]) == ("shop@1.0.0", newest, "blue-green")


def test_a_version_left_by_a_named_rollback_does_not_count_as_a_success_any_more(office: Office) -> None:
    configure(office)
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        succeed(office, version, "web")
    office.walk(str(to(office, "1.0.0")["deployment"]))

    again = str(to(office, None)["deployment"])

    office.walk(again)
    assert brought(office, again) == [("main", "web", "1.1.0")]


def test_a_component_that_never_was_in_that_version_stays_and_the_plan_says_so(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    succeed(office, "1.1.0", "web", "api")

    back = str(to(office, "1.0.0")["deployment"])

    office.walk(back)
    assert brought(office, back) == [("main", "web", "1.0.0")]
    assert "api 1.1.0 on main is unchanged" in office.facts(back, "planned")[0]["plan"]["notes"]


def test_a_component_that_a_complete_version_lacked_is_stopped(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web", partial=False)
    succeed(office, "1.1.0", "web", "api", partial=False)
    succeed(office, "1.2.0", "web", "api", partial=False)

    back = str(to(office, "1.0.0")["deployment"])

    office.walk(back)
    assert brought(office, back) == [("main", "web", "1.0.0"), ("main", "api", None)]


@on_both_stores
def test_within_the_window_neither_approval_nor_gates_are_asked_for(office: Office) -> None:
    aged(office, seconds=6 * DAY)

    assert to(office, "1.0.0")["phase"] == "Progressing"


@on_both_stores
def test_outside_the_window_approval_is_asked_for_and_then_it_goes_back(office: Office) -> None:
    aged(office, seconds=8 * DAY)

    waits = to(office, "1.0.0")

    assert waits["phase"] == "AwaitingApproval"
    assert to(office, "1.0.0")["deployment"] == waits["deployment"]
    office.do("approval.grant", {"approval": waits["deployment"]}, actor="bob")
    office.walk(str(waits["deployment"]))
    assert brought(office, str(waits["deployment"])) == [("main", "web", "1.0.0")]


def test_outside_the_window_a_gate_is_asked_for(office: Office) -> None:
    aged(office, seconds=8 * DAY)
    office.do("policy.configure_gates", {"application": "shop", "gates": {"scan": {"required": True}}})

    refused = office.ask("deployment.rollback", {"application": "shop", "environment": "staging", "to": "1.0.0"})

    assert "gate scan of shop@1.0.0 is not evaluated" in str(refused.reason)


@pytest.mark.parametrize("scope", [{}, {"environment": "staging"}], ids=["application", "environment"])
def test_a_policy_sets_the_window(office: Office, scope: dict[str, str]) -> None:
    aged(office, seconds=8 * DAY)
    office.do("policy.configure_rollback_window", {"application": "shop", "window": "9d", **scope})

    assert to(office, "1.0.0")["phase"] == "Progressing"


def test_the_version_that_ran_directly_before_needs_no_approval_however_old_it_is(office: Office) -> None:
    aged(office, seconds=30 * DAY)

    assert to(office, "1.1.0")["phase"] == "Progressing"


def aged(office: Office, seconds: float) -> None:
    """1.0.0, 1.1.0 and 1.2.0 succeeded so long ago; since then the environment asks for an approval."""
    configure(office)
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        succeed(office, version, "web")
    configure(office, approval={"required": 1})
    office.clock.advance(seconds)


@on_both_stores
def test_a_deployment_under_way_rolls_back_first(office: Office) -> None:
    configure(office)
    for version in ("1.0.0", "1.1.0"):
        succeed(office, version, "web")
    canary = half_way(office, "1.2.0")

    back = to(office, "1.0.0")

    assert back["phase"] == "Queued"
    assert office.facts(canary, "aborting")
    end_backwards(office, canary)
    assert phase(office, str(back["deployment"])) == "Progressing"


def test_without_a_version_what_is_under_way_is_aborted(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    canary = half_way(office, "1.1.0")

    assert to(office, None, reason="errors at checkout")["deployment"] == canary
    assert office.facts(canary, "aborting")


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
    office: Office, version: str, reason: str
) -> None:
    configure(office)
    for each in ("1.0.0", "1.1.0", "1.2.0"):
        succeed(office, each, "web")
    release(office, "1.3.0", "web")
    office.do("release.block", {"release": "shop@1.0.0", "reason": "it leaks"})

    refused = office.ask("deployment.rollback", {"application": "shop", "environment": "staging", "to": version})

    assert reason in str(refused.reason)
    assert not office.records("deployment.planned")[3:]


@pytest.mark.parametrize(
    "data",
    [{}, {"application": "shop"}, {"environment": "staging"}, {"to": "1.0.0"}],
    ids=["nothing", "no environment", "no application", "no place"],
)
def test_a_rollback_says_of_what(office: Office, data: dict[str, str]) -> None:
    refused = office.ask("deployment.rollback", data)

    assert "give a deployment, or an application and an environment" in str(refused.reason)


def test_after_an_unclean_end_the_last_success_is_not_the_one_that_is_rolled_back(
    office: Office,
) -> None:
    configure(office)
    for version in ("1.0.0", "1.1.0"):
        succeed(office, version, "web")
    failed = half_way(office, "1.2.0")
    office.do("deployment.abort", {"deployment": failed})
    while not office.facts(failed, "rollback_failed"):
        started = office.facts(failed, "step_started")[-1]
        office.report(failed, started["step"], "errored", leg="rollback", attempt=started["attempt"])
        office.clock.advance(60)
        office.do(
            "deployment.retry_step",
            {"deployment": failed, "leg": "rollback", "step": started["step"], "attempt": started["attempt"]},
        )

    refused = office.ask("deployment.rollback", {"application": "shop", "environment": "staging"})
    assert str(refused.reason).startswith("the last deployment of web on main in staging did not end cleanly")

    back = str(to(office, "1.0.0")["deployment"])
    office.walk(back)
    assert brought(office, back) == [("main", "web", "1.0.0")]
