"""While a deployment only keeps an old version for the way back, its place is free for the next."""

from typing import Any

import pytest

from tests.services.gateway_harness import (
    COMMAND,
    Office,
    on_both_stores,
)

BAKING: dict[str, Any] = {"strategy": "blue-green", "options": {"scale_down_delay": 600, "abort_scale_down_delay": 600}}
STRATEGIES: dict[str, dict[str, Any]] = {
    "blue-green": {"scale_down_delay": 600},
    "canary": {"steps": [{"set_weight": 50}], "scale_down_delay": 600},
    "rolling": {"scale_down_delay": 600},
}


def report_all(office: Office, deployment: str, result: str = "succeeded", leg: str = "forward") -> None:
    """Report every order that is out, and those that follow, until it pauses or ends."""
    while True:
        ended = {(fact["leg"], fact["step"]) for name in DONE for fact in office.facts(deployment, name)}
        orders = [it for it in office.facts(deployment, "step_started") if (it["leg"], it["step"]) not in ended]
        if not orders or orders[0]["leg"] != leg:
            return
        for order in orders:
            office.report(deployment, order["step"], result, order["attempt"], leg=order["leg"], reason="as asked")


DONE = ("step_succeeded", "step_failed", "step_errored")


def phase(office: Office, deployment: str) -> str:
    return str(office.do("deployment.proceed", {"deployment": deployment})["phase"])


def place_verdict(result: dict[str, Any]) -> str:
    return next(str(verdict["reason"]) for verdict in result["verdicts"] if verdict["rule"] == "place")


def in_its_bake(office: Office, version: str = "1.1.0", how: dict[str, Any] = BAKING) -> str:
    """1.0.0 has succeeded; the next version has all traffic, and the old one is kept."""
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))
    return baking(office, version, how)


def baking(office: Office, version: str, how: dict[str, Any] = BAKING) -> str:
    deployment = office.deploy(office.release(version), **how)
    report_all(office, deployment)
    assert office.facts(deployment, "paused")[-1]["baking"]
    return deployment


def ended_early(office: Office, deployment: str) -> list[str | None]:
    return [fact.get("successor") for fact in office.facts(deployment, "resumed")]


@on_both_stores
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_next_deployment_ends_the_bake_and_begins_once_the_old_version_is_stopped(
    office: Office, strategy: str
) -> None:
    first = in_its_bake(office, how={"strategy": strategy, "options": STRATEGIES[strategy]})

    following = office.deploy(office.release("1.2.0"))

    assert ended_early(office, first) == [following]
    assert not office.facts(first, "succeeded"), "the old version is to be stopped before"
    assert not office.facts(following, "started")
    report_all(office, first)
    assert office.facts(first, "succeeded")
    assert office.records("place.unlocked")[-1]["data"]["next"] == following
    assert phase(office, following) == "Progressing"
    [binding] = office.facts(following, "started")[0]["bindings"]
    assert binding["stable"]["version"] == "1.1.0"


def test_deploying_during_a_bake_says_that_it_starts_at_once_and_so_does_a_dry_run(office: Office) -> None:
    first = in_its_bake(office)
    asked = {"release": office.release("1.2.0"), "environment": "staging"}
    told = (
        f"deployment {first} holds staging/shop/main only to keep the version that goes for a while; "
        "it stops that early for this one, which begins right then"
    )

    assert place_verdict(office.preview(**asked)) == told
    assert ended_early(office, first) == []
    assert place_verdict(office.do("deployment.deploy", asked)) == told


@on_both_stores
def test_a_bake_that_begins_while_somebody_waits_ends_for_who_waits_longest(office: Office) -> None:
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))
    first = office.deploy(office.release("1.1.0"), **BAKING)
    second = office.deploy(office.release("1.2.0"))
    third = office.deploy(office.release("1.3.0"))
    assert ended_early(office, first) == []

    report_all(office, first)

    offered = office.records("place.offered")
    assert [record["data"] for record in offered] == [{"deployment": first, "next": second}]
    phase(office, third)
    assert ended_early(office, first) == [], "it is not its turn"
    phase(office, second)
    assert ended_early(office, first) == [second]


