"""The changes that an event makes in a deployment's row."""

from typing import Any, assert_never

from release_management.domain.deployment.events import (
    DeploymentAborting,
    DeploymentApprovalAwaited,
    DeploymentCancelled,
    DeploymentEvent,
    DeploymentExpired,
    DeploymentFastForwarded,
    DeploymentHalted,
    DeploymentInsisted,
    DeploymentPaused,
    DeploymentPlanned,
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
    DeploymentStepStarted,
    DeploymentStepSucceeded,
    DeploymentSucceeded,
    DeploymentSuperseded,
)
from release_management.domain.deployment.state import DeploymentPhase
from release_management.domain.deployment.steps import StepStatus
from release_management.projections.kit.columns import plain
from release_management.projections.kit.projection import Row, Rows
from release_management.projections.steps import (
    SKIPPED,
    back_counts,
    back_total,
    move,
)

_AT_WORK: dict[str, Any] = {"paused_until": None, "paused_reason": None, "deadline": None, "awaits_person": False}
_FRESH: Row = {
    **_AT_WORK,
    "leg": "forward",
    "begun": -1,
    "done": 0,
    "queued_behind": [],
    "weights": {},
    "requested_by": None,
    "ended": None,
}
_ABSENT: Row = {"phase": DeploymentPhase.ABSENT.value, "back": {}, **_FRESH}


def changed(fact: DeploymentEvent, row: Row, rows: Rows, id: str, time: str, position: int) -> dict[str, Any]:
    """Return the columns that the event sets in the row of the deployment `id`, which is `row` now.

    Its steps are in `rows` and are changed as well.
    """
    row = {**_ABSENT, **row}
    match fact:
        case DeploymentPlanned():
            return {
                **_FRESH,
                **_planned(fact),
                "phase": DeploymentPhase.PLANNED.value,
                "release": fact.release,
                "application": fact.application,
                "version": fact.version,
                "environment": fact.environment,
                "by": fact.by,
                "reverts": fact.reverts,
                "retries": fact.retries,
                "deadline": fact.deadline,
                "created": time,
                "position": position,
            }
        case DeploymentReplanned():
            return {**_planned(fact), "reason": fact.reason}
        case DeploymentRequested(by=by, note=note):
            return {"requested_by": by, "requested": time, "note": plain(note) if note else None}
        case DeploymentInsisted():
            return {"phase": row["phase"]}
        case DeploymentApprovalAwaited(approval=approval):
            if not row["requested_by"]:
                return {"approval": approval}
            wait_columns = {"approval": approval, "awaits_person": True}
            return {**_AT_WORK, **wait_columns, "phase": DeploymentPhase.AWAITING_APPROVAL.value}
        case DeploymentQueued():
            wait_columns = {"queued_behind": list(fact.behind), "deadline": fact.deadline}
            return {**_AT_WORK, **wait_columns, "phase": DeploymentPhase.QUEUED.value}
        case DeploymentStarted():
            return {
                **_AT_WORK,
                "phase": DeploymentPhase.PROGRESSING.value,
                "queued_behind": [],
                "started": time,
                "reason": None,
            }
        case DeploymentSucceeded():
            return _ended(DeploymentPhase.SUCCEEDED, time)
        case DeploymentRolledBack(empty=empty):
            return {**_ended(DeploymentPhase.ROLLED_BACK, time), "reason": _undone(row.get("reason"), empty)}
        case DeploymentRollbackFailed(reason=reason):
            return {**_ended(DeploymentPhase.ROLLBACK_FAILED, time), "reason": reason}
        case DeploymentHalted(reason=reason):
            return {**_ended(DeploymentPhase.HALTED, time), "reason": reason}
        case DeploymentRejected(reason=reason):
            return {**_ended(DeploymentPhase.REJECTED, time), "reason": reason}
        case DeploymentExpired(reason=reason):
            return {**_ended(DeploymentPhase.EXPIRED, time), "reason": reason}
        case DeploymentCancelled(by=by, note=note):
            noted = {"note": plain(note)} if note else {}
            return {**_ended(DeploymentPhase.CANCELLED, time), **noted, "reason": f"withdrawn by {by}"}
        case DeploymentSuperseded(successor=successor):
            return {**_ended(DeploymentPhase.SUPERSEDED, time), "successor": successor}
        case _:
            return _walked(fact, row, rows, id, position)


_Walking = (
    DeploymentStepStarted
    | DeploymentStepSucceeded
    | DeploymentStepFailed
    | DeploymentStepErrored
    | DeploymentPaused
    | DeploymentResumed
    | DeploymentFastForwarded
    | DeploymentAborting
)


