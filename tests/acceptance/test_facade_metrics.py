"""Incidents and metrics through `ReleaseManager`, on deployments that really run."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from release_management import (
    Incident,
    Metrics,
    Refused,
    ReleaseManager,
)
from tests.acceptance.installation import Installation


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("site"))
    yield made
    made.end_everything()


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReleaseManager]:
    """Nothing was ever deployed there."""
    with ReleaseManager("shop", data=tmp_path_factory.mktemp("idle") / ".relman", actor="alice") as manager:
        manager.configure_environments({"production": {}})
        yield manager


def test_a_bad_release_is_noticed_taken_back_and_counted(site: Installation) -> None:
    with ReleaseManager("shop", data=":memory:", actor="alice") as relman:
        where: dict[str, Any] = {**site.target("web"), "approval": {"required": 0}}
        relman.configure_environments({"production": where})
        relman.configure_deployment_strategy("blue-green", {"scale_down_delay": 0})
        committed = datetime.now(UTC) - timedelta(hours=2)
        changes = [{"commit": "4f9a1c2", "committed_at": committed.isoformat()}]
        first = relman.wait(relman.deploy(relman.create_release("1.0.0", ["web"]), "production"))
        bad = relman.wait(relman.deploy(relman.create_release("1.1.0", ["web"], changes=changes), "production"))
        assert (first.phase, bad.phase) == ("Succeeded", "Succeeded")

        opened = relman.open_incident("Carts are empty", severity="major")
        assert (opened.title, opened.by, opened.is_open, opened.cause) == ("Carts are empty", "alice", True, None)
        back = relman.wait(relman.rollback(bad))
        resolved = relman.resolve_incident(opened, back, note="rolled back")

        assert (resolved.is_open, resolved.remedy, resolved.note) == (False, back.id, "rolled back")
        assert relman.incidents() == (resolved,)
        assert relman.incidents(open=True) == ()
        found = relman.metrics()
        assert (found["change_lead_time"].value or 0) == pytest.approx(7200, abs=60)
        assert found["deployment_frequency"].numerator == 2
        assert (found["change_fail_rate"].numerator, found["change_fail_rate"].denominator) == (1, 2)
        assert found["change_fail_rate"].with_rollbacks == {"value": 1 / 3, "numerator": 1, "denominator": 3}
        assert (found["deployment_rework_rate"].numerator, found["deployment_rework_rate"].denominator) == (1, 3)
        assert found["failed_deployment_recovery_time"].numerator == 1
        assert found["deployment_success_rate"].value == 1

        failed = [item for item in relman.measured("change_fail_rate") if item.counted == "numerator"]
        assert [(item.deployment, item.why, item.incidents[0]["attribution"]) for item in failed] == [
            (bad.id, ("reverted", "incident"), "inferred")
        ]
        records = {entry.position: entry for entry in relman.history(limit=1000).entries}
        assert records[failed[0].position].type == "deployment.succeeded"
        assert records[failed[0].incidents[0]["position"]].type == "incident.opened"
        told = [entry.told for entry in relman.history(environment="production", limit=1000).entries]
        assert f"over at {resolved.resolved_at}, by deployment {back.id}: rolled back" in told
        assert "change_fail_rate" in str(found)
        assert "50.0 %" in str(found)


def test_without_deployments_there_is_nothing_to_measure(idle: ReleaseManager) -> None:
    found = idle.metrics("90d")

    assert {metric.value for metric in found.metrics} == {None, 0}
    assert str(found).count("nothing to measure") == 5
    assert idle.measured("change_lead_time") == ()
    assert isinstance(found, Metrics)


def test_an_incident_is_said_to_be_no_deployments_fault(idle: ReleaseManager) -> None:
    ago = datetime.now(UTC) - timedelta(hours=1)
    opened = idle.open_incident("The cloud is down", deployment="none", detected_at=ago)

    assert (opened.attribution, opened.blamed) == ("explicit", "no deployment")
    assert idle.incident(opened.id) == opened
    assert idle.attribute_incident(opened, "none") == opened
    assert isinstance(idle.resolve_incident(opened, resolved_at="10m"), Incident)
    assert str(idle.incident(opened)).startswith(f"incident {opened.id}: The cloud is down\n  shop in production, res")


@pytest.mark.parametrize(
    ("time", "begin"),
    [
        ("2026-03-29T00:00:00Z", "2026-03-29T00:00:00.000000Z"),
        ("2026-03-29", "2026-03-28T23:00:00.000000Z"),
        (datetime(2026, 3, 29, tzinfo=UTC), "2026-03-29T00:00:00.000000Z"),
        (datetime(2026, 3, 29, tzinfo=UTC).date(), "2026-03-28T23:00:00.000000Z"),
    ],
)
def test_times_may_be_written_in_several_ways(idle: ReleaseManager, time: Any, begin: str) -> None:
    found = idle.metrics(time, "2026-04-01T00:00:00Z", time_zone="Europe/Berlin", by="week")

    assert found.since == begin
    buckets = found["deployment_frequency"].buckets
    assert buckets is not None
    assert [bucket["week"] for bucket in buckets] == ["2026-03-23", "2026-03-30"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda it: it.metrics("yesterday"), "since is a time such as 2026-11-23T09:30:00Z, a date, or how long ago"),
        (lambda it: it.metrics(7), "since is a text"),
        (lambda it: it.metrics(datetime(2026, 1, 1)), "since has no time zone"),  # that is what is wrong
        (lambda it: it.metrics("2026-01-02", "2026-01-01"), "must be later than since"),
        (lambda it: it.metrics("2020-01-01"), "more than 400 days; ask for less at once"),
        (lambda it: it.metrics(time_zone="Mars"), "'Mars' is no time zone"),
        (lambda it: it.metrics(environment="moon"), "environment 'moon' does not exist; known: production"),
        (lambda it: it.measured("velocity"), "metric"),
        (lambda it: it.open_incident("x", environment="moon"), "environment 'moon' does not exist"),
        (lambda it: it.open_incident("x", severity="terrible"), "severity"),
        (lambda it: it.open_incident("x", deployment="the last one"), "is no id"),
        (lambda it: it.open_incident(7), "title"),
        (lambda it: it.resolve_incident("the last one"), "is no id"),
        (lambda it: it.incident("the last one"), "does not exist"),
    ],
)
def test_an_impossible_question_is_refused_with_advice(idle: ReleaseManager, wrong: Any, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        wrong(idle)