@on_both_stores
def test_the_next_deployment_ends_the_bake_after_another_has_left_the_queue(office: Office) -> None:
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))
    first = office.deploy(office.release("1.1.0"), **BAKING)
    second = office.deploy(office.release("1.2.0"))
    third = office.deploy(office.release("1.3.0"))
    report_all(office, first)

    office.do("deployment.abort", {"deployment": second})

    assert office.records("place.offered")[-1]["data"] == {"deployment": first, "next": third}
    phase(office, third)
    assert ended_early(office, first) == [third]


def test_asked_twice_the_bake_ends_once(office: Office) -> None:
    first = in_its_bake(office)
    envelope = office.envelope("deployment.deploy", {"release": office.release("1.2.0"), "environment": "staging"})

    one, two = (office.gateway.ask(envelope).result(20) for _ in range(2))

    following = str(one.result["deployment"])
    assert two.result["deployment"] == following
    assert [phase(office, following) for _ in range(2)] == ["Queued", "Queued"]
    assert office.deploy("shop@1.2.0") == following
    assert ended_early(office, first) == [following]


@on_both_stores
def test_a_version_that_is_not_well_when_it_is_asked_goes_back_and_the_next_one_begins_after_that(
    office: Office,
) -> None:
    first = in_its_bake(office)
    following = office.deploy(office.release("1.2.0"))

    report_all(office, first, "failed")

    assert office.facts(first, "aborting")[0]["cause"] == "failed"
    assert not office.facts(following, "started")
    report_all(office, first, leg="rollback")
    assert office.facts(first, "rolled_back") == []
    assert office.records("place.offered")[-1]["data"] == {"deployment": first, "next": following}
    phase(office, following)
    assert ended_early(office, first) == [following, following], "nor is the bake of the way back waited out"
    report_all(office, first, leg="rollback")
    assert office.facts(first, "rolled_back")
    assert phase(office, following) == "Progressing"
    [binding] = office.facts(following, "started")[0]["bindings"]
    assert binding["stable"]["version"] == "1.0.0"


def test_an_aborted_version_is_not_kept_either_while_somebody_waits(office: Office) -> None:
    first = in_its_bake(office)
    office.do("deployment.abort", {"deployment": first})
    report_all(office, first, leg="rollback")
    assert not office.facts(first, "rolled_back")

    following = office.deploy(office.release("1.2.0"))

    assert ended_early(office, first) == [following]
    report_all(office, first, leg="rollback")
    assert office.facts(first, "rolled_back")


def test_without_anybody_who_waits_the_bake_takes_its_time(office: Office) -> None:
    first = in_its_bake(office)
    pause = office.facts(first, "paused")[-1]["step"]
    resume = {"deployment": first, "leg": "forward", "step": pause}
    office.clock.advance(599)
    assert office.ask("deployment.resume", resume).status == "busy"
    office.clock.advance(1)

    office.do("deployment.resume", resume)

    assert ended_early(office, first) == [None]
    assert office.records("place.offered") == []


# What waits for something else too does not end it


def test_a_deployment_that_waits_for_approval_does_not_end_the_bake_before_it_is_given(office: Office) -> None:
    first = in_its_bake(office)
    office.do("environment.configure", {"name": "staging", "approval": {"required": 1}})

    following = office.deploy(office.release("1.2.0"))

    assert office.facts(following, "approval_awaited")
    assert ended_early(office, first) == []
    office.do("approval.grant", {"approval": following}, actor="bob")
    assert ended_early(office, first) == [following]


def test_a_refused_deployment_does_not_end_the_bake(office: Office) -> None:
    first = in_its_bake(office)
    office.do("policy.configure_gates", {"application": "shop", "gates": {"scan": {}}})

    refused = office.ask("deployment.deploy", {"release": office.release("1.2.0"), "environment": "staging"})

    assert refused.status == "refused"
    assert ended_early(office, first) == []


