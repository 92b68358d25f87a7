"""The agenda: outstanding orders, and commands that are due now or later. One row for each.

The orchestrator and the timers act on it and keep no state of their own: an item is gone once the log holds the fact
that answers it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple, assert_never

from pydantic import JsonValue
from sqlalchemy import JSON, BigInteger, Column, MetaData, Select, String, Table, select

from release_management.domain.agenda import (
    AgendaItem,
    DueCommand,
    OutstandingOrder,
)
from release_management.domain.approval import (
    APPROVAL,
    ApprovalCompleted,
    ApprovalDenied,
    ApprovalEvent,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalRuleChanged,
    ApprovalVoided,
    ExpireApproval,
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
from release_management.domain.deployment.state import DEPLOYMENT
from release_management.domain.orders import Order
from release_management.domain.place_events import PlaceOffered, PlaceUnlocked, PlaceUnqueued
from release_management.kernel.aggregate import aggregate_of, key_of
from release_management.kernel.record import Event, timestamp
from release_management.kernel.types import Command
from release_management.projections.kit.projection import (
    Key,
    Projection,
    Rows,
    named,
)

AGENDA = Table(
    "agenda",
    MetaData(),
    Column("subject", String, primary_key=True),
    Column("item", String, primary_key=True),
    Column("todo", JSON, nullable=False),
    Column("position", BigInteger, nullable=False),
)
"""`item` is its name, such as `order/forward/3`; `position` is that of the record that added it."""
REPORT_GRACE = timedelta(seconds=10)
Subject = str
"""The stream that an item belongs to: `deployment:…` or `approval:…`."""
ItemKey = tuple[Subject, str]
"""Subject and item."""
Items = dict[str, AgendaItem | None]
"""The items to put for one subject, by name, and None for those to remove."""


class Changes(NamedTuple):
    """An event's changes: all items of the subject `cleared` are removed; then items are put, or removed (None)."""

    items: dict[ItemKey, AgendaItem | None]
    cleared: Subject | None = None


def all_items() -> Select[Any]:
    """Select every row of the agenda: (subject, item, todo), the oldest first."""
    return select(AGENDA.c.subject, AGENDA.c.item, AGENDA.c.todo).order_by(AGENDA.c.position, AGENDA.c.item)


def changes(event: Event) -> Changes:
    """Return an event's changes; none if it does not concern the agenda."""
    fact = event.fact
    if isinstance(fact, PlaceUnlocked | PlaceUnqueued | PlaceOffered):
        if fact.next is None:
            return Changes({})
        proceed = _command(event, commands.Proceed, {"deployment": fact.next})
        return Changes({(DEPLOYMENT.stream(fact.next), "proceed"): proceed})
    items: Items | None = {}
    aggregate = aggregate_of(event.stream)
    if aggregate == APPROVAL.name:
        items = _of_approval(event, fact)  # type: ignore[arg-type] # its streams hold its events only
    elif aggregate == DEPLOYMENT.name:
        items = _of_deployment(event, fact)  # type: ignore[arg-type] # its streams hold its events only
    if items is None:
        return Changes({}, event.stream)
    return Changes({(event.stream, item): todo for item, todo in items.items()})


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """Yield the rows that an event touches, except those of a subject that it clears."""
    changed = changes(event)
    if changed.cleared is not None:
        yield AGENDA, (changed.cleared, "")  # an event that names no row is not folded
    for key in changed.items:
        yield AGENDA, key


def fold(event: Event, rows: Rows) -> None:
    """Put the items that the event adds, and remove those that it answers."""
    changed = changes(event)
    if changed.cleared is not None:
        rows.clear(AGENDA, changed.cleared)
    for key, item in changed.items.items():
        if item is None:
            rows.delete(AGENDA, key)
        else:
            rows.put(AGENDA, key, todo=item.model_dump(mode="json"), position=event.position)


