from release_management.domain.environment import ApprovalRule, EnvironmentConfigured
from tests.projections.conftest import Ask
from tests.projections.event_script import (
    ANN,
    BEN,
    EventScript,
    at,
    compiled,
)


def test_a_canary_shows_both_versions_with_what_was_wanted_and_what_was_seen(script: EventScript, ask: Ask) -> None:
    script.planned("d-0", "0.9.0", by=BEN)
    script.started("d-0")
    script.finished("d-0")
    script.planned("d-1", by=BEN)
    script.requested("d-1", by=ANN)
    script.started("d-1")
    while script.state("d-1").phase != "Paused":
        script.reported("d-1")

    (row,) = (row for row in ask("running", environment="production") if row["deployment"] == "d-1")

    assert row["slot"] == "green"
    assert (row["version"], row["replicas"], row["intended"], row["observed"]) == ("1.0.0", 2, 5, 5)
    assert (row["by"], row["release"], row["deployment"]) == (ANN, "shop@1.0.0", "d-1")
    assert row["since"] < row["observed_at"]


def test_a_promoted_slot_is_the_stable_one_and_a_retired_slot_is_gone(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    script.started("d-1")
    script.finished("d-1")

    (row,) = ask("running")

    assert (row["slot"], row["role"], row["observed"]) == ("green", "stable", 100)


def test_before_traffic_was_ever_set_no_share_is_stated(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    script.started("d-1")
    script.reported("d-1")

    (row,) = ask("running")

    assert (row["role"], row["intended"], row["observed"], row["observed_at"]) == ("candidate", None, None, None)


def test_scaling_the_same_version_does_not_change_since_when_it_runs(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    script.started("d-1")
    script.reported("d-1")
    first = ask("running")
    script.planned("d-2", plan=compiled("rolling"), strategy="rolling", by=BEN)
    script.started("d-2")
    script.reported("d-2")

    assert [(row["since"], row["by"]) for row in ask("running")] == [(first[0]["since"], ANN)]
    assert first[0]["since"] == at(5)


def test_places_of_other_environments_and_applications_are_left_out(script: EventScript, ask: Ask) -> None:
    script.tell(
        "environment:production",
        EnvironmentConfigured(
            name="production", label="production", tier="production", order=1, approval=ApprovalRule()
        ),
    )
    script.release()
    script.release(application="till")
    script.planned("d-1", environment="staging")
    script.started("d-1")
    script.reported("d-1")

    assert len(ask("running", environment="staging", application="shop")) == 1
    assert ask("running", environment="production") == []
    assert ask("running", application="till") == []
