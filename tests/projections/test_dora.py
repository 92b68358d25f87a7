"""Given what was deployed and what went wrong, then these metrics: each edge computed by hand."""

import itertools
import sqlite3
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from release_management.adapters.read_model import (
    BadQueryError,
    Projector,
    ReadStore,
)
from release_management.adapters.read_model.database import reader
from release_management.domain.plan import Plan
from release_management.domain.plan.builder import RolloutTarget
from release_management.domain.plan.compiler import compile_plan
from release_management.domain.plan.strategies import parse_options
from release_management.facade.views import Metric, Metrics
from release_management.projections.dora import delivery, query
from release_management.projections.dora.exposure import reaching
from tests.projections.conftest import Drills, Measures
from tests.projections.dora_script import (
    DAY_ZERO,
    Timeline,
    day,
)
from tests.projections.event_script import REGISTRY

DAY = timedelta(days=1).total_seconds()


def numbers(row: dict[str, Any]) -> tuple[Any, Any, Any]:
    return row["value"], row["numerator"], row["denominator"]


# Nothing


def test_an_empty_window_has_zero_counts_and_no_values(measure: Measures) -> None:
    rows = measure()

    assert rows["deployment_frequency"]["value"] == 0
    for name in rows.keys() - {"deployment_frequency"}:
        assert numbers(rows[name]) == (None, 0, 0)
        assert (rows[name]["p50"], rows[name]["p90"]) == (None, None)
    assert rows["deployment_frequency"]["p50"] is None
    assert {row["definition"] for row in rows.values()} == {"dora/2"}
    assert {row["position"] for row in rows.values()} == {1}


# Change lead time


def test_lead_times_are_per_change_and_interpolated(timeline: Timeline, measure: Measures) -> None:
    timeline.release("1.0.0")
    timeline.release("1.1.0", {"aaaa": 9, "bbbb": 8})
    timeline.release("1.2.0", {"cccc": 8, "dddd": 4})
    timeline.deploy("d-0", 1)
    timeline.deploy("d-1", 10, "1.1.0")
    timeline.deploy("d-2", 12, "1.2.0")

    row = measure(2)["change_lead_time"]

    assert (row["p50"], row["p90"]) == (3 * DAY, pytest.approx((4 + 0.7 * 4) * DAY))
    assert (row["value"], row["numerator"], row["denominator"]) == (3 * DAY, 4, 4)


def test_changes_of_a_first_deployment_are_left_out_and_counted(timeline: Timeline, measure: Measures) -> None:
    timeline.release("1.0.0", {"aaaa": -300, "bbbb": 0})
    timeline.release("1.1.0", {"cccc": 4})
    timeline.deploy("d-1", 1, outcome="RolledBack")
    timeline.deploy("d-2", 2)
    timeline.deploy("d-3", 5, "1.1.0")

    row = measure()["change_lead_time"]

    assert (row["value"], row["numerator"], row["excluded"]) == (DAY, 1, {"first_deployment": 2})


def test_changes_without_a_lead_time_are_excluded_by_reason(
    timeline: Timeline, measure: Measures, drill: Drills
) -> None:
    timeline.release("1.0.0")
    timeline.release("1.1.0", {"aaaa": 7, "bbbb": "2026-13-01T00:00:00Z", "cccc": 5})
    timeline.release("1.2.0", {"cccc": 5})
    timeline.release("1.3.0")
    timeline.deploy("d-0", 1)
    timeline.deploy("d-1", 6, "1.1.0")
    timeline.deploy("d-2", 7, "1.2.0")
    timeline.deploy("d-3", 8, "1.3.0")

    row = measure(2)["change_lead_time"]
    items = {(item["deployment"], item["commit"]): item["excluded"] for item in drill("change_lead_time", 2)}

    assert row["excluded"] == {"deployed_before": 1, "negative": 1, "no_commit_time": 1, "release_without_changes": 1}
    assert (row["value"], row["numerator"]) == (DAY, 1)
    assert items == {
        ("d-1", "aaaa"): "negative",
        ("d-1", "bbbb"): "no_commit_time",
        ("d-1", "cccc"): None,
        ("d-2", "cccc"): "deployed_before",
        ("d-3", None): "release_without_changes",
    }


