"""What is still to be done: orders that are out, commands that fall due. One row per deployment or approval.

The orchestrator and the timers act on it and keep no state of their own: an item is gone once the log holds the fact
that answers it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, assert_never

from sqlalchemy import JSON, Column, MetaData, Select, String, Table, select

from release_management.domain.approval import (
    ApprovalCompleted,
    ApprovalDenied,
    ApprovalEvent,
    ApprovalExpired,
    ApprovalRequested,
    ApprovalRuleChanged,
    ApprovalVoided,
)
from release_management.domain.deployment import commands
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
from release_management.domain.orders import Order
from release_management.domain.place import PlaceUnlocked, PlaceUnqueued
from release_management.domain.record import Event, timestamp
from release_management.projections.projection import Key, Projection, Rows, named

AGENDA = Table(
    "agenda",
    MetaData(),
    Column("subject", String, primary_key=True),
    Column("todo", JSON, nullable=False),
)
REPORT_GRACE = timedelta(seconds=10)
ENDS = (
    DeploymentSucceeded,
    DeploymentRolledBack,
    DeploymentRollbackFailed,
    DeploymentHalted,
    DeploymentRejected,
    DeploymentExpired,
    DeploymentCancelled,
    DeploymentSuperseded,
)
Items = dict[str, dict[str, Any]]


def all_items() -> Select[Any]:
    """Every row of the agenda: (subject, todo)."""
    return select(AGENDA.c.subject, AGENDA.c.todo)


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """The rows that an event touches."""
    fact = event.fact
    if event.stream.startswith(("deployment:", "approval:")):
        yield AGENDA, (event.stream,)
    if isinstance(fact, PlaceUnlocked | PlaceUnqueued) and fact.next is not None:
        yield AGENDA, (f"deployment:{fact.next}",)


def fold(event: Event, rows: Rows) -> None:
    """Add what the event asks for, remove what it answers."""
    fact = event.fact
    match fact:
        case ApprovalRequested() | ApprovalRuleChanged():
            data = {"approval": fact.approval}
            due = {"expire": _command(event, "approval.expire", data, fact.expires_at)}
            rows.put(AGENDA, (event.stream,), todo=due)
        case ApprovalCompleted() | ApprovalDenied() | ApprovalExpired() | ApprovalVoided():
            rows.delete(AGENDA, (event.stream,))
        case PlaceUnlocked(next=str(waiting)) | PlaceUnqueued(next=str(waiting)):
            _proceed(event, waiting, rows)
        case _ if event.stream.startswith("deployment:"):
            _fold_deployment(event, fact, rows)  # type: ignore[arg-type] # its streams hold its events only
        case _:
            pass


def _proceed(event: Event, deployment: str, rows: Rows) -> None:
    subject = f"deployment:{deployment}"
    items = _items(rows, subject)
    items["proceed"] = _command(event, commands.Proceed.NAME, {"deployment": deployment})
    rows.put(AGENDA, (subject,), todo=items)


def _fold_deployment(event: Event, fact: DeploymentEvent, rows: Rows) -> None:
    if isinstance(fact, ENDS):
        rows.delete(AGENDA, (event.stream,))
        return
    id = event.stream.removeprefix("deployment:")
    items = _items(rows, event.stream)
    match fact:
        case DeploymentStepStarted():
            items.pop(_key("retry", fact), None)
            items[_key("order", fact)] = _order(event, id, fact)
            due = timestamp(datetime.fromisoformat(fact.deadline) + REPORT_GRACE)
            items[_key("deadline", fact)] = _command(event, commands.ExpireStep.NAME, _attempt(id, fact), due)
        case DeploymentStepSucceeded() | DeploymentStepFailed():
            items.pop(_key("order", fact), None)
            items.pop(_key("deadline", fact), None)
        case DeploymentStepErrored():
            items.pop(_key("order", fact), None)
            items.pop(_key("deadline", fact), None)
            if fact.retry_at is not None:
                retry = _command(event, commands.RetryStep.NAME, _attempt(id, fact), fact.retry_at)
                items[_key("retry", fact)] = retry
        case DeploymentPaused(until=str(until)):
            data = {"deployment": id, "leg": fact.leg, "step": fact.step}
            items[_key("pause", fact)] = _command(event, commands.Resume.NAME, data, until)
        case DeploymentPlanned(deadline=str(deadline)):
            items["lapse"] = _command(event, commands.Expire.NAME, {"deployment": id}, deadline)
        case DeploymentQueued(deadline=deadline):
            items.pop("proceed", None)
            items["expire"] = _command(event, commands.Expire.NAME, {"deployment": id}, deadline)
        case DeploymentPaused(deadline=str(deadline)):
            items["expire"] = _command(event, commands.Expire.NAME, {"deployment": id}, deadline)
        case DeploymentResumed():
            items.pop(_key("pause", fact), None)
            items.pop("expire", None)
        case DeploymentFastForwarded(skipped=skipped):
            items.pop("expire", None)
            for step in skipped:
                items.pop(f"pause/forward/{step}", None)
        case DeploymentAborting():
            items = {}
        case DeploymentReplanned():
            items.pop("proceed", None)  # it waits as before
        case DeploymentApprovalAwaited():
            items.pop("proceed", None)
            items.pop("expire", None)  # the approval has a deadline of its own; a plan that is not wanted yet keeps its
        case DeploymentRequested() | DeploymentStarted():
            items.pop("proceed", None)
            items.pop("expire", None)
            items.pop("lapse", None)
        case DeploymentPlanned() | DeploymentPaused():
            pass  # without a deadline nothing falls due
        case _:
            assert_never(fact)
    if items:
        rows.put(AGENDA, (event.stream,), todo=items)
    else:
        rows.delete(AGENDA, (event.stream,))


StepFact = (
    DeploymentStepStarted
    | DeploymentStepSucceeded
    | DeploymentStepFailed
    | DeploymentStepErrored
    | DeploymentPaused
    | DeploymentResumed
)


def _key(kind: str, fact: StepFact) -> str:
    return f"{kind}/{fact.leg}/{fact.step}"


def _attempt(id: str, fact: DeploymentStepStarted | DeploymentStepErrored) -> dict[str, Any]:
    return {"deployment": id, "leg": fact.leg, "step": fact.step, "attempt": fact.attempt}


def _items(rows: Rows, subject: str) -> Items:
    row = rows.get(AGENDA, (subject,))
    return dict(row["todo"]) if row else {}


def _command(event: Event, name: str, data: Mapping[str, Any], due: str = "") -> dict[str, Any]:
    """A command that falls due (at once where `due` is empty), with the event that causes it."""
    return {
        "kind": "command",
        "command": name,
        "data": dict(data),
        "due": due,
        "cause": event.envelope.id,
        "correlation": event.envelope.correlationid or event.envelope.commandid,
    }


def _order(event: Event, id: str, fact: DeploymentStepStarted) -> dict[str, Any]:
    """The order that the fact is; its position is the fence."""
    order = Order(
        deployment=id,
        leg=fact.leg,
        step=fact.step,
        attempt=fact.attempt,
        fence=event.position,
        executor=fact.executor,
        environment=fact.environment,
        application=fact.application,
        target=fact.target,
        component=fact.component,
        action=fact.action,
        settings=fact.settings,
        variables=fact.variables,
        deadline=fact.deadline,
    )
    return {"kind": "order", "order": order.model_dump(mode="json"), "due": "", "cause": event.envelope.id}


PROJECTION = Projection(
    "agenda", 3, (AGENDA,), named(DeploymentEvent, ApprovalEvent, PlaceUnlocked, PlaceUnqueued), keys, fold
)