def test_an_older_version_does_not_end_the_bake_without_a_word(office: Office) -> None:
    first = in_its_bake(office)
    older = {"release": "shop@1.0.0", "environment": "staging"}

    assert office.ask("deployment.deploy", older).status == "refused"
    assert ended_early(office, first) == []
    following = office.deploy("shop@1.0.0", downgrade=True)

    assert ended_early(office, first) == [following]


def test_a_pause_for_a_person_is_not_ended(office: Office) -> None:
    canary: dict[str, Any] = {
        "strategy": "canary",
        "options": {"steps": [{"set_weight": 50}, {"pause": {}}], "scale_down_delay": 600},
    }
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))
    first = office.deploy(office.release("1.1.0"), **canary)
    report_all(office, first)
    pause = office.facts(first, "paused")[-1]
    following = office.deploy(office.release("1.2.0"))
    phase(office, following)
    assert not pause["baking"]
    assert ended_early(office, first) == []

    office.do("deployment.promote", {"deployment": first, "step": pause["step"]})
    report_all(office, first)

    assert office.records("place.offered")[-1]["data"] == {"deployment": first, "next": following}


def release(office: Office, version: str, *components: str) -> str:
    return office.release(version, components=[{"name": name} for name in components], partial=True)


def two_places(office: Office) -> None:
    """`web` runs on east and `api` on west, both in 1.0.0."""
    parts = {"east": {"web": {"command": COMMAND, "port": 8100}}, "west": {"api": {"command": COMMAND, "port": 8101}}}
    targets = [{"name": name, "components": components} for name, components in parts.items()]
    office.do("environment.configure", {"name": "staging", "targets": targets})
    office.walk(office.deploy(release(office, "1.0.0", "web", "api")))


@on_both_stores
def test_a_deployment_that_waits_for_another_place_too_ends_the_bake_only_once_that_is_released_as_well(
    office: Office,
) -> None:
    two_places(office)
    east = office.deploy(release(office, "1.1.0", "web"), **BAKING)
    report_all(office, east)
    west = office.deploy(release(office, "1.1.1", "api"), **BAKING)
    following = office.deploy(release(office, "1.2.0", "web", "api"))
    assert office.facts(following, "queued")[0]["behind"] == [east, west]
    assert ended_early(office, east) == []

    report_all(office, west)

    assert office.records("place.offered")[-1]["data"] == {"deployment": west, "next": following}
    phase(office, following)
    assert (ended_early(office, east), ended_early(office, west)) == ([following], [following])


@on_both_stores
def test_a_deployment_that_waits_for_another_place_too_ends_the_bake_once_that_is_free(office: Office) -> None:
    two_places(office)
    east = office.deploy(release(office, "1.1.0", "web"), **BAKING)
    report_all(office, east)
    west = office.deploy(release(office, "1.1.1", "api"), strategy="recreate")
    following = office.deploy(release(office, "1.2.0", "web", "api"))

    report_all(office, west)

    assert office.facts(west, "succeeded")
    assert office.records("place.unlocked")[-1]["data"]["next"] == following
    phase(office, following)
    assert ended_early(office, east) == [following]


def test_a_deployment_of_several_places_lets_go_of_all_when_one_is_waited_for(office: Office) -> None:
    two_places(office)
    both = office.deploy(release(office, "1.1.0", "web", "api"), **BAKING)
    report_all(office, both)

    following = office.deploy(release(office, "1.2.0", "web"))

    assert ended_early(office, both) == [following]
    report_all(office, both)
    assert office.facts(both, "succeeded")
    assert phase(office, following) == "Progressing"


# Rollbacks, supersede, block, retirement