def test_a_commit_at_the_very_instant_of_its_deployment_took_no_time(timeline: Timeline, measure: Measures) -> None:
    timeline.release("1.0.0")
    timeline.release("1.1.0", {"aaaa": 6})
    timeline.deploy("d-0", 1)
    timeline.deploy("d-1", 6, "1.1.0")

    assert numbers(measure(2)["change_lead_time"]) == (0, 1, 1)


def test_a_deployment_that_only_stops_what_runs_delivers_nothing(timeline: Timeline, measure: Measures) -> None:
    timeline.release("1.0.0", {"aaaa": 1})
    timeline.deploy("d-1", 2)
    before = measure(1)
    timeline.deploy("d-2", 3, gives_up=True)
    timeline.deploy("d-3", 4, outcome="RolledBack", gives_up=True)

    after = measure(1)

    assert {name: row["value"] for name, row in after.items()} == {name: row["value"] for name, row in before.items()}
    assert after["deployment_frequency"]["numerator"] == 1
    assert after["change_fail_rate"]["denominator"] == 1


def test_offsets_of_commits_are_understood(timeline: Timeline, measure: Measures) -> None:
    timeline.release("1.0.0")
    timeline.release("1.1.0", {"aaaa": "2026-11-07T02:00:00+02:00"})
    timeline.deploy("d-0", 1)
    timeline.deploy("d-1", 6, "1.1.0")

    assert measure(2)["change_lead_time"]["value"] == DAY


def test_a_change_counts_where_it_first_succeeded_and_once_per_environment(
    timeline: Timeline, measure: Measures
) -> None:
    timeline.environment("prod-eu")
    timeline.release("1.0.0")
    timeline.release("1.1.0", {"aaaa": 4})
    for environment in ("production", "prod-eu"):
        timeline.deploy(f"first-{environment}", 1, environment=environment)
    timeline.deploy("d-1", 5, "1.1.0", "RolledBack")
    timeline.deploy("d-2", 6, "1.1.0")
    timeline.deploy("d-3", 8, "1.1.0", environment="prod-eu")
    timeline.deploy("d-4", 9, "1.1.0")

    assert measure(2)["change_lead_time"]["numerator"] == 2
    assert measure(2, environment="production")["change_lead_time"]["value"] == 2 * DAY
    assert measure(2, environment="prod-eu")["change_lead_time"]["value"] == 4 * DAY
    assert measure(2)["change_lead_time"]["excluded"] == {"deployed_before": 1}


def test_a_rollback_brings_no_changes(timeline: Timeline, measure: Measures) -> None:
    timeline.release("1.0.0", {"aaaa": 0})
    timeline.release("1.1.0", {"bbbb": 4})
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 5, "1.1.0")
    timeline.deploy("d-3", 6, "1.0.0", reverts="d-2")

    row = measure(2)["change_lead_time"]

    assert (row["numerator"], row["excluded"]) == (1, {})


# Deployment frequency


def test_days_without_deployments_are_zero_and_cut_days_are_partial(timeline: Timeline, measure: Measures) -> None:
    for number, at in enumerate((1.2, 1.8, 4.1)):
        timeline.deploy(f"d-{number}", at)

    row = measure(1.1, 4.5)["deployment_frequency"]

    assert [bucket["count"] for bucket in row["buckets"]] == [2, 0, 0, 1]
    assert [bucket["partial"] for bucket in row["buckets"]] == [True, False, False, True]
    assert row["buckets"][0]["day"] == "2026-11-03"
    assert row["value"] == pytest.approx(3 / 3.4)
    assert row["denominator"] == pytest.approx(3.4)
    assert row["p50"] == pytest.approx((0.6 + 2.3) / 2), "days between one and the next"


