"""While a deployment only keeps an old version for the way back, its place is free for the next."""

from typing import Any

import pytest

from tests.services.gateway_harness import (
    COMMAND,
    GatewayHarness,
    on_both_stores,
)

BAKING: dict[str, Any] = {"strategy": "blue-green", "options": {"scale_down_delay": 600, "abort_scale_down_delay": 600}}
STRATEGIES: dict[str, dict[str, Any]] = {
    "blue-green": {"scale_down_delay": 600},
    "canary": {"steps": [{"set_weight": 50}], "scale_down_delay": 600},
    "rolling": {"scale_down_delay": 600},
}


def report_all(harness: GatewayHarness, deployment: str, result: str = "succeeded", leg: str = "forward") -> None:
    """Report every order that is out, and those that follow, until it pauses or ends."""
    while True:
        ended = {(fact["leg"], fact["step"]) for name in DONE for fact in harness.facts(deployment, name)}
        orders = [it for it in harness.facts(deployment, "step_started") if (it["leg"], it["step"]) not in ended]
        if not orders or orders[0]["leg"] != leg:
            return
        for order in orders:
            harness.report(deployment, order["step"], result, order["attempt"], leg=order["leg"], reason="as asked")


DONE = ("step_succeeded", "step_failed", "step_errored")


def phase(harness: GatewayHarness, deployment: str) -> str:
    return str(harness.do("deployment.proceed", {"deployment": deployment})["phase"])


def place_verdict(result: dict[str, Any]) -> str:
    return next(str(verdict["reason"]) for verdict in result["verdicts"] if verdict["rule"] == "place")


def in_its_bake(harness: GatewayHarness, version: str = "1.1.0", how: dict[str, Any] = BAKING) -> str:
    """1.0.0 has succeeded; the next version has all traffic, and the old one is kept."""
    harness.environment()
    harness.carry_out(harness.deploy(harness.release("1.0.0")))
    return baking(harness, version, how)


def baking(harness: GatewayHarness, version: str, how: dict[str, Any] = BAKING) -> str:
    deployment = harness.deploy(harness.release(version), **how)
    report_all(harness, deployment)
    assert harness.facts(deployment, "paused")[-1]["baking"]
    return deployment


def ended_early(harness: GatewayHarness, deployment: str) -> list[str | None]:
    return [fact.get("successor") for fact in harness.facts(deployment, "resumed")]


@on_both_stores
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_next_deployment_ends_the_bake_and_begins_once_the_old_version_is_stopped(
    harness: GatewayHarness, strategy: str
) -> None:
    first = in_its_bake(harness, how={"strategy": strategy, "options": STRATEGIES[strategy]})

    following = harness.deploy(harness.release("1.2.0"))

    assert ended_early(harness, first) == [following]
    assert not harness.facts(first, "succeeded"), "the old version is to be stopped before"
    assert not harness.facts(following, "started")
    report_all(harness, first)
    assert harness.facts(first, "succeeded")
    assert harness.records("place.unlocked")[-1]["data"]["next"] == following
    assert phase(harness, following) == "Progressing"
    [binding] = harness.facts(following, "started")[0]["bindings"]
    assert binding["stable"]["version"] == "1.1.0"


def test_deploying_during_a_bake_says_that_it_starts_at_once_and_so_does_a_dry_run(harness: GatewayHarness) -> None:
    first = in_its_bake(harness)
    asked = {"release": harness.release("1.2.0"), "environment": "staging"}
    told = (
        f"deployment {first} holds staging/shop/main only to keep the version that goes for a while; "
        "it stops that early for this one, which begins right then"
    )

    assert place_verdict(harness.preview(**asked)) == told
    assert ended_early(harness, first) == []
    assert place_verdict(harness.do("deployment.deploy", asked)) == told


@on_both_stores
def test_a_bake_that_begins_while_somebody_waits_ends_for_who_waits_longest(harness: GatewayHarness) -> None:
    harness.environment()
    harness.carry_out(harness.deploy(harness.release("1.0.0")))
    first = harness.deploy(harness.release("1.1.0"), **BAKING)
    second = harness.deploy(harness.release("1.2.0"))
    third = harness.deploy(harness.release("1.3.0"))
    assert ended_early(harness, first) == []

    report_all(harness, first)

    offered = harness.records("place.offered")
    assert [record["data"] for record in offered] == [{"deployment": first, "next": second}]
    phase(harness, third)
    assert ended_early(harness, first) == [], "it is not its turn"
    phase(harness, second)
    assert ended_early(harness, first) == [second]