def test_after_it_ended_early_it_is_rolled_back_as_any_other(office: Office) -> None:
    first = in_its_bake(office)
    following = office.deploy(office.release("1.2.0"))
    report_all(office, first)
    office.do("deployment.abort", {"deployment": following})

    back = str(office.do("deployment.rollback", {"deployment": first})["deployment"])
    office.walk(back)

    assert office.facts(back, "planned")[0]["reverts"] == first
    [binding] = office.facts(back, "started")[0]["bindings"]
    assert binding["candidate"]["version"] == "1.0.0"


def test_a_rollback_that_waits_does_not_end_the_bake_of_what_it_would_have_to_take_back(office: Office) -> None:
    """Once that has succeeded, there is nothing left for the rollback; and it may still go back by itself."""
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))
    former = office.deploy(office.release("1.1.0"))
    office.carry_out(former)
    newer = office.deploy(office.release("1.2.0"), **BAKING)
    back = str(office.do("deployment.rollback", {"deployment": former})["deployment"])
    report_all(office, newer)
    assert office.facts(newer, "paused")[-1]["baking"]

    assert phase(office, back) == "Queued"

    assert ended_early(office, newer) == []
    office.do("deployment.abort", {"deployment": newer})
    report_all(office, newer, leg="rollback")
    assert office.records("place.offered")[-1]["data"] == {"deployment": newer, "next": back}
    phase(office, back)
    assert ended_early(office, newer) == [back]
    report_all(office, newer, leg="rollback")
    assert phase(office, back) == "Progressing"


def test_going_back_during_the_bake_aborts_it_whoever_waits(office: Office) -> None:
    first = in_its_bake(office)

    office.do("deployment.rollback", {"application": "shop", "environment": "staging"})

    assert office.facts(first, "aborting")[0]["cause"] == "person"


def test_a_superseding_deployment_has_the_baking_version_rolled_back_first(office: Office) -> None:
    first = in_its_bake(office)

    hotfix = office.deploy(office.release("1.1.1"), supersede=True)

    assert office.facts(first, "aborting")[0]["cause"] == "superseded"
    assert ended_early(office, first) == []
    report_all(office, first, leg="rollback")
    phase(office, hotfix)
    assert ended_early(office, first) == [hotfix], "only the bake of the way back"


def test_promoted_by_a_person_meanwhile_it_is_already_so(office: Office) -> None:
    first = in_its_bake(office)
    pause = office.facts(first, "paused")[-1]["step"]
    following = office.deploy(office.release("1.2.0"))

    office.do("deployment.promote", {"deployment": first, "step": pause})

    assert ended_early(office, first) == [following]


def test_an_environment_is_retired_without_waiting_for_the_bake(office: Office) -> None:
    first = in_its_bake(office)

    [giving_up] = office.do("environment.retire", {"name": "staging"})["deployments"]

    assert ended_early(office, first) == [giving_up]
    report_all(office, first)
    assert phase(office, giving_up) == "Progressing"


# The same release again


def test_the_same_release_deployed_again_is_the_one_in_its_bake(office: Office) -> None:
    first = in_its_bake(office)

    assert office.deploy("shop@1.1.0") == first
    assert ended_early(office, first) == []


@on_both_stores
def test_the_same_release_with_a_changed_configuration_is_the_next_deployment(office: Office) -> None:
    first = in_its_bake(office)
    office.do("environment.configure", {"name": "staging", "variables": {"GREETING": "hello"}})

    following = office.deploy("shop@1.1.0")

    assert following != first
    assert ended_early(office, first) == [following]
    assert office.deploy("shop@1.1.0") == following
    report_all(office, first)
    assert phase(office, following) == "Progressing"
    [binding] = office.facts(following, "started")[0]["bindings"]
    assert binding["configuration"]["variables"] == {"GREETING": "hello"}


def test_the_same_release_is_brought_again_without_waiting_for_the_bake(office: Office) -> None:
    first = in_its_bake(office)

    following = office.deploy("shop@1.1.0", redeploy=True)

    assert ended_early(office, first) == [following]
    assert office.deploy("shop@1.1.0", redeploy=True) == following
