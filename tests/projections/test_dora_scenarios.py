"""Metrics tell the right story: what was skipped, who had the traffic, and what failed when one went back to it."""

import pytest

from tests.projections.conftest import Drills, Measures
from tests.projections.dora_script import Timeline

DAY = 86_400.0


def arrived(drill: Drills, *of: float, **params: str) -> dict[tuple[str, str], str | None]:
    """By deployment and commit: the release that states it. Only what counts."""
    items = drill("change_lead_time", *of, **params)
    return {(item["deployment"], item["commit"]): item["stated_by"] for item in items if item["counted"] == "numerator"}


def failed(drill: Drills, *of: float, **params: str) -> dict[str, list[str]]:
    """Return why each deployment failed."""
    items = drill("change_fail_rate", *of, **params)
    return {item["deployment"]: item["why"] for item in items if item["counted"] == "numerator"}


# A commit counts with the first deployment that contains it


def test_a_commit_of_a_release_that_was_skipped_counts_with_the_first_deployment_that_contains_it(
    timeline: Timeline, measure: Measures, drill: Drills
) -> None:
    timeline.release("1.0.0")
    timeline.deploy("d-0", 1)
    timeline.release("1.1.0", {"aaaa": 2}, at=2)
    timeline.release("1.2.0", {"bbbb": 3}, at=3)
    timeline.release("1.3.0", {"cccc": 4}, at=4)
    timeline.deploy("d-1", 8, "1.3.0")

    assert arrived(drill) == {
        ("d-1", "aaaa"): "shop@1.1.0",
        ("d-1", "bbbb"): "shop@1.2.0",
        ("d-1", "cccc"): "shop@1.3.0",
    }
    assert measure()["change_lead_time"]["value"] == 5 * DAY


def test_a_failure_counts_once_whatever_is_deployed_afterwards(
    timeline: Timeline, measure: Measures, drill: Drills
) -> None:
    timeline.release("1.0.0")
    timeline.deploy("d-0", 1)
    timeline.release("1.1.0", {"aaaa": 2}, at=2)
    timeline.release("1.2.0", {"bbbb": 3}, at=3)
    timeline.deploy("d-1", 4, "1.2.0")
    timeline.deploy("d-2", 5, "1.1.0")
    timeline.deploy("d-3", 6, "1.2.0")

    assert set(arrived(drill)) == {("d-1", "aaaa"), ("d-1", "bbbb")}
    assert measure()["change_lead_time"]["excluded"] == {"deployed_before": 2, "release_without_changes": 1}


def test_a_failed_deployment_brings_no_changes_and_the_next_success_does(timeline: Timeline, drill: Drills) -> None:
    timeline.release("1.0.0")
    timeline.deploy("d-0", 1)
    timeline.release("1.1.0", {"aaaa": 2}, at=2)
    timeline.release("1.2.0", {"bbbb": 3}, at=3)
    timeline.deploy("d-1", 4, "1.1.0", "RolledBack")
    timeline.deploy("d-2", 5, "1.2.0")

    assert set(arrived(drill)) == {("d-2", "aaaa"), ("d-2", "bbbb")}


def test_a_release_without_changes_of_its_own_brings_those_of_its_candidates(timeline: Timeline, drill: Drills) -> None:
    timeline.release("1.0.0")
    timeline.deploy("d-0", 1)
    timeline.release("2.0.0-rc.1", {"aaaa": 2}, at=2)
    timeline.release("2.0.0-rc.10", {"bbbb": 3}, at=3)
    timeline.release("2.0.0", at=4)
    timeline.deploy("d-1", 5, "2.0.0")

    assert set(arrived(drill)) == {("d-1", "aaaa"), ("d-1", "bbbb")}


def test_a_hotfix_does_not_contain_the_higher_version_that_was_made_before_it(
    timeline: Timeline, drill: Drills
) -> None:
    timeline.release("1.0.0")
    timeline.deploy("d-0", 1)
    timeline.release("2.0.0", {"aaaa": 2}, at=2)
    timeline.release("1.0.1", {"ffff": 3}, at=3)
    timeline.deploy("hotfix", 4, "1.0.1")
    timeline.release("2.0.1", {"bbbb": 5}, at=5)
    timeline.deploy("d-1", 6, "2.0.1")

    assert set(arrived(drill)) == {("hotfix", "ffff"), ("d-1", "aaaa"), ("d-1", "bbbb")}