@on_both_stores
def test_the_next_deployment_ends_the_bake_after_another_has_left_the_queue(harness: GatewayHarness) -> None:
    harness.environment()
    harness.carry_out(harness.deploy(harness.release("1.0.0")))
    first = harness.deploy(harness.release("1.1.0"), **BAKING)
    second = harness.deploy(harness.release("1.2.0"))
    third = harness.deploy(harness.release("1.3.0"))
    report_all(harness, first)

    harness.do("deployment.abort", {"deployment": second})

    assert harness.records("place.offered")[-1]["data"] == {"deployment": first, "next": third}
    phase(harness, third)
    assert ended_early(harness, first) == [third]


def test_asked_twice_the_bake_ends_once(harness: GatewayHarness) -> None:
    first = in_its_bake(harness)
    envelope = harness.envelope("deployment.deploy", {"release": harness.release("1.2.0"), "environment": "staging"})

    one, two = (harness.gateway.ask(envelope).result(20) for _ in range(2))

    following = str(one.result["deployment"])
    assert two.result["deployment"] == following
    assert [phase(harness, following) for _ in range(2)] == ["Queued", "Queued"]
    assert harness.deploy("shop@1.2.0") == following
    assert ended_early(harness, first) == [following]


@on_both_stores
def test_a_version_that_is_not_well_when_it_is_asked_goes_back_and_the_next_one_begins_after_that(
    harness: GatewayHarness,
) -> None:
    first = in_its_bake(harness)
    following = harness.deploy(harness.release("1.2.0"))

    report_all(harness, first, "failed")

    assert harness.facts(first, "aborting")[0]["cause"] == "failed"
    assert not harness.facts(following, "started")
    report_all(harness, first, leg="rollback")
    assert harness.facts(first, "rolled_back") == []
    assert harness.records("place.offered")[-1]["data"] == {"deployment": first, "next": following}
    phase(harness, following)
    assert ended_early(harness, first) == [following, following], "nor is the bake of the way back waited out"
    report_all(harness, first, leg="rollback")
    assert harness.facts(first, "rolled_back")
    assert phase(harness, following) == "Progressing"
    [binding] = harness.facts(following, "started")[0]["bindings"]
    assert binding["stable"]["version"] == "1.0.0"


def test_an_aborted_version_is_not_kept_either_while_somebody_waits(harness: GatewayHarness) -> None:
    first = in_its_bake(harness)
    harness.do("deployment.abort", {"deployment": first})
    report_all(harness, first, leg="rollback")
    assert not harness.facts(first, "rolled_back")

    following = harness.deploy(harness.release("1.2.0"))

    assert ended_early(harness, first) == [following]
    report_all(harness, first, leg="rollback")
    assert harness.facts(first, "rolled_back")


def test_without_anybody_who_waits_the_bake_takes_its_time(harness: GatewayHarness) -> None:
    first = in_its_bake(harness)
    pause = harness.facts(first, "paused")[-1]["step"]
    resume = {"deployment": first, "leg": "forward", "step": pause}
    harness.clock.advance(599)
    assert harness.ask("deployment.resume", resume).status == "busy"
    harness.clock.advance(1)

    harness.do("deployment.resume", resume)

    assert ended_early(harness, first) == [None]
    assert harness.records("place.offered") == []


# What waits for something else too does not end it


def test_a_deployment_that_waits_for_approval_does_not_end_the_bake_before_it_is_given(harness: GatewayHarness) -> None:
    first = in_its_bake(harness)
    harness.do("environment.configure", {"name": "staging", "approval": {"required": 1}})

    following = harness.deploy(harness.release("1.2.0"))

    assert harness.facts(following, "approval_awaited")
    assert ended_early(harness, first) == []
    harness.do("approval.grant", {"approval": following}, actor="bob")
    assert ended_early(harness, first) == [following]


def test_a_refused_deployment_does_not_end_the_bake(harness: GatewayHarness) -> None:
    first = in_its_bake(harness)
    harness.do("policy.configure_gates", {"application": "shop", "gates": {"scan": {}}})

    refused = harness.ask("deployment.deploy", {"release": harness.release("1.2.0"), "environment": "staging"})

    assert refused.status == "refused"
    assert ended_early(harness, first) == []