def _of_approval(event: Event, fact: ApprovalEvent) -> Items | None:
    """Return an approval event's changes; None if no item of the approval is left."""
    match fact:
        case ApprovalRequested() | ApprovalRuleChanged():
            return {"expire": _command(event, ExpireApproval, {"approval": fact.approval}, fact.expires_at)}
        case ApprovalGranted():
            return {}  # it waits for more signatures
        case ApprovalCompleted() | ApprovalDenied() | ApprovalExpired() | ApprovalVoided():
            return None
        case _:
            assert_never(fact)


def _of_deployment(event: Event, fact: DeploymentEvent) -> Items | None:
    """Return a deployment event's changes; None if no item of the deployment is left."""
    id = key_of(event.stream)
    match fact:
        case DeploymentPlanned(deadline=deadline):
            if deadline is None:
                return {}  # plans of version 1 wait without end
            return {"lapse": _command(event, commands.Expire, {"deployment": id}, deadline)}
        case DeploymentReplanned():
            return {"proceed": None}  # it waits as before
        case DeploymentInsisted():
            return {}  # it waits as before
        case DeploymentRequested() | DeploymentStarted():
            return {"proceed": None, "expire": None, "lapse": None}
        case DeploymentApprovalAwaited():
            # The approval has a deadline of its own; a plan that nobody has requested yet keeps its own.
            return {"proceed": None, "expire": None}
        case DeploymentQueued(deadline=deadline):
            return {"proceed": None, "expire": _command(event, commands.Expire, {"deployment": id}, deadline)}
        case DeploymentStepStarted():
            due = timestamp(datetime.fromisoformat(fact.deadline) + REPORT_GRACE)
            return {
                _key("retry", fact): None,
                _key("order", fact): OutstandingOrder(order=_order(event, id, fact), cause=event.envelope.id),
                _key("deadline", fact): _command(event, commands.ExpireStep, _attempt(id, fact), due),
            }
        case DeploymentStepSucceeded() | DeploymentStepFailed():
            return {_key("order", fact): None, _key("deadline", fact): None}
        case DeploymentStepErrored(retry_at=retry_at):
            answered: Items = {_key("order", fact): None, _key("deadline", fact): None}
            if retry_at is None:
                return answered
            retry = _command(event, commands.RetryStep, _attempt(id, fact), retry_at)
            return {**answered, _key("retry", fact): retry}
        case DeploymentPaused(until=str(until)):
            data: dict[str, JsonValue] = {"deployment": id, "leg": fact.leg, "step": fact.step}
            return {_key("pause", fact): _command(event, commands.Resume, data, until)}
        case DeploymentPaused(deadline=str(deadline)):
            return {"expire": _command(event, commands.Expire, {"deployment": id}, deadline)}
        case DeploymentPaused():
            return {}  # without a deadline nothing falls due
        case DeploymentResumed():
            return {_key("pause", fact): None, "expire": None}
        case DeploymentFastForwarded(skipped=skipped):
            return {"expire": None, **{f"pause/forward/{step}": None for step in skipped}}
        case (
            DeploymentAborting()
            | DeploymentSucceeded()
            | DeploymentRolledBack()
            | DeploymentRollbackFailed()
            | DeploymentHalted()
            | DeploymentRejected()
            | DeploymentExpired()
            | DeploymentCancelled()
            | DeploymentSuperseded()
        ):
            return None
        case _:
            assert_never(fact)


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


def _attempt(id: str, fact: DeploymentStepStarted | DeploymentStepErrored) -> dict[str, JsonValue]:
    return {"deployment": id, "leg": fact.leg, "step": fact.step, "attempt": fact.attempt}


def _command(event: Event, command: type[Command], data: dict[str, JsonValue], due: str | None = None) -> DueCommand:
    envelope = event.envelope
    return DueCommand(
        command=command.NAME,
        data=data,
        due=due,
        cause=envelope.id,
        correlation=envelope.correlationid or envelope.commandid,
    )


def _order(event: Event, id: str, fact: DeploymentStepStarted) -> Order:
    """Return the order of a started step; the record's position is the fence."""
    return Order(
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


PROJECTION = Projection(
    "agenda",
    5,
    (AGENDA,),
    named(DeploymentEvent, ApprovalEvent, PlaceUnlocked, PlaceUnqueued, PlaceOffered),
    keys,
    fold,
)