def test_a_release_does_not_contain_a_lower_version_that_was_made_after_it(timeline: Timeline, drill: Drills) -> None:
    timeline.release("1.0.0")
    timeline.deploy("d-0", 1)
    timeline.release("2.0.0", {"aaaa": 2}, at=2)
    timeline.release("1.0.1", {"ffff": 3}, at=3)
    timeline.deploy("d-1", 4, "2.0.0")
    timeline.deploy("d-2", 5, "1.0.1")

    assert set(arrived(drill)) == {("d-1", "aaaa"), ("d-2", "ffff")}


def test_a_commit_of_several_components_has_arrived_once_each_of_them_has(timeline: Timeline, drill: Drills) -> None:
    timeline.release("1.0.0", components=("api", "web"))
    timeline.deploy("d-0", 1)
    timeline.release("1.1.0", {"aaaa": 2}, at=2, components=("api", "web"))
    timeline.release("1.2.0", {"bbbb": 2}, at=3, components=("api",))
    timeline.release("1.3.0", {"cccc": 2}, at=4, components=("web",))
    timeline.deploy("api", 5, "1.2.0")
    timeline.deploy("web", 6, "1.3.0")

    assert set(arrived(drill)) == {("api", "bbbb"), ("web", "aaaa"), ("web", "cccc")}


def test_a_release_of_another_component_brings_nothing_of_it(timeline: Timeline, drill: Drills) -> None:
    timeline.release("1.0.0", components=("api", "web"))
    timeline.deploy("d-0", 1)
    timeline.release("1.1.0", {"aaaa": 2}, at=2, components=("web",))
    timeline.release("1.2.0", {"bbbb": 2}, at=3, components=("api",))
    timeline.deploy("d-1", 5, "1.2.0")

    assert set(arrived(drill)) == {("d-1", "bbbb")}


def test_a_component_that_a_complete_release_gives_up_is_not_missing(timeline: Timeline, drill: Drills) -> None:
    timeline.release("1.0.0", components=("old", "web"))
    timeline.deploy("d-0", 1)
    timeline.release("1.1.0", {"aaaa": 2}, at=2, components=("old", "web"))
    timeline.release("1.2.0", {"bbbb": 2}, at=3, components=("web",))
    timeline.release("1.3.0", {"cccc": 2}, at=4, components=("web",), complete=True)
    timeline.deploy("partial", 5, "1.2.0")
    timeline.deploy("complete", 6, "1.3.0")

    assert set(arrived(drill)) == {("partial", "bbbb"), ("complete", "aaaa"), ("complete", "cccc")}


def test_a_release_that_keeps_a_component_at_an_older_version_does_not_contain_the_newer(
    timeline: Timeline, drill: Drills
) -> None:
    timeline.release("1.0.0", components=("api", "web"))
    timeline.deploy("d-0", 1)
    timeline.release("1.1.0", {"aaaa": 2}, at=2, components=("api", "web"))
    timeline.release("1.2.0", {"bbbb": 2}, at=3, components={"api": "1.2.0", "web": "1.0.0"})
    timeline.release("1.3.0", {"cccc": 2}, at=4, components={"api": "1.2.0", "web": "1.1.0"})
    timeline.deploy("d-1", 5, "1.2.0")
    timeline.deploy("d-2", 6, "1.3.0")

    assert set(arrived(drill)) == {("d-1", "bbbb"), ("d-2", "aaaa"), ("d-2", "cccc")}


def test_releases_skipped_before_a_first_deployment_do_not_arrive_later(
    timeline: Timeline, measure: Measures, drill: Drills
) -> None:
    timeline.release("1.0.0", {"aaaa": -300})
    timeline.release("1.1.0", {"bbbb": 0})
    timeline.release("1.2.0", {"cccc": 2})
    timeline.deploy("d-0", 3, "1.1.0")
    timeline.deploy("d-1", 4, "1.2.0")

    assert set(arrived(drill)) == {("d-1", "cccc")}
    assert measure()["change_lead_time"]["excluded"] == {"first_deployment": 1}


def test_each_environment_skips_on_its_own(timeline: Timeline, drill: Drills) -> None:
    timeline.environment("live")
    timeline.release("1.0.0")
    timeline.deploy("d-0", 1)
    timeline.deploy("l-0", 1, environment="live")
    timeline.release("1.1.0", {"aaaa": 2}, at=2)
    timeline.release("1.2.0", {"bbbb": 2}, at=3)
    timeline.deploy("d-1", 4, "1.1.0")
    timeline.deploy("d-2", 5, "1.2.0")
    timeline.deploy("l-1", 6, "1.2.0", environment="live")

    assert set(arrived(drill)) == {("d-1", "aaaa"), ("d-2", "bbbb"), ("l-1", "aaaa"), ("l-1", "bbbb")}
    assert set(arrived(drill, 5.5)) == {("l-1", "aaaa"), ("l-1", "bbbb")}, "whatever the window is"