def test_deployments_are_ordered_by_finish_whatever_their_position(
    timeline: Timeline, measure: Measures, drill: Drills, tmp_path: Path
) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 1)
    measure()
    with sqlite3.connect(tmp_path / "read.db") as connection:
        connection.execute("UPDATE delivery SET finished = ? WHERE id = 'd-1'", (day(3),))
    connection.close()

    row = measure(1, 5)["deployment_frequency"]

    assert [bucket["count"] for bucket in row["buckets"]] == [1, 0, 1, 0]
    assert row["p50"] == 2
    assert [item["deployment"] for item in drill("deployment_frequency")] == ["d-2", "d-1"]


def test_the_window_is_half_open(timeline: Timeline, measure: Measures) -> None:
    for number, at in enumerate((1, 2, 3)):
        timeline.deploy(f"d-{number}", at)

    assert measure(1, 3)["deployment_frequency"]["numerator"] == 2


def test_a_day_is_that_of_the_time_zone(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", 1 + 23.5 / 24)

    def days(zone: str) -> list[int]:
        return [bucket["count"] for bucket in measure(1, 3, time_zone=zone)["deployment_frequency"]["buckets"]]

    assert days("UTC") == [1, 0]
    assert days("Europe/Berlin") == [0, 1, 0], "the window begins and ends within a day of Berlin"
    assert days("America/New_York") == [0, 1, 0]


def test_a_day_on_which_the_clock_changes_is_longer(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", -8 + 22.5 / 24)

    rows = measure(-8 - 2 / 24, -6 + 23 / 24, time_zone="Europe/Berlin")["deployment_frequency"]["buckets"]

    assert [(row["day"], row["count"], row["partial"]) for row in rows] == [
        ("2026-10-25", 1, False),
        ("2026-10-26", 0, False),
        ("2026-10-27", 0, False),
    ]


def test_weeks_begin_on_monday(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", 6.9)
    timeline.deploy("d-2", 7.0)

    rows = measure(0, 15, by="week")["deployment_frequency"]["buckets"]

    assert [(row["week"], row["count"], row["partial"]) for row in rows] == [
        ("2026-11-02", 1, False),
        ("2026-11-09", 1, False),
        ("2026-11-16", 0, True),
    ]


def test_a_deployment_that_users_never_met_counts_as_an_attempt_only(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 2, outcome="RolledBack", reached=False)
    timeline.deploy("d-3", 3, outcome="RolledBack", cause="superseded", failing=2.5)

    rows = measure()

    assert rows["deployment_frequency"]["numerator"] == 2
    assert rows["deployment_frequency"]["excluded"] == {"never_reached_users": 1}
    assert numbers(rows["change_fail_rate"]) == (0, 0, 2)
    assert numbers(rows["deployment_success_rate"]) == (0.5, 1, 2)
    assert rows["deployment_success_rate"]["excluded"] == {"superseded": 1}


def set_right(**how: Any) -> Plan:
    """Return a plan that repairs what a failed rollback left, and does nothing else."""
    stand = RolloutTarget(target="main", component="web", serving=True, unsettled=True, stays=True, **how)
    return compile_plan(parse_options("recreate", {}), "1.0.0", [stand])


@pytest.mark.parametrize("routes", ["any", "none"])
def test_a_rollback_that_gives_the_traffic_back_after_a_way_back_that_failed_reached_users(
    timeline: Timeline, measure: Measures, routes: str
) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 2, "1.1.0", outcome="RollbackFailed")
    timeline.incident("i-1", 2.1, cause="d-2")
    timeline.deploy("back", 3, reverts="d-2", plan=set_right(routes=routes))

    rows = measure()

    assert rows["change_fail_rate"]["excluded"] == {"rollback": 1}
    assert rows["change_fail_rate"]["with_rollbacks"]["denominator"] == 3
    assert numbers(rows["deployment_rework_rate"]) == (1 / 3, 1, 3)


def test_users_notice_that_nothing_has_traffic_before_another_version_starts() -> None:
    stand = RolloutTarget(target="main", component="web", serving=False, unsettled=True, busy=True)
    plan = compile_plan(parse_options("blue-green", {}), "1.1.0", [stand])

    assert next(iter(reaching(plan))) == "0"
    assert plan.forward[0].describe() == "route web on main: 0 % candidate"


def test_a_version_that_also_repairs_the_last_one_reaches_users_with_its_own_traffic() -> None:
    stand = RolloutTarget(target="main", component="web", serving=True, unsettled=True)
    plan = compile_plan(parse_options("blue-green", {"scale_down_delay": 0}), "1.2.0", [stand])

    assert [plan.forward[int(index)].describe() for index in reaching(plan)] == [
        "route web on main: 0 % stable, 100 % candidate",
        "stop the stable version of web on main",
    ]


def test_a_clock_that_was_set_back_makes_no_negative_time(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", 5)
    timeline.deploy("d-2", 4)

    assert measure(5, 6)["deployment_frequency"]["numerator"] == 2
    assert measure(4, 5)["deployment_frequency"]["numerator"] == 0


def test_other_tiers_environments_and_applications_do_not_count(timeline: Timeline, measure: Measures) -> None:
    timeline.environment("staging", "staging")
    timeline.environment("live")
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 1, environment="staging")
    timeline.deploy("d-3", 1, environment="live")
    timeline.deploy("d-4", 1, application="till")

    def count(**of: str) -> int:
        return int(measure(**of)["deployment_frequency"]["numerator"])

    assert count() == 3
    assert count(tier="staging") == 1
    assert count(environment="live") == 1
    assert count(application="till") == 1


# Change fail rate


def test_a_deployment_fails_once_however_many_reasons_there_are(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 2, "1.1.0")
    timeline.incident("i-1", 2.1, cause="d-2")
    timeline.incident("i-2", 2.2, cause="d-2")
    timeline.deploy("d-3", 3, reverts="d-2")

    assert numbers(measure()["change_fail_rate"]) == (0.5, 1, 2)


def test_versions_one_two_three_and_back_to_one(timeline: Timeline, measure: Measures, drill: Drills) -> None:
    timeline.deploy("v1", 1)
    timeline.deploy("v2", 2, "2.0.0")
    timeline.deploy("v3", 3, "3.0.0")
    timeline.deploy("back", 4, "1.0.0", reverts="v3")

    row = measure()["change_fail_rate"]

    assert numbers(row) == (1 / 3, 1, 3)
    assert row["with_rollbacks"] == {"value": 1 / 4, "numerator": 1, "denominator": 4}
    assert row["excluded"] == {"rollback": 1}
    assert [item["deployment"] for item in drill("change_fail_rate") if item["counted"] == "numerator"] == ["v3"]
    assert measure()["failed_deployment_recovery_time"]["value"] == DAY


def test_a_rollback_that_began_makes_its_deployment_failed_though_it_is_still_under_way(
    timeline: Timeline, measure: Measures, drill: Drills
) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 2, "1.1.0")
    timeline.deploy("back", 3, reverts="d-2", outcome=None, reached=False)

    rows = measure()

    assert numbers(rows["change_fail_rate"]) == (0.5, 1, 2)
    assert rows["change_fail_rate"]["with_rollbacks"]["denominator"] == 2, "it has not finished"
    assert rows["failed_deployment_recovery_time"]["censored"] == 1
    assert [item["why"] for item in drill("change_fail_rate")] == [[], ["reverted"]]


@pytest.mark.parametrize(
    ("outcome", "reached", "cause", "failed"),
    [
        ("Succeeded", True, "", 0),
        ("RolledBack", True, "failed", 1),
        ("RolledBack", True, "person", 1),
        ("RolledBack", True, "deadline", 1),
        ("RolledBack", True, "superseded", 0),
        ("RolledBack", False, "failed", 0),
        ("RollbackFailed", True, "superseded", 1),
        ("Halted", True, "", 1),
    ],
)
def test_outcome_and_cause_decide_whether_a_deployment_failed(
    timeline: Timeline, measure: Measures, outcome: str, reached: bool, cause: str, failed: int
) -> None:
    timeline.deploy("d-1", 1, outcome=outcome, reached=reached, cause=cause)

    assert measure()["change_fail_rate"]["numerator"] == failed


def test_an_incident_that_nobody_attributed_is_the_newest_deployments(timeline: Timeline, drill: Drills) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 3)
    timeline.deploy("never", 3.5, outcome="RolledBack", reached=False)
    timeline.deploy("elsewhere", 3.6, application="till")
    timeline.deploy("d-3", 5)
    timeline.incident("i-1", 4)

    failed = [item for item in drill("change_fail_rate", application="shop") if item["counted"] == "numerator"]

    assert [item["deployment"] for item in failed] == ["d-2"]
    assert failed[0]["why"] == ["incident"]
    [incident] = failed[0]["incidents"]
    assert (incident["id"], incident["attribution"], incident["event"]) == (
        "i-1",
        "inferred",
        f"event-{incident['position']}",
    )


