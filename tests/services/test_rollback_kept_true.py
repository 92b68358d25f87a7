"""A rollback does what it says, or is refused with the reason; one that waits does not take back something else."""

from typing import Any

from release_management.services.envelope import Outcome
from tests.services.gateway_harness import GatewayHarness, on_both_stores
from tests.services.test_rollback_by_component import (
    WEB,
    brought,
    configure,
    go_back,
    release,
    succeed,
)


def back(harness: GatewayHarness, deployment: str) -> str:
    return str(harness.do("deployment.rollback", {"deployment": deployment})["deployment"])


def phase(harness: GatewayHarness, deployment: str) -> str:
    """By asking for the same again, which changes nothing of what is on its way."""
    return str(harness.do("deployment.proceed", {"deployment": deployment})["phase"])


def end_backwards(harness: GatewayHarness, deployment: str) -> None:
    """Report every order of the way back as done."""
    while not harness.facts(deployment, "rolled_back"):
        started = harness.facts(deployment, "step_started")[-1]
        harness.report(deployment, started["step"], leg=started["leg"], attempt=started["attempt"])


@on_both_stores
def test_a_rollback_that_ended_without_success_can_be_asked_for_again(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    newest = succeed(harness, "1.1.0", "web")
    first = back(harness, newest)
    harness.do("deployment.abort", {"deployment": first})
    end_backwards(harness, first)

    again = go_back(harness, newest)

    assert again != first
    assert brought(harness, again) == [("main", "web", "1.0.0")]


def test_a_rollback_that_is_on_its_way_is_not_begun_twice(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    newest = succeed(harness, "1.1.0", "web")

    first = back(harness, newest)

    assert back(harness, newest) == first
    harness.walk(first)
    refused = harness.ask("deployment.rollback", {"deployment": newest})
    assert f"web of deployment {newest} is not what runs on main in staging any more" in str(refused.reason)


@on_both_stores
def test_a_rollback_is_its_own_deployment_while_the_version_that_it_returns_to_is_planned(
    harness: GatewayHarness,
) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    newest = succeed(harness, "1.1.0", "web")
    configure(harness, approval={"required": 1})
    waiting = harness.do(
        "deployment.deploy",
        {"release": "shop@1.0.0", "environment": "staging", "strategy": "recreate", "downgrade": True},
    )
    assert waiting["phase"] == "AwaitingApproval"

    returned = go_back(harness, newest)

    assert returned != waiting["deployment"]
    assert brought(harness, returned) == [("main", "web", "1.0.0")]
    assert harness.facts(str(waiting["deployment"]), "superseded") == []


def test_a_rollback_does_not_need_a_target_for_what_it_does_not_bring(harness: GatewayHarness) -> None:
    configure(harness)
    harness.do("release.create", {"application": "shop", "version": "1.0.0", "components": [{"name": "web"}]})
    succeed(harness, "1.0.0", "web", partial=False)
    newest = succeed(harness, "1.1.0", "web", "api", partial=False)
    configure(harness, targets={"main": {}})

    assert brought(harness, go_back(harness, newest)) == [("main", "web", "1.0.0"), ("main", "api", None)]


def test_the_rollback_of_a_rollback_goes_to_what_was_before_both(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    succeed(harness, "1.1.0", "web")
    newest = succeed(harness, "1.2.0", "web")
    first = go_back(harness, newest)
    assert brought(harness, first) == [("main", "web", "1.1.0")]

    second = go_back(harness, first)

    assert brought(harness, second) == [("main", "web", "1.0.0")]
    refused = harness.ask("deployment.rollback", {"deployment": second})
    assert refused.reason == (
        f"web on main in staging: no version from before deployment {second} is left to go back to; each was rolled "
        "back or is blocked, or never succeeded there: deploy the version that you want"
    )


def test_a_rollback_where_every_earlier_version_is_blocked_stops_nothing(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    succeed(harness, "1.0.1", "api")
    newest = succeed(harness, "1.1.0", "web", "api")
    harness.do("release.block", {"release": "shop@1.0.0", "reason": "it leaks"})

    refused = harness.ask("deployment.rollback", {"deployment": newest})

    assert str(refused.reason).startswith(f"web on main in staging: no version from before deployment {newest} is left")


def test_a_version_restored_by_a_rollback_counts_as_a_success_of_its_release(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    succeed(harness, "1.1.0", "api")
    newest = succeed(harness, "1.2.0", "web", "api")

    returned = go_back(harness, newest)

    counted = [
        (record["data"]["version"], sorted(record["data"]["components"]))
        for record in harness.records("place.version_succeeded")
        if record["data"]["deployment"] == returned
    ]
    assert counted == [("1.0.0", ["web"]), ("1.1.0", ["api"])]


def test_a_rollback_leaves_out_a_target_that_takes_no_part(harness: GatewayHarness) -> None:
    configure(harness, targets={"main": {"web": WEB}, "eu": {"web": {**WEB, "port": 8082}}})
    succeed(harness, "1.0.0", "web")
    configure(harness, targets={"eu": {}})
    newest = succeed(harness, "1.1.0", "web")

    assert brought(harness, go_back(harness, newest))[0] == ("main", "web", "1.0.0")


@on_both_stores
def test_a_queued_rollback_of_what_no_longer_runs_ends_with_the_reason(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    older = succeed(harness, "1.1.0", "web")
    newer = harness.deploy(release(harness, "1.2.0", "web"), strategy="recreate")
    waiting = back(harness, older)
    assert harness.facts(waiting, "queued")[0]["behind"] == [newer]

    harness.walk(newer)

    assert phase(harness, waiting) == "Rejected"
    [rejected] = harness.facts(waiting, "rejected")
    assert rejected["reason"].endswith(
        "what it goes back from does not run any more: web on main in staging was brought by deployment "
        f"{newer} (1.2.0) since; roll that back, or deploy the version that you want"
    )
    assert harness.facts(waiting, "started") == []


def test_a_queued_rollback_of_what_still_runs_starts(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    older = succeed(harness, "1.1.0", "web")
    newer = harness.deploy(release(harness, "1.2.0", "web"), strategy="recreate")
    waiting = back(harness, older)
    harness.do("deployment.abort", {"deployment": newer})
    end_backwards(harness, newer)

    harness.do("deployment.proceed", {"deployment": waiting})
    harness.walk(waiting)

    assert brought(harness, waiting) == [("main", "web", "1.0.0")]


def test_a_queued_rollback_to_what_was_blocked_meanwhile_ends_with_the_reason(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    older = succeed(harness, "1.1.0", "web")
    other = harness.deploy(release(harness, "1.1.1", "api"), strategy="recreate")
    waiting = back(harness, older)
    harness.do("release.block", {"release": "shop@1.0.0", "reason": "it leaks"})

    harness.walk(other)

    assert phase(harness, waiting) == "Rejected"
    [rejected] = harness.facts(waiting, "rejected")
    assert "shop@1.0.0 is blocked" in rejected["reason"]


CANARY: dict[str, Any] = {
    "strategy": "canary",
    "options": {"steps": [{"set_weight": 25}, {"pause": {}}], "abort_scale_down_delay": 0},
}


def half_way(harness: GatewayHarness, version: str) -> str:
    """A canary that waits for a person at 25 %."""
    canary = harness.deploy(release(harness, version, "web"), **CANARY)
    for step in range(3):
        harness.report(canary, step)
    assert harness.facts(canary, "paused")
    return canary


@on_both_stores
def test_deploying_what_is_still_stable_while_a_canary_goes_on_is_refused(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    canary = half_way(harness, "1.1.0")

    refused = harness.ask("deployment.deploy", {"release": "shop@1.0.0", "environment": "staging"})

    assert refused.reason == (
        f"shop@1.0.0 runs in staging, and deployment {canary} is Paused there with shop@1.1.0; to keep 1.0.0, take "
        f"that back: relman deployment abort {canary}, or deploy with --supersede"
    )


@on_both_stores
def test_deploying_what_is_still_stable_with_supersede_takes_the_canary_back(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    canary = half_way(harness, "1.1.0")

    stays = harness.do("deployment.deploy", {"release": "shop@1.0.0", "environment": "staging", "supersede": True})

    assert stays["phase"] == "Queued"
    assert harness.facts(canary, "aborting")[0]["reason"] == "superseded by shop@1.0.0"
    end_backwards(harness, canary)
    assert phase(harness, str(stays["deployment"])) == "Succeeded"
    assert harness.facts(str(stays["deployment"]), "step_started") == []


def test_deploying_what_runs_while_another_component_is_deployed_is_already_so(harness: GatewayHarness) -> None:
    configure(harness)
    first = succeed(harness, "1.0.0", "web")
    harness.deploy(release(harness, "1.1.0", "api"), strategy="recreate")

    assert harness.do("deployment.deploy", {"release": "shop@1.0.0", "environment": "staging"})["deployment"] == first


# What was brought again, and what stopped on its way


@on_both_stores
def test_a_redeployed_version_is_rolled_back_to_the_version_before_and_not_to_itself(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    first = succeed(harness, "1.1.0", "web")
    again = harness.deploy("shop@1.1.0", redeploy=True, strategy="recreate")
    harness.walk(again)
    assert again != first

    refused = harness.ask("deployment.rollback", {"deployment": first})
    gone_back = go_back(harness, again)

    assert "is not what runs on main in staging any more; roll back the newest one" in str(refused.reason)
    assert brought(harness, gone_back) == [("main", "web", "1.0.0")]
    assert "is no version to go back to in staging" in str(to_version(harness, "1.1.0").reason), "it was left twice"


def test_a_redeployed_version_that_is_the_only_one_has_nothing_to_roll_back_to(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    again = harness.deploy("shop@1.0.0", redeploy=True, strategy="recreate")
    harness.walk(again)

    refused = harness.ask("deployment.rollback", {"deployment": again})

    assert f"no version from before deployment {again} is left to go back to" in str(refused.reason)


def test_a_redeployment_that_fails_rolls_back_to_the_running_version(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    again = harness.deploy("shop@1.0.0", redeploy=True, strategy="blue-green", options={"abort_scale_down_delay": 0})
    harness.report(again, 0)
    harness.report(again, 1, "failed", reason="not healthy")

    end_backwards(harness, again)

    refused = harness.ask("deployment.rollback", {"deployment": again})
    assert harness.facts(again, "rolled_back") == [{"empty": False}]
    assert refused.result["phase"] == "RolledBack", "already so"


def to_version(harness: GatewayHarness, version: str) -> Outcome:
    return harness.ask("deployment.rollback", {"application": "shop", "environment": "staging", "to": version})


def halted(harness: GatewayHarness, version: str) -> str:
    """It has all traffic, and the old version could not be stopped."""
    deployment = harness.deploy(
        release(harness, version, "web"), strategy="blue-green", options={"scale_down_delay": 0}
    )
    while not harness.facts(deployment, "halted"):
        started = harness.facts(deployment, "step_started")[-1]
        if started["action"]["verb"] != "retire":
            harness.report(deployment, started["step"], attempt=started["attempt"])
            continue
        harness.report(deployment, started["step"], "errored", started["attempt"], reason="no answer")
        again = harness.facts(deployment, "step_errored")[-1]
        harness.clock.advance(60)
        if again.get("retry_at"):
            step = {"leg": "forward", "step": started["step"], "attempt": started["attempt"]}
            harness.do("deployment.retry_step", {"deployment": deployment, **step})
    return deployment


@on_both_stores
def test_a_halted_deployment_is_rolled_back_by_one_that_sets_right_what_it_left(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    stuck = halted(harness, "1.1.0")
    assert "the old one could not be stopped" in harness.facts(stuck, "halted")[0]["reason"]

    gone_back = go_back(harness, stuck)

    [planned] = harness.facts(gone_back, "planned")
    assert planned["reverts"] == stuck
    assert "did not end cleanly" in " ".join(planned["plan"]["notes"])
    assert brought(harness, gone_back) == [("main", "web", "1.0.0")]
    settled = harness.ask("deployment.rollback", {"deployment": stuck})
    assert settled.result["deployment"] == gone_back, "it was done already"


def test_a_halted_deployment_that_another_has_set_right_is_not_rolled_back_any_more(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    stuck = halted(harness, "1.1.0")
    succeed(harness, "1.2.0", "web")

    refused = harness.ask("deployment.rollback", {"deployment": stuck})

    assert f"nothing is left of deployment {stuck} in staging that could be taken back" in str(refused.reason)


def test_a_halted_deployment_without_a_way_back_is_not_rolled_back(harness: GatewayHarness) -> None:
    target = {"name": "main", "components": {"web": WEB}, "reversible": False}
    harness.do("environment.configure", {"name": "staging", "targets": [target]})
    succeed(harness, "1.0.0", "web")
    stuck = harness.deploy(release(harness, "1.1.0", "web"), strategy="blue-green")
    harness.report(stuck, 0)
    harness.report(stuck, 1, "failed", reason="not healthy")
    assert harness.facts(stuck, "halted")

    refused = harness.ask("deployment.rollback", {"deployment": stuck})

    assert refused.reason == f"deployment {stuck} halted where there is no way back; deploy a newer version"