@pytest.mark.parametrize("skipped", [True, False])
def test_a_commit_that_two_releases_state_counts_once(timeline: Timeline, drill: Drills, skipped: bool) -> None:
    timeline.release("1.0.0")
    timeline.deploy("d-0", 1)
    timeline.release("1.1.0", {"aaaa": 2}, at=2)
    timeline.release("1.2.0", {"aaaa": 2, "bbbb": 3}, at=3)
    if not skipped:
        timeline.deploy("d-1", 4, "1.1.0")
    timeline.deploy("d-2", 5, "1.2.0")

    assert set(arrived(drill)) == {("d-2" if skipped else "d-1", "aaaa"), ("d-2", "bbbb")}


def test_a_commit_that_a_hotfix_states_too_arrives_with_it(timeline: Timeline, drill: Drills) -> None:
    timeline.release("1.0.0")
    timeline.deploy("d-0", 1)
    timeline.release("2.0.0", {"aaaa": 2, "bbbb": 2}, at=2)
    timeline.release("1.0.1", {"aaaa": 2}, at=3)
    timeline.deploy("hotfix", 4, "1.0.1")
    timeline.deploy("d-1", 5, "2.0.0")

    assert set(arrived(drill)) == {("hotfix", "aaaa"), ("d-1", "bbbb")}


# An incident that nobody attributed


def blamed(drill: Drills) -> list[str]:
    items = drill("deployment_success_rate")
    found = {item["deployment"] for item in items}
    return sorted(id for id, why in failed(drill).items() if "incident" in why and id in found)


def test_while_the_old_version_is_merely_kept_the_new_one_is_blamed(timeline: Timeline, drill: Drills) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 5, "2.0.0", began=2)
    timeline.incident("i-1", 3)

    assert blamed(drill) == ["d-2"]


def test_before_the_switch_the_old_version_is_blamed(timeline: Timeline, drill: Drills) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 5, "2.0.0", began=3)
    timeline.incident("i-1", 2.9)

    assert blamed(drill) == ["d-1"]


def test_during_a_canary_the_candidate_is_blamed_however_long_it_takes(timeline: Timeline, drill: Drills) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 20, "2.0.0", began=2)
    timeline.incident("i-1", 12)

    assert blamed(drill) == ["d-2"]


def test_a_deployment_that_never_reached_users_is_not_blamed(timeline: Timeline, drill: Drills) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 5, "2.0.0", "RolledBack", began=2, reached=False)
    timeline.incident("i-1", 3)

    assert blamed(drill) == ["d-1"]


@pytest.mark.parametrize(("detected", "culprit"), [(2.5, "d-2"), (3.5, "d-2"), (4, "d-1"), (6, "d-1")])
def test_once_the_old_version_has_the_traffic_again_it_is_blamed(
    timeline: Timeline, drill: Drills, detected: float, culprit: str
) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 5, "2.0.0", "RolledBack", began=2, failing=3, back=4)
    timeline.incident("i-1", detected)

    assert blamed(drill) == [culprit]


def test_a_deployment_stuck_with_traffic_is_blamed_until_the_next_one(timeline: Timeline, drill: Drills) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 3, "2.0.0", "Halted", began=2)
    timeline.deploy("d-3", 5, "3.0.0")
    timeline.incident("i-1", 4)
    timeline.incident("i-2", 6)

    assert blamed(drill) == ["d-2", "d-3"]


def test_an_incident_of_the_past_blames_what_had_the_traffic_then(timeline: Timeline, drill: Drills) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 3, "2.0.0")
    timeline.deploy("d-3", 5, "3.0.0")
    timeline.incident("i-1", 4, at=9)

    assert blamed(drill) == ["d-2"]


def test_an_incident_before_the_window_blames_a_canary_that_ends_in_it(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 9, "2.0.0", began=2)
    timeline.incident("i-1", 3)

    assert measure(8, 10)["change_fail_rate"]["numerator"] == 1
    assert measure(0, 8)["change_fail_rate"]["numerator"] == 0


# Going back twice


