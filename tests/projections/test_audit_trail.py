from typing import Any

import pytest

from release_management.adapters.read_model import BadQueryError
from release_management.domain.registry import FACTS, CommandRefused
from release_management.domain.release import ReleaseBlocked
from tests.projections.conftest import Ask
from tests.projections.event_script import (
    ANN,
    BEN,
    EventScript,
    at,
    sealed,
)
from tests.projections.facts import SAMPLES


def test_a_row_says_who_did_what_when_and_how_they_were_known(script: EventScript, ask: Ask) -> None:
    ref = script.release()
    script.tell(f"release:{ref}", ReleaseBlocked(reason=sealed("leaks", BEN)), actor=BEN)

    row = ask("trail")[0]

    assert (row["position"], row["time"], row["type"]) == (3, at(3), "release.blocked")
    assert (row["actor"], row["actorkind"], row["actorauth"]) == (BEN, "person", "os")
    assert (row["subject"], row["release"], row["application"]) == (f"release:{ref}", ref, "shop")
    assert (row["summary"], row["refused"]) == ("blocked", False)
    assert row["texts"] == {"reason": {"subject": BEN, "sealed": "sealed:leaks"}}


def test_steps_are_told_in_the_words_of_the_plan(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    script.started("d-1")
    script.finished("d-1")

    summaries = [row["summary"] for row in ask("trail", type="deployment.step_started", order="oldest")]

    assert summaries[2] == "step 3: route web on main: 95 % stable, 5 % candidate"


def test_everything_of_a_deployment_is_found_under_its_release_environment_and_id(
    script: EventScript, ask: Ask
) -> None:
    script.planned("d-1")
    script.ask_approval("d-1")
    script.started("d-1")
    script.finished("d-1")
    script.planned("d-2", "1.1.0", "staging")

    timeline = ask("trail", deployment="d-1", order="oldest", limit=1000)

    assert len(timeline) == script.log.last_position() - 1
    assert {row["subject"].partition(":")[0] for row in timeline} == {"deployment", "approval", "place", "release"}
    assert {row["release"] for row in timeline} == {"shop@1.0.0"}
    assert {row["environment"] for row in timeline} == {"production"}
    assert ask("trail", release="shop@1.0.0", environment="production", order="oldest", limit=1000) == timeline


def test_refusals_are_in_the_trail_too(script: EventScript, ask: Ask) -> None:
    refused = CommandRefused(command="release.block", sender="cli", by=ANN, reason=sealed("no"))
    script.tell("refusal:1", refused)
    script.release()

    (row,) = ask("trail", refused=True)

    assert row["summary"] == f"refused: release.block, requested by {ANN} through cli"
    assert row["texts"]["reason"]["sealed"] == "sealed:no"
    assert len(ask("trail", refused=False)) == 2


def test_the_trail_is_read_page_by_page_in_both_directions(script: EventScript, ask: Ask) -> None:
    for minor in range(3):
        script.release(f"1.{minor}.0")

    def positions(**params: Any) -> list[int]:
        return [row["position"] for row in ask("trail", limit=2, **params)]

    assert positions() == [6, 5]
    assert positions(before=5) == [4, 3]
    assert positions(order="oldest") == [1, 2]
    assert positions(order="oldest", after=2) == [3, 4]


def test_a_type_is_one_event_or_all_of_an_aggregate(script: EventScript, ask: Ask) -> None:
    script.release()
    script.planned("d-1")

    assert [row["type"] for row in ask("trail", type="release")] == ["release.published", "release.created"]
    assert [row["type"] for row in ask("trail", type="release.created")] == ["release.created"]
    for wrong in ({"type": "release_created"}, {"actor": BEN}):
        with pytest.raises(BadQueryError, match=r"does not exist|has done anything"):
            ask("trail", **wrong)


def test_every_fact_has_a_summary_of_its_own() -> None:
    assert {fact.NAME for fact in SAMPLES} == FACTS.keys()
    assert [fact for fact in FACTS.values() if not {"summary", "_summary"} & vars(fact).keys()] == []
    for fact in SAMPLES:
        assert fact.summary()
        assert "sealed:" not in fact.summary()


def test_configuration_events_are_found_under_what_they_configure(script: EventScript, ask: Ask) -> None:
    told = {fact.NAME: fact for fact in SAMPLES}
    script.tell("estate:main", told["estate.environment_listed"])
    script.tell("environment:dev", told["environment.target_configured"])
    script.tell("policy:shop/dev", told["policy.gates_configured"])
    script.tell("pipeline:main", told["pipeline.configured"])
    script.tell("place:dev/shop/main", told["place.locked"])

    assert [row["position"] for row in ask("trail", environment="dev", order="oldest")] == [1, 2, 3, 5]
    assert [row["position"] for row in ask("trail", application="shop", order="oldest")] == [3, 4, 5]


def test_every_event_of_a_deployment_says_which_release_where_and_for_whom(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    script.requested("d-1", by=BEN)
    script.started("d-1")
    script.finished("d-1")

    rows = ask("trail", deployment="d-1", type="deployment", order="oldest", limit=1000)

    (end,) = [row for row in rows if row["type"] == "deployment.succeeded"]
    assert (end["release"], end["application"], end["environment"]) == ("shop@1.0.0", "shop", "production")
    assert end["requested_by"] == BEN
    assert {row["requested_by"] for row in rows if row["type"] != "deployment.planned"} == {BEN}
    assert end in ask("trail", requested_by=BEN, limit=1000)
    assert end in ask("trail", environment="production", release="shop@1.0.0", type="deployment.succeeded")
    assert ask("trail", requested_by=ANN, type="deployment.succeeded") == []


def test_each_kind_of_event_is_found_under_the_deployment_that_it_is_about(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    told = [fact for fact in SAMPLES if fact.NAME.startswith("deployment.") and fact.NAME != "deployment.planned"]
    for fact in told:
        script.tell("deployment:d-1", fact)

    rows = ask("trail", deployment="d-1", release="shop@1.0.0", limit=1000)

    assert {row["type"] for row in rows} >= {fact.NAME for fact in told}
    assert {row["application"] for row in rows} == {"shop"}
    assert all(row["requested_by"] and row["environment"] for row in rows)


def test_a_refusal_is_found_under_what_it_was_about(script: EventScript, ask: Ask) -> None:
    about = {"application": "shop", "release": "shop@1.0.0", "environment": "dev"}
    script.tell(
        "refusal:1",
        CommandRefused.model_validate({"command": "x", "sender": "cli", "by": ANN, "reason": sealed("no"), **about}),
    )

    for name, value in about.items():
        assert [row["type"] for row in ask("trail", **{name: value})] == ["command.refused"]