@pytest.mark.parametrize(("detected", "blamed"), [(3.0, ["d-2"]), (2.999, ["d-1"]), (10.0, ["d-2"]), (10.01, [])])
def test_the_very_instant_counts_and_more_than_seven_days_do_not(
    timeline: Timeline, drill: Drills, detected: float, blamed: list[str]
) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 3)
    timeline.incident("i-1", detected)

    assert [item["deployment"] for item in drill("change_fail_rate") if item["counted"] == "numerator"] == blamed


def test_an_incident_after_the_window_is_still_that_of_its_deployment(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-0", 5)
    timeline.deploy("d-1", 9)
    timeline.incident("i-1", 12)
    timeline.deploy("d-2", 20)
    timeline.incident("i-2", 21, cause="d-0")

    assert measure(0, 10)["change_fail_rate"]["numerator"] == 2
    assert measure(10, 30)["change_fail_rate"]["numerator"] == 0
    timeline.deploy("d-3", 21)
    timeline.incident("i-3", 22)
    assert measure(10, 21)["change_fail_rate"]["numerator"] == 0, "a later deployment is nearer"


def test_a_person_may_attribute_an_incident_to_no_deployment_and_may_correct_it(
    timeline: Timeline, drill: Drills
) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 2)
    timeline.incident("i-1", 3, explicit=True)
    timeline.incident("i-2", 3, attributed=[None])
    timeline.incident("i-3", 3, cause="d-2", attributed=[None, "d-1"])

    assert [item["deployment"] for item in drill("change_fail_rate") if item["counted"] == "numerator"] == ["d-1"]


