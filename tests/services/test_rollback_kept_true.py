"""A rollback does what it says, or is refused with the reason; one that waits does not take back something else."""

from typing import Any

from release_management.services.envelope import Outcome
from tests.services.gateway_harness import Office, on_both_stores
from tests.services.test_rollback_by_component import (
    WEB,
    brought,
    configure,
    go_back,
    release,
    succeed,
)


def back(office: Office, deployment: str) -> str:
    return str(office.do("deployment.rollback", {"deployment": deployment})["deployment"])


def phase(office: Office, deployment: str) -> str:
    """By asking for the same again, which changes nothing of what is on its way."""
    return str(office.do("deployment.proceed", {"deployment": deployment})["phase"])


def end_backwards(office: Office, deployment: str) -> None:
    """Report every order of the way back as done."""
    while not office.facts(deployment, "rolled_back"):
        started = office.facts(deployment, "step_started")[-1]
        office.report(deployment, started["step"], leg=started["leg"], attempt=started["attempt"])


@on_both_stores
def test_a_rollback_that_ended_without_success_can_be_asked_for_again(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    newest = succeed(office, "1.1.0", "web")
    first = back(office, newest)
    office.do("deployment.abort", {"deployment": first})
    end_backwards(office, first)

    again = go_back(office, newest)

    assert again != first
    assert brought(office, again) == [("main", "web", "1.0.0")]


def test_a_rollback_that_is_on_its_way_is_not_begun_twice(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    newest = succeed(office, "1.1.0", "web")

    first = back(office, newest)

    assert back(office, newest) == first
    office.walk(first)
    refused = office.ask("deployment.rollback", {"deployment": newest})
    assert f"web of deployment {newest} is not what runs on main in staging any more" in str(refused.reason)


@on_both_stores
def test_a_rollback_is_its_own_deployment_while_the_version_that_it_returns_to_is_planned(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    newest = succeed(office, "1.1.0", "web")
    configure(office, approval={"required": 1})
    waiting = office.do(
        "deployment.deploy",
        {"release": "shop@1.0.0", "environment": "staging", "strategy": "recreate", "downgrade": True},
    )
    assert waiting["phase"] == "AwaitingApproval"

    returned = go_back(office, newest)

    assert returned != waiting["deployment"]
    assert brought(office, returned) == [("main", "web", "1.0.0")]
    assert office.facts(str(waiting["deployment"]), "superseded") == []


def test_a_rollback_does_not_need_a_target_for_what_it_does_not_bring(office: Office) -> None:
    configure(office)
    office.do("release.create", {"application": "shop", "version": "1.0.0", "components": [{"name": "web"}]})
    succeed(office, "1.0.0", "web", partial=False)
    newest = succeed(office, "1.1.0", "web", "api", partial=False)
    configure(office, targets={"main": {}})

    assert brought(office, go_back(office, newest)) == [("main", "web", "1.0.0"), ("main", "api", None)]


def test_the_rollback_of_a_rollback_goes_to_what_was_before_both(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    succeed(office, "1.1.0", "web")
    newest = succeed(office, "1.2.0", "web")
    first = go_back(office, newest)
    assert brought(office, first) == [("main", "web", "1.1.0")]

    second = go_back(office, first)

    assert brought(office, second) == [("main", "web", "1.0.0")]
    refused = office.ask("deployment.rollback", {"deployment": second})
    assert refused.reason == (
        f"web on main in staging: no version from before deployment {second} is left to go back to; each was rolled "
        "back or is blocked, or never succeeded there: deploy the version that you want"
    )


def test_a_rollback_where_every_earlier_version_is_blocked_stops_nothing(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    succeed(office, "1.0.1", "api")
    newest = succeed(office, "1.1.0", "web", "api")
    office.do("release.block", {"release": "shop@1.0.0", "reason": "it leaks"})

    refused = office.ask("deployment.rollback", {"deployment": newest})

    assert str(refused.reason).startswith(f"web on main in staging: no version from before deployment {newest} is left")


def test_a_version_restored_by_a_rollback_counts_as_a_success_of_its_release(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    succeed(office, "1.1.0", "api")
    newest = succeed(office, "1.2.0", "web", "api")

    returned = go_back(office, newest)

    counted = [
        (record["data"]["version"], sorted(record["data"]["components"]))
        for record in office.records("place.version_succeeded")
        if record["data"]["deployment"] == returned
    ]
    assert counted == [("1.0.0", ["web"]), ("1.1.0", ["api"])]


def test_a_rollback_leaves_out_a_target_that_takes_no_part(office: Office) -> None:
    configure(office, targets={"main": {"web": WEB}, "eu": {"web": {**WEB, "port": 8082}}})
    succeed(office, "1.0.0", "web")
    configure(office, targets={"eu": {}})
    newest = succeed(office, "1.1.0", "web")

    assert brought(office, go_back(office, newest))[0] == ("main", "web", "1.0.0")


@on_both_stores
def test_a_queued_rollback_of_what_no_longer_runs_ends_with_the_reason(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    older = succeed(office, "1.1.0", "web")
    newer = office.deploy(release(office, "1.2.0", "web"), strategy="recreate")
    waiting = back(office, older)
    assert office.facts(waiting, "queued")[0]["behind"] == [newer]

    office.walk(newer)

    assert phase(office, waiting) == "Rejected"
    [rejected] = office.facts(waiting, "rejected")
    assert rejected["reason"].endswith(
        "what it goes back from does not run any more: web on main in staging was brought by deployment "
        f"{newer} (1.2.0) since; roll that back, or deploy the version that you want"
    )
    assert office.facts(waiting, "started") == []


def test_a_queued_rollback_of_what_still_runs_starts(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    older = succeed(office, "1.1.0", "web")
    newer = office.deploy(release(office, "1.2.0", "web"), strategy="recreate")
    waiting = back(office, older)
    office.do("deployment.abort", {"deployment": newer})
    end_backwards(office, newer)

    office.do("deployment.proceed", {"deployment": waiting})
    office.walk(waiting)

    assert brought(office, waiting) == [("main", "web", "1.0.0")]


def test_a_queued_rollback_to_what_was_blocked_meanwhile_ends_with_the_reason(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    older = succeed(office, "1.1.0", "web")
    other = office.deploy(release(office, "1.1.1", "api"), strategy="recreate")
    waiting = back(office, older)
    office.do("release.block", {"release": "shop@1.0.0", "reason": "it leaks"})

    office.walk(other)

    assert phase(office, waiting) == "Rejected"
    [rejected] = office.facts(waiting, "rejected")
    assert "shop@1.0.0 is blocked" in rejected["reason"]


CANARY: dict[str, Any] = {
    "strategy": "canary",
    "options": {"steps": [{"set_weight": 25}, {"pause": {}}], "abort_scale_down_delay": 0},
}


def half_way(office: Office, version: str) -> str:
    """A canary that waits for a person at 25 %."""
    canary = office.deploy(release(office, version, "web"), **CANARY)
    for step in range(3):
        office.report(canary, step)
    assert office.facts(canary, "paused")
    return canary


@on_both_stores
def test_deploying_what_is_still_stable_while_a_canary_goes_on_is_refused(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    canary = half_way(office, "1.1.0")

    refused = office.ask("deployment.deploy", {"release": "shop@1.0.0", "environment": "staging"})

    assert refused.reason == (
        f"shop@1.0.0 runs in staging, and deployment {canary} is Paused there with shop@1.1.0; to keep 1.0.0, take "
        f"that back: relman deployment abort {canary}, or deploy with --supersede"
    )


@on_both_stores
def test_deploying_what_is_still_stable_with_supersede_takes_the_canary_back(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    canary = half_way(office, "1.1.0")

    stays = office.do("deployment.deploy", {"release": "shop@1.0.0", "environment": "staging", "supersede": True})

    assert stays["phase"] == "Queued"
    assert office.facts(canary, "aborting")[0]["reason"] == "superseded by shop@1.0.0"
    end_backwards(office, canary)
    assert phase(office, str(stays["deployment"])) == "Succeeded"
    assert office.facts(str(stays["deployment"]), "step_started") == []


def test_deploying_what_runs_while_another_component_is_deployed_is_already_so(office: Office) -> None:
    configure(office)
    first = succeed(office, "1.0.0", "web")
    office.deploy(release(office, "1.1.0", "api"), strategy="recreate")

    assert office.do("deployment.deploy", {"release": "shop@1.0.0", "environment": "staging"})["deployment"] == first


# What was brought again, and what stopped on its way


@on_both_stores
def test_a_redeployed_version_is_rolled_back_to_the_version_before_and_not_to_itself(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    first = succeed(office, "1.1.0", "web")
    again = office.deploy("shop@1.1.0", redeploy=True, strategy="recreate")
    office.walk(again)
    assert again != first

    refused = office.ask("deployment.rollback", {"deployment": first})
    gone_back = go_back(office, again)

    assert "is not what runs on main in staging any more; roll back the newest one" in str(refused.reason)
    assert brought(office, gone_back) == [("main", "web", "1.0.0")]
    assert "is no version to go back to in staging" in str(to_version(office, "1.1.0").reason), "it was left twice"


def test_a_redeployed_version_that_is_the_only_one_has_nothing_to_roll_back_to(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    again = office.deploy("shop@1.0.0", redeploy=True, strategy="recreate")
    office.walk(again)

    refused = office.ask("deployment.rollback", {"deployment": again})

    assert f"no version from before deployment {again} is left to go back to" in str(refused.reason)


def test_a_redeployment_that_fails_rolls_back_to_the_running_version(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    again = office.deploy("shop@1.0.0", redeploy=True, strategy="blue-green", options={"abort_scale_down_delay": 0})
    office.report(again, 0)
    office.report(again, 1, "failed", reason="not healthy")

    end_backwards(office, again)

    refused = office.ask("deployment.rollback", {"deployment": again})
    assert office.facts(again, "rolled_back") == [{"empty": False}]
    assert refused.result["phase"] == "RolledBack", "already so"


def to_version(office: Office, version: str) -> Outcome:
    return office.ask("deployment.rollback", {"application": "shop", "environment": "staging", "to": version})


def halted(office: Office, version: str) -> str:
    """It has all traffic, and the old version could not be stopped."""
    deployment = office.deploy(release(office, version, "web"), strategy="blue-green", options={"scale_down_delay": 0})
    while not office.facts(deployment, "halted"):
        started = office.facts(deployment, "step_started")[-1]
        if started["action"]["verb"] != "retire":
            office.report(deployment, started["step"], attempt=started["attempt"])
            continue
        office.report(deployment, started["step"], "errored", started["attempt"], reason="no answer")
        again = office.facts(deployment, "step_errored")[-1]
        office.clock.advance(60)
        if again.get("retry_at"):
            step = {"leg": "forward", "step": started["step"], "attempt": started["attempt"]}
            office.do("deployment.retry_step", {"deployment": deployment, **step})
    return deployment


@on_both_stores
def test_a_halted_deployment_is_rolled_back_by_one_that_sets_right_what_it_left(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    stuck = halted(office, "1.1.0")
    assert "the old one could not be stopped" in office.facts(stuck, "halted")[0]["reason"]

    gone_back = go_back(office, stuck)

    [planned] = office.facts(gone_back, "planned")
    assert planned["reverts"] == stuck
    assert "did not end cleanly" in " ".join(planned["plan"]["notes"])
    assert brought(office, gone_back) == [("main", "web", "1.0.0")]
    settled = office.ask("deployment.rollback", {"deployment": stuck})
    assert settled.result["deployment"] == gone_back, "it was done already"


def test_a_halted_deployment_that_another_has_set_right_is_not_rolled_back_any_more(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    stuck = halted(office, "1.1.0")
    succeed(office, "1.2.0", "web")

    refused = office.ask("deployment.rollback", {"deployment": stuck})

    assert f"nothing is left of deployment {stuck} in staging that could be taken back" in str(refused.reason)


def test_a_halted_deployment_without_a_way_back_is_not_rolled_back(office: Office) -> None:
    target = {"name": "main", "components": {"web": WEB}, "reversible": False}
    office.do("environment.configure", {"name": "staging", "targets": [target]})
    succeed(office, "1.0.0", "web")
    stuck = office.deploy(release(office, "1.1.0", "web"), strategy="blue-green")
    office.report(stuck, 0)
    office.report(stuck, 1, "failed", reason="not healthy")
    assert office.facts(stuck, "halted")

    refused = office.ask("deployment.rollback", {"deployment": stuck})

    assert refused.reason == f"deployment {stuck} halted where there is no way back; deploy a newer version"