def test_an_older_version_does_not_end_the_bake_without_a_word(harness: GatewayHarness) -> None:
    first = in_its_bake(harness)
    older = {"release": "shop@1.0.0", "environment": "staging"}

    assert harness.ask("deployment.deploy", older).status == "refused"
    assert ended_early(harness, first) == []
    following = harness.deploy("shop@1.0.0", downgrade=True)

    assert ended_early(harness, first) == [following]


def test_a_pause_for_a_person_is_not_ended(harness: GatewayHarness) -> None:
    canary: dict[str, Any] = {
        "strategy": "canary",
        "options": {"steps": [{"set_weight": 50}, {"pause": {}}], "scale_down_delay": 600},
    }
    harness.environment()
    harness.carry_out(harness.deploy(harness.release("1.0.0")))
    first = harness.deploy(harness.release("1.1.0"), **canary)
    report_all(harness, first)
    pause = harness.facts(first, "paused")[-1]
    following = harness.deploy(harness.release("1.2.0"))
    phase(harness, following)
    assert not pause["baking"]
    assert ended_early(harness, first) == []

    harness.do("deployment.promote", {"deployment": first, "step": pause["step"]})
    report_all(harness, first)

    assert harness.records("place.offered")[-1]["data"] == {"deployment": first, "next": following}


def release(harness: GatewayHarness, version: str, *components: str) -> str:
    return harness.release(version, components=[{"name": name} for name in components], partial=True)


def two_places(harness: GatewayHarness) -> None:
    """`web` runs on east and `api` on west, both in 1.0.0."""
    parts = {"east": {"web": {"command": COMMAND, "port": 8100}}, "west": {"api": {"command": COMMAND, "port": 8101}}}
    targets = [{"name": name, "components": components} for name, components in parts.items()]
    harness.do("environment.configure", {"name": "staging", "targets": targets})
    harness.walk(harness.deploy(release(harness, "1.0.0", "web", "api")))


@on_both_stores
def test_a_deployment_that_waits_for_another_place_too_ends_the_bake_only_once_that_is_released_as_well(
    harness: GatewayHarness,
) -> None:
    two_places(harness)
    east = harness.deploy(release(harness, "1.1.0", "web"), **BAKING)
    report_all(harness, east)
    west = harness.deploy(release(harness, "1.1.1", "api"), **BAKING)
    following = harness.deploy(release(harness, "1.2.0", "web", "api"))
    assert harness.facts(following, "queued")[0]["behind"] == [east, west]
    assert ended_early(harness, east) == []

    report_all(harness, west)

    assert harness.records("place.offered")[-1]["data"] == {"deployment": west, "next": following}
    phase(harness, following)
    assert (ended_early(harness, east), ended_early(harness, west)) == ([following], [following])


@on_both_stores
def test_a_deployment_that_waits_for_another_place_too_ends_the_bake_once_that_is_free(harness: GatewayHarness) -> None:
    two_places(harness)
    east = harness.deploy(release(harness, "1.1.0", "web"), **BAKING)
    report_all(harness, east)
    west = harness.deploy(release(harness, "1.1.1", "api"), strategy="recreate")
    following = harness.deploy(release(harness, "1.2.0", "web", "api"))

    report_all(harness, west)

    assert harness.facts(west, "succeeded")
    assert harness.records("place.unlocked")[-1]["data"]["next"] == following
    phase(harness, following)
    assert ended_early(harness, east) == [following]


def test_a_deployment_of_several_places_lets_go_of_all_when_one_is_waited_for(harness: GatewayHarness) -> None:
    two_places(harness)
    both = harness.deploy(release(harness, "1.1.0", "web", "api"), **BAKING)
    report_all(harness, both)

    following = harness.deploy(release(harness, "1.2.0", "web"))

    assert ended_early(harness, both) == [following]
    report_all(harness, both)
    assert harness.facts(both, "succeeded")
    assert phase(harness, following) == "Progressing"


# Rollbacks, supersede, block, retirement