# Failed deployment recovery time


def test_recovery_is_from_the_end_of_the_deployment_to_the_end_of_the_incident(
    timeline: Timeline, measure: Measures
) -> None:
    timeline.deploy("d-1", 1)
    timeline.incident("i-1", 1.5, resolved=2)
    timeline.incident("i-2", 1.6, resolved=3)

    row = measure()["failed_deployment_recovery_time"]

    assert (row["value"], row["numerator"], row["censored"]) == (2 * DAY, 1, 0)


def test_an_open_incident_has_no_duration_and_is_counted(timeline: Timeline, measure: Measures, drill: Drills) -> None:
    timeline.deploy("d-1", 1)
    timeline.incident("i-1", 1.5, resolved=2)
    timeline.incident("i-2", 1.6)
    timeline.deploy("d-2", 4)
    timeline.incident("i-3", 4.5, resolved=5)

    row = measure()["failed_deployment_recovery_time"]

    assert (row["value"], row["numerator"], row["denominator"], row["censored"]) == (DAY, 1, 2, 1)
    assert [item["counted"] for item in drill("failed_deployment_recovery_time")] == ["censored", "numerator"]


def test_an_automatic_rollback_is_its_own_recovery(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", 3, outcome="RolledBack", began=1, failing=2.5)

    assert measure()["failed_deployment_recovery_time"]["value"] == DAY / 2


def test_an_incident_during_the_rollout_begins_the_recovery(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", 3, outcome="RolledBack", began=1, failing=2.5)
    timeline.incident("i-1", 2, cause="d-1", resolved=4)

    assert measure()["failed_deployment_recovery_time"]["value"] == 2 * DAY


def test_a_rollback_that_was_tried_again_is_still_one(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 2, "1.1.0")
    timeline.deploy("back", 3, reverts="d-2", outcome="RolledBack")
    timeline.deploy("again", 5, retries="back")

    rows = measure()

    assert rows["failed_deployment_recovery_time"]["value"] == 3 * DAY
    assert rows["change_fail_rate"]["with_rollbacks"]["denominator"] == 4


def test_after_a_failed_rollback_the_next_successful_one_ends_the_failure(
    timeline: Timeline, measure: Measures
) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 2, "1.1.0")
    timeline.deploy("back", 3, reverts="d-2", outcome="RolledBack")
    timeline.deploy("hotfix", 5, "1.1.1")

    assert measure()["failed_deployment_recovery_time"]["value"] == 3 * DAY


def test_a_stuck_deployment_is_over_when_the_next_one_succeeds(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", 1, outcome="Halted")
    assert measure()["failed_deployment_recovery_time"]["censored"] == 1
    timeline.deploy("other", 2, application="till")
    timeline.deploy("bad", 3, outcome="RolledBack", reached=False)
    timeline.deploy("d-2", 4)

    row = measure()["failed_deployment_recovery_time"]

    assert (row["value"], row["censored"]) == (3 * DAY, 0)


# Deployment rework rate


def test_rework_is_what_ended_an_incident(timeline: Timeline, measure: Measures, drill: Drills) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("hotfix", 3, "1.0.1")
    timeline.incident("i-1", 2, explicit=True, resolved=3, remedy="hotfix")
    timeline.deploy("d-3", 4, "1.1.0")

    assert numbers(measure()["deployment_rework_rate"]) == (1 / 3, 1, 3)
    assert [item["deployment"] for item in drill("deployment_rework_rate") if item["counted"] == "numerator"] == [
        "hotfix"
    ]


def test_a_rollback_because_of_an_incident_is_rework_and_another_is_not(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", 1)
    timeline.deploy("d-2", 2, "1.1.0")
    timeline.incident("i-1", 2.5)
    timeline.deploy("back", 3, reverts="d-2")
    timeline.deploy("d-4", 4, "1.2.0")
    timeline.deploy("back-again", 5, reverts="d-4")
    timeline.incident("i-2", 6, cause="d-4")

    assert numbers(measure()["deployment_rework_rate"]) == (1 / 5, 1, 5)
    assert numbers(measure(2.9, 30)["deployment_rework_rate"]) == (1 / 3, 1, 3), "what it takes back lies before"


def test_an_incident_of_long_ago_makes_rework_of_what_ends_it_now(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", 2, began=1)
    timeline.incident("i-1", 1.5, cause="d-1")
    timeline.incident("i-2", 0.5, explicit=True, resolved=21, remedy="hotfix")
    timeline.deploy("hotfix", 20, "1.0.1")
    timeline.deploy("back", 21, reverts="d-1")

    assert numbers(measure(19.5, 22)["deployment_rework_rate"]) == (1, 2, 2)


def test_a_deployment_before_the_incident_is_no_rework(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", 1)
    timeline.incident("i-1", 2, explicit=True, resolved=3, remedy="d-1")

    assert measure()["deployment_rework_rate"]["numerator"] == 0


# Behind the numbers


def test_a_number_leads_to_the_records_behind_it(timeline: Timeline, drill: Drills) -> None:
    timeline.release("1.0.0")
    timeline.deploy("d-1", 1)
    end = next(each for each in timeline.log.records if each.name == "deployment.succeeded")

    [item] = drill("deployment_frequency")

    assert (item["counted"], item["deployment"], item["release"]) == ("numerator", "d-1", "shop@1.0.0")
    assert (item["position"], item["event"]) == (end.position, f"event-{end.position}")


def test_an_answer_says_how_many_streams_are_missing_from_it(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", 1)
    for id in ("d-2", "d-3"):
        timeline.deploy(id, 2)
        timeline.log.records[-2] = timeline.log.records[-2]._replace(record=b"{")
    timeline.incident("i-1", 3)
    timeline.log.records[-1] = timeline.log.records[-1]._replace(record=b"{")

    rows = measure(after=0)

    assert rows["deployment_frequency"]["numerator"] == 1
    assert {row["parked"] for row in rows.values()} == {3}
    found = Metrics(since=day(0), until=day(30), metrics=tuple(Metric(**row) for row in rows.values()))
    assert found.parked == 3
    assert shown(found).endswith("3 streams of events are set aside and missing here: relman projections list --parked")


def test_an_answer_says_nothing_where_nothing_is_missing(timeline: Timeline, measure: Measures) -> None:
    timeline.deploy("d-1", 1)

    rows = measure()

    assert {row["parked"] for row in rows.values()} == {0}
    found = Metrics(since=day(0), until=day(30), metrics=tuple(Metric(**row) for row in rows.values()))
    assert shown(found).endswith(f"up to position {timeline.log.last_position()}")


def shown(found: Metrics) -> str:
    console = Console(width=200, record=True, file=StringIO())
    console.print(found.render())
    return console.export_text().strip()


def test_the_position_is_that_up_to_which_everything_was_taken_in(
    timeline: Timeline, measure: Measures, tmp_path: Path
) -> None:
    measure()
    here = timeline.log.last_position()
    timeline.deploy("d-1", 1)
    ahead = Projector(timeline.log, REGISTRY, tmp_path / "read.db", (delivery.PROJECTION,))
    ahead.catch_up()
    ahead.close()
    store = ReadStore(tmp_path / "read.db")
    rows = store.ask("metrics_dora", {"since": day(0), "until": day(30)})
    store.close()

    assert {row["position"] for row in rows} == {here}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"window": {"until": day(0)}}, "must be later than since"),
        ({"window": {"until": day(401)}}, "more than 400 days"),
        ({"window": {"since": "9999-12-01T00:00:00Z", "until": "9999-12-31T00:00:00Z"}}, "lies after the year 2200"),
        ({"window": {"since": "1969-12-31T00:00:00Z"}}, "lies before 1970"),
        ({"window": {"since": "yesterday"}}, "no time with a zone; write RFC 3339"),
        ({"window": {"since": "2026-11-31T00:00:00Z"}}, "no time with a zone; write RFC 3339"),
        ({"time_zone": "Middle/Earth"}, "no time zone"),
        ({"time_zone": "../../etc/passwd"}, "no time zone"),
        ({"environment": "moon"}, "environment 'moon' does not exist; known: production"),
        ({"by": "year"}, "by"),
        ({"tier": "moon"}, "tier"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_with_what_would_be_right(
    asking: Drills, wrong: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadQueryError, match=sentence):
        asking("metrics_dora", **wrong)


def test_too_much_is_refused_and_not_cut_off(
    timeline: Timeline, measure: Measures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "MAX_DEPLOYMENTS", 2)
    for number in range(3):
        timeline.deploy(f"d-{number}", number)

    assert measure(1)["deployment_frequency"]["numerator"] == 2
    with pytest.raises(BadQueryError, match="more than 2 deployments in the window; ask for a shorter one"):
        measure()


def test_an_answer_takes_no_longer_for_what_happens_elsewhere(
    timeline: Timeline, measure: Measures, tmp_path: Path
) -> None:
    for number in range(20):
        timeline.deploy(f"stuck-{number}", number, outcome="Halted")
    measure()
    before = steps(tmp_path / "read.db")
    timeline.environment("staging", "staging", 40)
    for number in range(300):
        timeline.deploy(f"elsewhere-{number}", 40, environment="staging")
    measure()

    assert steps(tmp_path / "read.db") < 1.1 * before


def steps(where: Path) -> int:
    """Return how many hundred steps the database takes to gather a window's facts."""
    engine, taken = reader(where), itertools.count()
    with engine.connect() as connection:
        database = connection.connection.driver_connection
        assert database is not None
        database.set_progress_handler(lambda: next(taken) and None, 100)
        asked = query.WindowParams(since=day(0), until=day(30))
        query.gather(asked, lambda query: [dict(row) for row in connection.execute(query).mappings()])
        database.set_progress_handler(None, 0)
    engine.dispose()
    return next(taken)


def test_the_first_day_of_the_timeline_is_a_monday() -> None:
    assert DAY_ZERO.isoweekday() == 1
