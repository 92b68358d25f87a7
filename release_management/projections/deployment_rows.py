"""What an event changes in a deployment's row."""

from typing import Any, assert_never

from release_management.domain.deployment.events import (
    DeploymentAborting,
    DeploymentApprovalAwaited,
    DeploymentCancelled,
    DeploymentEvent,
    DeploymentExpired,
    DeploymentFastForwarded,
    DeploymentHalted,
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
from release_management.domain.deployment.state import Phase
from release_management.domain.deployment.steps import StepStatus
from release_management.projections.columns import plain
from release_management.projections.projection import Row
from release_management.projections.steps import PENDING, SKIPPED, listed, moved, shares

_AT_WORK: dict[str, Any] = {"paused_until": None, "paused_reason": None, "deadline": None, "awaits_person": False}
_FRESH: Row = {
    **_AT_WORK,
    "leg": "forward",
    "begun": -1,
    "queued_behind": [],
    "weights": {},
    "requested_by": None,
    "ended": None,
}
_ABSENT: Row = {"phase": Phase.ABSENT.value, "steps": [], "rollback": [], **_FRESH}


def changed(fact: DeploymentEvent, row: Row, time: str, position: int) -> dict[str, Any]:
    """The columns that the event sets; `row` is what stands there."""
    row = {**_ABSENT, **row}
    match fact:
        case DeploymentPlanned():
            return {
                **_FRESH,
                **_planned(fact),
                "phase": Phase.PLANNED.value,
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
        case DeploymentRequested(by=by):
            return {"requested_by": by, "requested": time}
        case DeploymentApprovalAwaited(approval=approval):
            if not row["requested_by"]:
                return {"approval": approval}
            waits = {"approval": approval, "awaits_person": True}
            return {**_AT_WORK, **waits, "phase": Phase.AWAITING_APPROVAL.value}
        case DeploymentQueued():
            waits = {"queued_behind": list(fact.behind), "deadline": fact.deadline}
            return {**_AT_WORK, **waits, "phase": Phase.QUEUED.value}
        case DeploymentStarted():
            return {**_AT_WORK, "phase": Phase.PROGRESSING.value, "queued_behind": [], "started": time, "reason": None}
        case DeploymentSucceeded():
            return _ended(Phase.SUCCEEDED, time)
        case DeploymentRolledBack(empty=empty):
            return {**_ended(Phase.ROLLED_BACK, time), "reason": _undone(row.get("reason"), empty)}
        case DeploymentRollbackFailed(reason=reason):
            return {**_ended(Phase.ROLLBACK_FAILED, time), "reason": reason}
        case DeploymentHalted(reason=reason):
            return {**_ended(Phase.HALTED, time), "reason": reason}
        case DeploymentRejected(reason=reason):
            return {**_ended(Phase.REJECTED, time), "reason": reason}
        case DeploymentExpired(reason=reason):
            return {**_ended(Phase.EXPIRED, time), "reason": reason}
        case DeploymentCancelled(by=by, note=note):
            noted = {"note": plain(note)} if note else {}
            return {**_ended(Phase.CANCELLED, time), **noted, "reason": f"withdrawn by {by}"}
        case DeploymentSuperseded(successor=successor):
            return {**_ended(Phase.SUPERSEDED, time), "successor": successor}
        case _:
            return _walked(fact, row)


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


def _walked(fact: _Walking, row: Row) -> dict[str, Any]:
    match fact:
        case DeploymentStepStarted():
            return _step(row, fact, StepStatus.STARTED, attempt=fact.attempt, deadline=fact.deadline)
        case DeploymentStepSucceeded():
            done = _step(row, fact, StepStatus.DONE, attempt=fact.attempt)
            weights = {**row["weights"], **shares(row[_legs(fact.leg)], fact.step)}
            return {**done, "weights": weights, "weight": max(weights.values(), default=None)}
        case DeploymentStepFailed():
            return _step(row, fact, StepStatus.FAILED, attempt=fact.attempt, reason=fact.reason)
        case DeploymentStepErrored():
            return _step(
                row, fact, StepStatus.ERRORED, attempt=fact.attempt, reason=fact.reason, retry_at=fact.retry_at
            )
        case DeploymentPaused():
            return {**_step(row, fact, StepStatus.WAITING, attempt=1), **_paused(fact)}
        case DeploymentResumed():
            return {**_step(row, fact, StepStatus.DONE), **_AT_WORK, **_progressing(fact.leg)}
        case DeploymentFastForwarded(skipped=skipped):
            steps = row["steps"]
            for index in skipped:
                steps = moved(steps, index, SKIPPED)
            over = {**_AT_WORK, **_progressing("forward")} if row["phase"] == Phase.PAUSED.value else {}
            return {"steps": steps, **over}
        case DeploymentAborting(reason=reason, note=note):
            return {
                **_AT_WORK,
                "phase": Phase.ABORTING.value,
                "reason": reason,
                "note": plain(note) if note else None,
                "leg": "rollback",
                "step": None,
                "total": sum(_needed(step, row["begun"]) for step in row["rollback"]),
                "rollback": [
                    step if _needed(step, row["begun"]) else {**step, "status": SKIPPED} for step in row["rollback"]
                ],
            }
        case _:
            assert_never(fact)


def _planned(fact: DeploymentPlanned | DeploymentReplanned) -> dict[str, Any]:
    return {
        "targets": list(fact.targets),
        "strategy": fact.strategy,
        "options": fact.options,
        "digest": fact.digest,
        "steps": listed(fact.plan, "forward"),
        "rollback": listed(fact.plan, "rollback"),
        "step": None,
        "total": len(fact.plan.forward),
    }


def _legs(leg: str) -> str:
    return "steps" if leg == "forward" else "rollback"


def _step(
    row: Row,
    fact: DeploymentStepStarted
    | DeploymentStepSucceeded
    | DeploymentStepFailed
    | DeploymentStepErrored
    | DeploymentPaused
    | DeploymentResumed,
    status: StepStatus,
    **details: Any,
) -> dict[str, Any]:
    column = _legs(fact.leg)
    columns: dict[str, Any] = {column: moved(row[column], fact.step, status.value, **details)}
    if fact.leg == row["leg"]:
        columns["step"] = fact.step
    wave = getattr(fact, "wave", None)
    if fact.leg == "forward" and wave is not None:
        columns["begun"] = max(row["begun"], wave)
    return columns


def _paused(fact: DeploymentPaused) -> dict[str, Any]:
    waits = {
        "paused_until": fact.until,
        "paused_reason": fact.reason,
        "deadline": fact.deadline,
        "awaits_person": fact.until is None,
    }
    if fact.leg == "forward":
        waits["phase"] = (Phase.BAKING if fact.baking else Phase.PAUSED).value
    return waits


def _progressing(leg: str) -> dict[str, Any]:
    return {"phase": Phase.PROGRESSING.value} if leg == "forward" else {}


def _ended(phase: Phase, time: str) -> dict[str, Any]:
    return {**_AT_WORK, "phase": phase.value, "queued_behind": [], "ended": time}


def _undone(reason: str | None, empty: bool) -> str | None:
    """Why it went back, and what it went back to where that is nothing."""
    nothing = "nothing had served here before, and nothing serves now" if empty else None
    return "; ".join(said for said in (reason, nothing) if said) or None


def _needed(step: Row, begun: int) -> bool:
    return step["status"] != PENDING or step["since"] is None or step["since"] <= begun
