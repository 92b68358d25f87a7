from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Table

from release_management.adapters.read_model import BadQueryError
from release_management.domain.deployment.events import (
    DeploymentApprovalAwaited,
    DeploymentCancelled,
    DeploymentEvent,
    DeploymentExpired,
    DeploymentFastForwarded,
    DeploymentHalted,
    DeploymentPaused,
    DeploymentQueued,
    DeploymentRejected,
    DeploymentReplanned,
    DeploymentRequested,
    DeploymentResumed,
    DeploymentRollbackFailed,
    DeploymentRolledBack,
    DeploymentStarted,
    DeploymentStepErrored,
    DeploymentStepFailed,
    DeploymentStepSucceeded,
    DeploymentSucceeded,
    DeploymentSuperseded,
)
from release_management.domain.deployment.state import Deployment, evolve
from release_management.facade import views
from release_management.projections.deployment_rows import changed
from release_management.projections.kit.projection import Key, Row
from tests.projections.conftest import Ask
from tests.projections.event_script import (
    ANN,
    BEN,
    EventScript,
    at,
    compiled,
    planned,
    sealed,
)


def one(ask: Ask, id: str = "d-1") -> dict[str, Any]:
    (row,) = ask("deployment", id=id)
    return row


def test_a_planned_deployment_shows_its_steps_in_plain_words(script: EventScript, ask: Ask) -> None:
    script.planned("d-1", reverts="d-0")

    row = one(ask)

    assert (row["phase"], row["by"], row["created"], row["ended"]) == ("Planned", ANN, at(1), None)
    assert (row["release"], row["environment"], row["strategy"]) == ("shop@1.0.0", "production", "canary")
    assert (row["step"], row["total"], row["reverts"]) == (None, len(row["steps"]), "d-0")
    assert row["steps"][2]["description"] == "route web on main: 95 % stable, 5 % candidate"
    assert {step["status"] for step in row["steps"]} == {"pending"}
    assert row["plan"]["strategy"] == "canary"


