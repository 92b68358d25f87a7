"""Suggest what a person could do next about a deployment."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from release_management.facade.views import Deployment


def status_line(deployment: "Deployment") -> str:
    """Return one line: release, environment, strategy, phase, reason."""
    mark = "✔" if deployment.succeeded else "✗" if deployment.ended else "…"
    line = f"{mark} {deployment.release} → {deployment.environment}   {deployment.strategy}   {deployment.phase}"
    if deployment.weight is not None and deployment.phase in ("Progressing", "Paused"):
        line += f" at {deployment.weight} %"
    reason = deployment.reason or deployment.paused_reason
    return f"{line}: {reason}" if reason else line


def next_step(deployment: "Deployment") -> str:
    """Return a command line, or two."""
    id = deployment.id
    match deployment.phase:
        case "Planned" if deployment.approval:
            condition = f"it waits unless approval {deployment.approval} is given: relman approval list --all"
            return f"relman deploy {_destination(deployment)} ({condition})"
        case "Planned" | "Preview":
            return f"relman deploy {_destination(deployment)}"
        case "AwaitingApproval":
            return f"relman approval grant {deployment.approval} (somebody else), or: relman deployment abort {id}"
        case "Paused" if deployment.awaits_person:
            step = f" --step {deployment.paused_step}" if deployment.paused_step else ""
            return f"relman deployment promote {id}{step}, or: relman deployment abort {id}"
        case "Succeeded":
            return f"relman env show {deployment.environment}"
        case "RollbackFailed":
            return f"relman audit log --deployment {id}, correct the cause, then: relman deployment rollback {id}"
        case "RolledBack" | "Halted" | "Cancelled" | "Expired" | "Rejected":
            return f"relman audit log --deployment {id}, or: relman deployment retry {id}"
        case _:
            return f"relman deployment show {id}"


def _destination(deployment: "Deployment") -> str:
    return f"{deployment.release} {deployment.environment}"