def test_going_back_twice_counts_each_version_that_failed(timeline: Timeline, measure: Measures, drill: Drills) -> None:
    timeline.deploy("d-1", 1, "1.8.0")
    timeline.deploy("d-2", 2, "1.9.0")
    timeline.deploy("d-3", 3, "2.0.0")
    timeline.deploy("back", 4, "1.9.0", reverts="d-3")
    timeline.deploy("again", 6, "1.8.0", reverts="back")

    row = measure()["change_fail_rate"]
    recovery = {item["deployment"]: item["seconds"] for item in drill("failed_deployment_recovery_time")}

    assert (row["value"], row["numerator"], row["denominator"]) == (2 / 3, 2, 3)
    assert failed(drill) == {"d-2": ["reverted_after_return"], "d-3": ["reverted"]}
    assert row["with_rollbacks"] == {"value": 2 / 5, "numerator": 2, "denominator": 5}
    assert recovery == {"d-3": DAY, "back": 2 * DAY}


def test_a_failure_long_after_a_rollback_counts_with_the_deployment_that_brought_the_version(
    timeline: Timeline, measure: Measures, drill: Drills
) -> None:
    timeline.deploy("d-1", 1, "1.8.0")
    timeline.deploy("d-2", 2, "1.9.0")
    timeline.deploy("d-3", 20, "2.0.0")
    timeline.deploy("back", 21, "1.9.0", reverts="d-3")
    timeline.incident("i-1", 22)

    assert failed(drill, 0, 10) == {"d-2": ["incident_after_return"]}
    assert failed(drill, 10, 30) == {"d-3": ["reverted"]}
    assert measure(0, 10)["failed_deployment_recovery_time"]["denominator"] == 0
    assert measure(10, 30)["failed_deployment_recovery_time"]["censored"] == 1


def test_a_version_that_failed_before_and_after_one_went_back_to_it_counts_once(
    timeline: Timeline, measure: Measures, drill: Drills
) -> None:
    timeline.deploy("d-1", 1, "1.8.0")
    timeline.deploy("d-2", 2, "1.9.0")
    timeline.incident("i-1", 2.5, resolved=2.6)
    timeline.deploy("d-3", 3, "2.0.0")
    timeline.deploy("back", 4, "1.9.0", reverts="d-3")
    timeline.deploy("again", 6, "1.8.0", reverts="back")

    assert failed(drill) == {"d-2": ["incident", "reverted_after_return"], "d-3": ["reverted"]}
    assert measure()["failed_deployment_recovery_time"]["numerator"] == 3


def test_a_rollback_that_does_not_succeed_is_no_failure_of_what_it_goes_back_to(
    timeline: Timeline, drill: Drills
) -> None:
    timeline.deploy("d-1", 1, "1.8.0")
    timeline.deploy("d-2", 2, "1.9.0")
    timeline.deploy("d-3", 3, "2.0.0")
    timeline.deploy("back", 4, "1.9.0", "RolledBack", reverts="d-3")
    timeline.deploy("tried", 6, "1.9.0", retries="back")

    assert failed(drill) == {"d-3": ["reverted"]}


def test_a_version_that_was_rolled_back_and_then_brought_again_counts_with_the_second_deployment(
    timeline: Timeline, drill: Drills
) -> None:
    timeline.deploy("d-1", 1, "1.8.0")
    timeline.deploy("d-2", 2, "1.9.0")
    timeline.deploy("back", 3, "1.8.0", reverts="d-2")
    timeline.deploy("d-3", 4, "1.9.0")
    timeline.deploy("d-4", 5, "2.0.0")
    timeline.deploy("back-2", 6, "1.9.0", reverts="d-4")
    timeline.deploy("back-3", 7, "1.8.0", reverts="back-2")

    assert failed(drill) == {"d-2": ["reverted"], "d-3": ["reverted_after_return"], "d-4": ["reverted"]}


def test_a_rollback_to_an_earlier_configuration_goes_back_to_the_deployment_that_brought_it(
    timeline: Timeline, drill: Drills
) -> None:
    timeline.deploy("d-1", 1, "1.9.0")
    timeline.deploy("d-2", 2, "1.9.0")
    timeline.deploy("back", 3, "1.9.0", reverts="d-2", to="d-1")
    timeline.incident("i-1", 3.5)
    timeline.deploy("d-3", 4, "2.0.0")
    timeline.deploy("again", 5, "1.9.0", reverts="d-3", to="back")
    timeline.incident("i-2", 5.5)

    assert failed(drill) == {"d-1": ["incident_after_return"], "d-2": ["reverted"], "d-3": ["reverted"]}
    [d1] = [item for item in drill("change_fail_rate") if item["deployment"] == "d-1"]
    assert [incident["id"] for incident in d1["incidents"]] == ["i-1", "i-2"]