def test_a_canary_that_waits_for_a_person_says_so_with_its_share(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    script.requested("d-1", by=BEN)
    script.started("d-1")
    while script.reported("d-1"):
        pass

    row = one(ask)

    assert (row["phase"], row["awaits_person"], row["paused_until"]) == ("Paused", True, None)
    assert (row["paused_reason"], row["requested_by"]) == ("canary step", BEN)
    assert (row["step"], row["weight"], row["weights"]) == (3, 5, {"main/web": 5})
    assert [step["status"] for step in row["steps"][:5]] == ["done", "done", "done", "waiting", "pending"]


def test_promotion_in_full_skips_what_is_left_out(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    script.started("d-1")
    while script.reported("d-1"):
        pass
    script.promoted("d-1", full=True)
    script.finished("d-1")

    row = one(ask)

    assert (row["phase"], row["weight"], row["awaits_person"]) == ("Succeeded", 100, False)
    assert [step["status"] for step in row["steps"]].count("skipped") == 2
    assert row["ended"] is not None


def test_a_pause_that_ended_early_says_for_which_deployment(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    script.started("d-1")
    while script.reported("d-1"):
        pass
    script.tell("deployment:d-1", DeploymentResumed(leg="forward", step=3, by=BEN, successor="d-2"))

    row = one(ask)

    assert row["phase"] == "Progressing"
    assert (row["steps"][3]["status"], row["steps"][3]["reason"]) == ("done", "ended early for deployment d-2")
    [told] = ask("trail", type="deployment.resumed")
    assert told["summary"] == f"ended the bake of step 4 early for deployment d-2, by {BEN}"


def test_an_aborted_deployment_walks_only_the_way_back_that_it_needs(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    script.started("d-1")
    script.reported("d-1")
    script.aborted("d-1")

    row = one(ask)

    assert (row["phase"], row["leg"], row["reason"]) == ("Aborting", "rollback", "somebody aborted it")
    assert row["total"] == sum(step["status"] != "skipped" for step in row["rollback"])
    assert {step["status"] for step in row["rollback"]} == {"skipped", "started"}


def test_a_failed_step_names_its_reason_and_the_traffic_goes_back(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    script.started("d-1")
    while script.reported("d-1"):
        pass
    script.promoted("d-1")
    script.reported("d-1", "failed")
    failed = one(ask)
    script.reported("d-1")

    assert (failed["phase"], failed["weight"]) == ("Aborting", 5)
    assert [step["reason"] for step in failed["steps"] if step["status"] == "failed"] == ["no luck"]
    assert one(ask)["weight"] == 0


def test_an_errored_step_says_when_it_is_tried_again(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    script.started("d-1")
    script.reported("d-1", "errored")

    step = one(ask)["steps"][0]
    assert (step["status"], step["attempt"], step["reason"]) == ("errored", 1, "no luck")
    assert step["retry_at"] > at(1)


def test_waiting_for_approval_and_for_the_place(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    script.walk("d-1", [DeploymentApprovalAwaited(approval="a-1")])
    early = one(ask)
    script.requested("d-1")
    script.walk("d-1", [DeploymentApprovalAwaited(approval="a-1")])
    awaits = one(ask)
    script.walk("d-1", [DeploymentQueued(behind=("d-0",), deadline=at(900))])
    queued = one(ask)

    assert (early["phase"], early["approval"]) == ("Planned", "a-1")
    assert (awaits["phase"], awaits["awaits_person"]) == ("AwaitingApproval", True)
    assert (queued["phase"], queued["queued_behind"], queued["deadline"]) == ("Queued", ["d-0"], at(900))


def test_a_waiting_deployment_says_how_long_it_waits_and_what_happens_then(script: EventScript, ask: Ask) -> None:
    def patience() -> str | None:
        return views.Deployment.of(one(ask)).patience

    script.planned("d-1", deadline=at(900))
    script.walk("d-1", [DeploymentApprovalAwaited(approval="a-1")])
    assert patience() == "waits until 2026-11-23 09:45:00, then it expires"
    script.requested("d-1")
    script.walk("d-1", [DeploymentApprovalAwaited(approval="a-1")])
    assert patience() is None, "the approval says how long"
    script.walk("d-1", [DeploymentQueued(behind=("d-0",), deadline=at(960))])
    assert patience() == "waits until 2026-11-23 09:46:00, then it expires"
    script.started("d-1")
    assert patience() is None
    script.walk("d-1", [DeploymentPaused.model_validate({**PAUSE, "deadline": at(1020)})])
    assert patience() == "waits until 2026-11-23 09:47:00, then it goes back"
    irreversible = compiled().model_copy(update={"reversible": False})
    script.planned("d-2", plan=irreversible, digest=irreversible.digest)
    script.started("d-2")
    script.walk("d-2", [DeploymentPaused.model_validate({**PAUSE, "deadline": at(1020)})])
    sentence = views.Deployment.of(one(ask, "d-2")).patience
    assert sentence == "waits until 2026-11-23 09:47:00, then it halts: there is no way back"


def test_a_new_plan_takes_the_place_of_the_old(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    plan = compiled("rolling")
    again = DeploymentReplanned(strategy="rolling", targets=("main",), plan=plan, digest=plan.digest, reason="moved")
    script.walk("d-1", [again])

    row = one(ask)
    assert (row["strategy"], row["digest"], row["reason"]) == ("rolling", plan.digest, "moved")
    assert (row["total"], row["plan"]["strategy"]) == (len(plan.forward), "rolling")


ENDS: list[tuple[DeploymentEvent, str]] = [
    (DeploymentSucceeded(), "Succeeded"),
    (DeploymentRolledBack(empty=True), "RolledBack"),
    (DeploymentRollbackFailed(reason="why"), "RollbackFailed"),
    (DeploymentHalted(reason="why"), "Halted"),
    (DeploymentRejected(reason="why"), "Rejected"),
    (DeploymentExpired(reason="why"), "Expired"),
    (DeploymentCancelled(by=ANN, note=sealed("oops")), "Cancelled"),
    (DeploymentSuperseded(successor="d-2"), "Superseded"),
]


@pytest.mark.parametrize(("end", "phase"), ENDS, ids=[phase for _, phase in ENDS])
def test_every_end_has_its_time(end: DeploymentEvent, phase: str, script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    script.walk("d-1", [end])

    row = one(ask)
    assert (row["phase"], row["ended"]) == (phase, at(2))


def test_deployments_are_found_by_what_they_are_and_where_they_stand(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    script.planned("d-2", "1.1.0", "staging")
    script.planned("d-3", "1.1.0")
    script.started("d-3")
    script.walk("d-1", [DeploymentCancelled(by=ANN)])

    def ids(**params: Any) -> list[str]:
        return [row["id"] for row in ask("deployments", **params)]

    assert ids() == ["d-3", "d-2", "d-1"]
    assert ids(environment="production") == ["d-3", "d-1"]
    assert ids(release="shop@1.1.0", phase="Progressing") == ["d-3"]
    assert ids(active=True) == ["d-3", "d-2"]
    assert ids(active=False) == ["d-1"]
    assert ids(application="till") == []
    assert ids(limit=1) == ["d-3"]


def test_the_steps_are_read_page_by_page_and_by_what_has_moved(script: EventScript, ask: Ask) -> None:
    script.planned("d-1")
    script.started("d-1")
    script.reported("d-1")
    script.reported("d-1")
    whole = one(ask)

    (head,) = ask("deployment", id="d-1", steps=False)
    assert "plan" not in head
    assert "steps" not in head
    assert {name: whole[name] for name in head} == head
    assert (head["done"], head["total"]) == (2, len(whole["steps"]))
    assert head["options"] == whole["options"]
    first = ask("steps", deployment="d-1", leg="forward", limit=3)
    rest = ask("steps", deployment="d-1", leg="forward", after=first[-1]["step"])
    assert [step["step"] for step in [*first, *rest]] == list(range(len(whole["steps"])))
    assert [{k: v for k, v in step.items() if k != "leg"} for step in [*first, *rest]] == whole["steps"]

    since = max(step["position"] for step in [*first, *rest])
    assert ask("steps", deployment="d-1", changed_after=since) == []
    script.reported("d-1")
    assert {step["step"] for step in ask("steps", deployment="d-1", changed_after=since)} == {2, 3}
    with pytest.raises(BadQueryError, match="deployment d-9 does not exist"):
        ask("steps", deployment="d-9")


PAUSE = {"leg": "forward", "step": 3, "wave": 3, "reason": "canary step"}
ANY: list[DeploymentEvent] = [
    planned("d-1"),
    DeploymentRequested(by=ANN),
    DeploymentApprovalAwaited(approval="a-1"),
    DeploymentQueued(behind=(), deadline=at(9)),
    DeploymentStarted(bindings=()),
    DeploymentStepSucceeded(leg="forward", step=2, attempt=1, wave=2, observedat=at(9)),
    DeploymentStepSucceeded(leg="rollback", step=99, attempt=1, wave=2, observedat=at(9)),
    DeploymentStepFailed(leg="forward", step=0, attempt=1, reason="why"),
    DeploymentStepErrored(leg="rollback", step=0, attempt=1, reason="why"),
    DeploymentPaused.model_validate({**PAUSE, "deadline": at(9)}),
    DeploymentPaused.model_validate({**PAUSE, "until": at(9), "baking": True}),
    DeploymentPaused.model_validate({**PAUSE, "until": at(9), "leg": "rollback"}),
    DeploymentResumed(leg="forward", step=3, by=ANN),
    DeploymentResumed(leg="rollback", step=3, by=ANN),
    DeploymentResumed(leg="forward", step=3, by=ANN, successor="d-2"),
    DeploymentFastForwarded(skipped=(3, 4), by=ANN),
    *(end for end, _ in ENDS),
]


class NoSteps:
    """`Rows` of a deployment whose steps nobody looks at."""

    def get(self, table: Table, key: Key) -> Row | None:
        return None

    def find(self, table: Table, key: Key) -> Row | None:
        return None

    def put(self, table: Table, key: Key, **columns: Any) -> None: ...

    def delete(self, table: Table, key: Key) -> None: ...

    def clear(self, table: Table, first: Any) -> None: ...


@given(st.lists(st.sampled_from(ANY), max_size=12))
def test_a_row_is_in_the_phase_that_the_aggregate_is_in(facts: list[DeploymentEvent]) -> None:
    state = Deployment()
    row: dict[str, Any] = {}
    for position, fact in enumerate(facts, 1):
        state = evolve(state, fact)
        row = {**row, **changed(fact, row, NoSteps(), "d-1", at(position), position)}

    assert row.get("phase", "Absent") == state.phase