def test_after_it_ended_early_it_is_rolled_back_as_any_other(harness: GatewayHarness) -> None:
    first = in_its_bake(harness)
    following = harness.deploy(harness.release("1.2.0"))
    report_all(harness, first)
    harness.do("deployment.abort", {"deployment": following})

    back = str(harness.do("deployment.rollback", {"deployment": first})["deployment"])
    harness.walk(back)

    assert harness.facts(back, "planned")[0]["reverts"] == first
    [binding] = harness.facts(back, "started")[0]["bindings"]
    assert binding["candidate"]["version"] == "1.0.0"


def test_a_rollback_that_waits_does_not_end_the_bake_of_what_it_would_have_to_take_back(
    harness: GatewayHarness,
) -> None:
    """Once that has succeeded, there is nothing left for the rollback; and it may still go back by itself."""
    harness.environment()
    harness.carry_out(harness.deploy(harness.release("1.0.0")))
    former = harness.deploy(harness.release("1.1.0"))
    harness.carry_out(former)
    newer = harness.deploy(harness.release("1.2.0"), **BAKING)
    back = str(harness.do("deployment.rollback", {"deployment": former})["deployment"])
    report_all(harness, newer)
    assert harness.facts(newer, "paused")[-1]["baking"]

    assert phase(harness, back) == "Queued"

    assert ended_early(harness, newer) == []
    harness.do("deployment.abort", {"deployment": newer})
    report_all(harness, newer, leg="rollback")
    assert harness.records("place.offered")[-1]["data"] == {"deployment": newer, "next": back}
    phase(harness, back)
    assert ended_early(harness, newer) == [back]
    report_all(harness, newer, leg="rollback")
    assert phase(harness, back) == "Progressing"


def test_going_back_during_the_bake_aborts_it_whoever_waits(harness: GatewayHarness) -> None:
    first = in_its_bake(harness)

    harness.do("deployment.rollback", {"application": "shop", "environment": "staging"})

    assert harness.facts(first, "aborting")[0]["cause"] == "person"


def test_a_superseding_deployment_has_the_baking_version_rolled_back_first(harness: GatewayHarness) -> None:
    first = in_its_bake(harness)

    hotfix = harness.deploy(harness.release("1.1.1"), supersede=True)

    assert harness.facts(first, "aborting")[0]["cause"] == "superseded"
    assert ended_early(harness, first) == []
    report_all(harness, first, leg="rollback")
    phase(harness, hotfix)
    assert ended_early(harness, first) == [hotfix], "only the bake of the way back"


def test_promoted_by_a_person_meanwhile_it_is_already_so(harness: GatewayHarness) -> None:
    first = in_its_bake(harness)
    pause = harness.facts(first, "paused")[-1]["step"]
    following = harness.deploy(harness.release("1.2.0"))

    harness.do("deployment.promote", {"deployment": first, "step": pause})

    assert ended_early(harness, first) == [following]


def test_an_environment_is_retired_without_waiting_for_the_bake(harness: GatewayHarness) -> None:
    first = in_its_bake(harness)

    [giving_up] = harness.do("environment.retire", {"name": "staging"})["deployments"]

    assert ended_early(harness, first) == [giving_up]
    report_all(harness, first)
    assert phase(harness, giving_up) == "Progressing"


# The same release again


def test_the_same_release_deployed_again_is_the_one_in_its_bake(harness: GatewayHarness) -> None:
    first = in_its_bake(harness)

    assert harness.deploy("shop@1.1.0") == first
    assert ended_early(harness, first) == []


@on_both_stores
def test_the_same_release_with_a_changed_configuration_is_the_next_deployment(harness: GatewayHarness) -> None:
    first = in_its_bake(harness)
    harness.do("environment.configure", {"name": "staging", "variables": {"GREETING": "hello"}})

    following = harness.deploy("shop@1.1.0")

    assert following != first
    assert ended_early(harness, first) == [following]
    assert harness.deploy("shop@1.1.0") == following
    report_all(harness, first)
    assert phase(harness, following) == "Progressing"
    [binding] = harness.facts(following, "started")[0]["bindings"]
    assert binding["configuration"]["variables"] == {"GREETING": "hello"}


def test_the_same_release_is_brought_again_without_waiting_for_the_bake(harness: GatewayHarness) -> None:
    first = in_its_bake(harness)

    following = harness.deploy("shop@1.1.0", redeploy=True)

    assert ended_early(harness, first) == [following]
    assert harness.deploy("shop@1.1.0", redeploy=True) == following