def _walked(fact: _Walking, row: Row, rows: Rows, id: str, at: int) -> dict[str, Any]:
    match fact:
        case DeploymentAborting(reason=reason, note=note):
            return {
                **_AT_WORK,
                "phase": DeploymentPhase.ABORTING.value,
                "reason": reason,
                **({"note": plain(note)} if note else {}),
                "leg": "rollback",
                "step": None,
                "done": 0,
                "total": back_total(row["back"], row["begun"]),
            }
        case DeploymentFastForwarded(skipped=skipped):
            for step in skipped:
                move(rows, id, "forward", step, SKIPPED, at)
            return {**_AT_WORK, **_progressing("forward")} if row["phase"] == DeploymentPhase.PAUSED.value else {}
        case _:
            return _stepped(fact, row, rows, id, at)


_Stepping = (
    DeploymentStepStarted
    | DeploymentStepSucceeded
    | DeploymentStepFailed
    | DeploymentStepErrored
    | DeploymentPaused
    | DeploymentResumed
)


def _stepped(fact: _Stepping, row: Row, rows: Rows, id: str, at: int) -> dict[str, Any]:
    status, details = _status_of(fact)
    before = move(rows, id, fact.leg, fact.step, status.value, at, **details)
    columns: dict[str, Any] = {}
    if fact.leg == row["leg"]:
        columns["step"] = fact.step
        if status is StepStatus.DONE and before is not None and before["status"] != status.value:
            columns["done"] = row["done"] + 1
    wave = getattr(fact, "wave", None)
    if fact.leg == "forward" and wave is not None:
        columns["begun"] = max(row["begun"], wave)
    match fact:
        case DeploymentStepSucceeded():
            weights = {**row["weights"], **_share(before)}
            return {**columns, "weights": weights, "weight": max(weights.values(), default=None)}
        case DeploymentPaused():
            return {**columns, **_paused(fact)}
        case DeploymentResumed():
            return {**columns, **_AT_WORK, **_progressing(fact.leg)}
        case _:
            return columns


def _status_of(fact: _Stepping) -> tuple[StepStatus, dict[str, Any]]:
    """Return the step's status, and its details."""
    match fact:
        case DeploymentStepStarted():
            return StepStatus.STARTED, {"attempt": fact.attempt, "deadline": fact.deadline}
        case DeploymentStepSucceeded():
            return StepStatus.DONE, {"attempt": fact.attempt}
        case DeploymentStepFailed():
            return StepStatus.FAILED, {"attempt": fact.attempt, "reason": fact.reason}
        case DeploymentStepErrored():
            details = {"attempt": fact.attempt, "reason": fact.reason, "retry_at": fact.retry_at}
            return StepStatus.ERRORED, details
        case DeploymentPaused():
            return StepStatus.WAITING, {"attempt": 1}
        case DeploymentResumed(successor=str(successor)):
            return StepStatus.DONE, {"reason": f"ended early for deployment {successor}"}
        case DeploymentResumed():
            return StepStatus.DONE, {}
        case _:
            assert_never(fact)


def _share(step: Row | None) -> dict[str, int]:
    """Return the candidate's share per `target/component` of a done step; empty if it is no route."""
    if step is None or step["candidate"] is None:
        return {}
    return {f"{step['target']}/{step['component']}": step["candidate"]}


def _planned(fact: DeploymentPlanned | DeploymentReplanned) -> dict[str, Any]:
    return {
        "targets": list(fact.targets),
        "strategy": fact.strategy,
        "options": fact.options,
        "digest": fact.digest,
        "back": back_counts(fact.plan),
        "step": None,
        "done": 0,
        "total": len(fact.plan.forward),
    }


def _paused(fact: DeploymentPaused) -> dict[str, Any]:
    wait_columns = {
        "paused_until": fact.until,
        "paused_reason": fact.reason,
        "deadline": fact.deadline,
        "awaits_person": fact.until is None,
    }
    if fact.leg == "forward":
        wait_columns["phase"] = (DeploymentPhase.BAKING if fact.baking else DeploymentPhase.PAUSED).value
    return wait_columns


def _progressing(leg: str) -> dict[str, Any]:
    return {"phase": DeploymentPhase.PROGRESSING.value} if leg == "forward" else {}


def _ended(phase: DeploymentPhase, time: str) -> dict[str, Any]:
    return {**_AT_WORK, "phase": phase.value, "queued_behind": [], "ended": time}


def _undone(reason: str | None, empty: bool) -> str | None:
    """Return why it was rolled back, and a note if nothing serves now."""
    nothing = "nothing had served here before, and nothing serves now" if empty else None
    return "; ".join(part for part in (reason, nothing) if part) or None
