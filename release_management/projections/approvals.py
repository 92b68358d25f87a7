"""Approvals: the rule, the signatures, and the phase of each."""

from collections.abc import Iterable
from typing import Any, assert_never, cast

from pydantic import Field
from sqlalchemy import MetaData, Select, Table, select

from release_management.domain.approval import (
    ApprovalCompleted,
    ApprovalDenied,
    ApprovalEvent,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalPhase,
    ApprovalRequested,
    ApprovalRuleChanged,
    ApprovalVoided,
)
from release_management.kernel.aggregate import key_of
from release_management.kernel.record import Event
from release_management.kernel.types import Line
from release_management.projections.kit.columns import (
    document,
    index,
    key,
    plain,
    position,
    text,
)
from release_management.projections.kit.paging import Paged
from release_management.projections.kit.projection import (
    Key,
    Projection,
    Rows,
    named,
)
from release_management.projections.kit.query import (
    AnyQuery,
    Query,
    filters,
    newest,
)

approvals = Table(
    "approvals",
    MetaData(),
    key("id"),
    text("deployment", index=True),
    text("release"),
    text("environment"),
    text("digest"),
    text("phase"),
    document("rule"),
    document("people"),
    document("signatures"),
    document("denial"),
    text("reason"),
    text("requested"),
    text("by"),
    text("expires_at"),
    text("decided"),
    position(),
    index("phase", "position"),
)


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """Yield the approval's row."""
    yield approvals, (key_of(event.stream),)


def fold(event: Event, rows: Rows) -> None:
    """Fold one event."""
    id = (key_of(event.stream),)
    fact = cast(ApprovalEvent, event.fact)
    time = event.envelope.time
    match fact:
        case ApprovalRequested():
            rows.put(
                approvals,
                id,
                deployment=fact.deployment,
                release=fact.release,
                environment=fact.environment,
                digest=fact.digest,
                phase=ApprovalPhase.WAITING.value,
                rule=plain(fact.rule),
                people=list(fact.people),
                signatures=[],
                requested=time,
                by=event.envelope.actor,
                expires_at=fact.expires_at,
                position=event.position,
            )
        case ApprovalGranted():
            known = rows.get(approvals, id) or {}
            rows.put(approvals, id, signatures=[*(known.get("signatures") or ()), {**plain(fact), "at": time}])
        case ApprovalCompleted():
            rows.put(approvals, id, phase=ApprovalPhase.GRANTED.value, decided=time)
        case ApprovalDenied(by=by, note=note):
            denial = {"by": by, "note": plain(note)} if note else {"by": by}
            rows.put(approvals, id, phase=ApprovalPhase.DENIED.value, decided=time, denial=denial)
        case ApprovalExpired():
            rows.put(approvals, id, phase=ApprovalPhase.EXPIRED.value, decided=time)
        case ApprovalVoided(reason=reason):
            rows.put(approvals, id, phase=ApprovalPhase.VOIDED.value, decided=time, reason=reason)
        case ApprovalRuleChanged(rule=rule, expires_at=expires_at):
            rows.put(
                approvals, id, phase=ApprovalPhase.WAITING.value, rule=plain(rule), expires_at=expires_at, decided=None
            )
        case _:
            assert_never(fact)


PROJECTION = Projection("approvals", 3, (approvals,), named(ApprovalEvent), keys, fold, local=True)


def every(*, waiting: bool = False, deployment: str | None = None) -> Select[Any]:
    """Select all approvals, those that wait, or those of one deployment."""
    query = select(approvals)
    if waiting:
        query = query.where(approvals.c.phase == ApprovalPhase.WAITING.value)
    return query if deployment is None else query.where(approvals.c.deployment == deployment)


class ApprovalsParams(Paged):
    """Selects approvals. `waiting`: only those that still wait."""

    waiting: bool = Field(False, description="true: only those that still wait")
    deployment: Line | None = Field(None, description="only this deployment, by its id")


QUERIES: tuple[AnyQuery, ...] = (
    Query(
        "approvals",
        "Approvals, newest first.",
        ApprovalsParams,
        (PROJECTION,),
        lambda asked: every(**filters(asked)),
        order=newest(approvals.c.position),
    ),
)
