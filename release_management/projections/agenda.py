"""What is still to be done: orders that are out, commands that fall due. One row for each.

The orchestrator and the timers act on it and keep no state of their own: an item is gone once the log holds the fact
that answers it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, assert_never

from sqlalchemy import JSON, BigInteger, Column, MetaData, Select, String, Table, select, tuple_

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
from release_management.domain.orders import Order
from release_management.domain.place import PlaceOffered, PlaceUnlocked, PlaceUnqueued
from release_management.domain.record import Event, timestamp
from release_management.domain.words import Fact
from release_management.projections.projection import Key, Projection, Rows, named

AGENDA = Table(
    "agenda",
    MetaData(),
    Column("subject", String, primary_key=True),
    Column("item", String, primary_key=True),
    Column("todo", JSON, nullable=False),
    Column("position", BigInteger, nullable=False),
)
"""`item` says what it is, such as `order/forward/3`; `position` is that of the record that put it there."""
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
_OF_WHOLE = ("proceed", "expire", "lapse")
"""What a deployment has as a whole: any of its facts may answer it."""
_Cleared = (DeploymentAborting, *ENDS, ApprovalCompleted, ApprovalDenied, ApprovalExpired, ApprovalVoided)
_OF_STEP: Mapping[type[Fact], tuple[str, ...]] = {
    DeploymentStepStarted: ("order", "deadline", "retry"),
    DeploymentStepSucceeded: ("order", "deadline"),
    DeploymentStepFailed: ("order", "deadline"),
    DeploymentStepErrored: ("order", "deadline", "retry"),
    DeploymentPaused: ("pause",),
    DeploymentResumed: ("pause",),
}


def all_items() -> Select[Any]:
    """Every row of the agenda: (subject, item, todo), the oldest first."""
    return select(AGENDA.c.subject, AGENDA.c.item, AGENDA.c.todo).order_by(AGENDA.c.position, AGENDA.c.item)


def items_of(subject: str) -> Select[Any]:
    """The rows of one deployment or approval."""
    return all_items().where(AGENDA.c.subject == subject)


def these_items(wanted: Sequence[Key]) -> Select[Any]:
    """The rows of these keys, as many as there are."""
    return all_items().where(tuple_(AGENDA.c.subject, AGENDA.c.item).in_(list(wanted)))


def clears(event: Event) -> bool:
    """Whether nothing that was to be done for the event's subject is to be done any more."""
    return isinstance(event.fact, _Cleared)


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """The rows that an event touches, besides those that it clears."""
    fact = event.fact
    if event.stream.startswith("approval:"):
        yield AGENDA, (event.stream, "expire")
    elif event.stream.startswith("deployment:"):
        for item in _OF_WHOLE:
            yield AGENDA, (event.stream, item)
        for kind in _OF_STEP.get(type(fact), ()):
            yield AGENDA, (event.stream, _key(kind, fact))  # type: ignore[arg-type] # it is one of a step
        if isinstance(fact, DeploymentFastForwarded):
            for step in fact.skipped:
                yield AGENDA, (event.stream, f"pause/forward/{step}")
    if isinstance(fact, PlaceUnlocked | PlaceUnqueued | PlaceOffered) and fact.next is not None:
        yield AGENDA, (f"deployment:{fact.next}", "proceed")


def fold(event: Event, rows: Rows) -> None:
    """Add what the event asks for, remove what it answers."""
    fact = event.fact
    if clears(event):
        rows.clear(AGENDA, event.stream)
        return
    match fact:
        case ApprovalRequested() | ApprovalRuleChanged():
            due = _command(event, "approval.expire", {"approval": fact.approval}, fact.expires_at)
            _put(event, rows, "expire", due)
        case PlaceUnlocked(next=str(waiting)) | PlaceUnqueued(next=str(waiting)) | PlaceOffered(next=waiting):
            proceed = _command(event, commands.Proceed.NAME, {"deployment": waiting})
            rows.put(AGENDA, (f"deployment:{waiting}", "proceed"), todo=proceed, position=event.position)
        case _ if event.stream.startswith("deployment:"):
            _fold_deployment(event, fact, rows)  # type: ignore[arg-type] # its streams hold its events only
        case _:
            pass


def _fold_deployment(event: Event, fact: DeploymentEvent, rows: Rows) -> None:
    id = event.stream.removeprefix("deployment:")
    if isinstance(fact, ENDS):
        return  # its rows are cleared
    match fact:
        case DeploymentStepStarted():
            _drop(event, rows, _key("retry", fact))
            _put(event, rows, _key("order", fact), _order(event, id, fact))
            due = timestamp(datetime.fromisoformat(fact.deadline) + REPORT_GRACE)
            expiry = _command(event, commands.ExpireStep.NAME, _attempt(id, fact), due)
            _put(event, rows, _key("deadline", fact), expiry)
        case DeploymentStepSucceeded() | DeploymentStepFailed():
            _drop(event, rows, _key("order", fact), _key("deadline", fact))
        case DeploymentStepErrored():
            _drop(event, rows, _key("order", fact), _key("deadline", fact))
            if fact.retry_at is not None:
                retry = _command(event, commands.RetryStep.NAME, _attempt(id, fact), fact.retry_at)
                _put(event, rows, _key("retry", fact), retry)
        case DeploymentPaused(until=str(until)):
            data = {"deployment": id, "leg": fact.leg, "step": fact.step}
            _put(event, rows, _key("pause", fact), _command(event, commands.Resume.NAME, data, until))
        case DeploymentPlanned(deadline=str(deadline)):
            _put(event, rows, "lapse", _command(event, commands.Expire.NAME, {"deployment": id}, deadline))
        case DeploymentQueued(deadline=deadline):
            _drop(event, rows, "proceed")
            _put(event, rows, "expire", _command(event, commands.Expire.NAME, {"deployment": id}, deadline))
        case DeploymentPaused(deadline=str(deadline)):
            _put(event, rows, "expire", _command(event, commands.Expire.NAME, {"deployment": id}, deadline))
        case DeploymentResumed():
            _drop(event, rows, _key("pause", fact), "expire")
        case DeploymentFastForwarded(skipped=skipped):
            _drop(event, rows, "expire", *(f"pause/forward/{step}" for step in skipped))
        case DeploymentReplanned():
            _drop(event, rows, "proceed")  # it waits as before
        case DeploymentAborting():
            pass  # its rows are cleared
        case DeploymentApprovalAwaited():
            # The approval has a deadline of its own; a plan that is not wanted yet keeps its own.
            _drop(event, rows, "proceed", "expire")
        case DeploymentRequested() | DeploymentStarted():
            _drop(event, rows, "proceed", "expire", "lapse")
        case DeploymentInsisted():
            pass  # it waits as before
        case DeploymentPlanned() | DeploymentPaused():
            pass  # without a deadline nothing falls due
        case _:
            assert_never(fact)


def _put(event: Event, rows: Rows, item: str, todo: dict[str, Any]) -> None:
    rows.put(AGENDA, (event.stream, item), todo=todo, position=event.position)


def _drop(event: Event, rows: Rows, *items: str) -> None:
    for item in items:
        rows.delete(AGENDA, (event.stream, item))


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
    "agenda",
    4,
    (AGENDA,),
    named(DeploymentEvent, ApprovalEvent, PlaceUnlocked, PlaceUnqueued, PlaceOffered),
    keys,
    fold,
)
