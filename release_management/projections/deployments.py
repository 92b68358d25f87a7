"""The deployments: where each stands, step by step."""

from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import MetaData, Select, Table, select

from release_management.domain.deployment.events import DeploymentEvent, DeploymentPlanned, DeploymentReplanned
from release_management.domain.deployment.state import ACTIVE, WAITING
from release_management.domain.record import Event
from release_management.projections.columns import document, flag, index, key, number, plain, position, tail, text
from release_management.projections.deployment_rows import changed
from release_management.projections.projection import Key, Projection, Rows, named

METADATA = MetaData()

deployments = Table(
    "deployments",
    METADATA,
    key("id"),
    text("release", index=True),
    text("application"),
    text("version"),
    text("environment"),
    document("targets"),
    text("strategy"),
    text("phase", index=True),
    text("reason"),
    document("note"),
    text("leg"),
    number("step"),
    number("total"),
    document("steps"),
    document("rollback"),
    document("weights"),
    number("weight"),
    text("by"),
    text("requested_by"),
    text("created"),
    text("requested"),
    text("started"),
    text("ended"),
    text("approval"),
    text("paused_until"),
    text("paused_reason"),
    text("deadline"),
    flag("awaits_person"),
    document("queued_behind"),
    text("reverts"),
    text("retries"),
    text("successor"),
    text("digest"),
    document("options"),
    number("begun"),
    position(index=True),
    index("application", "phase"),
    index("environment", "phase"),
)

plans = Table("deployments_plans", METADATA, key("id"), document("plan"))
"""Apart from the rest: a plan is long, and a step's progress need not write it again."""

_NOT_ENDED = sorted(phase.value for phase in WAITING | ACTIVE)
_BULKY = frozenset({"steps", "rollback", "options", "begun"})


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """The deployment's row, and its plan's where there is a new one."""
    id = (tail(event.stream),)
    yield deployments, id
    if isinstance(event.fact, DeploymentPlanned | DeploymentReplanned):
        yield plans, id


def fold(event: Event, rows: Rows) -> None:
    """Take in one event."""
    id = (tail(event.stream),)
    fact = cast(DeploymentEvent, event.fact)
    if isinstance(fact, DeploymentPlanned | DeploymentReplanned):
        rows.put(plans, id, plan=plain(fact.plan))
    rows.put(deployments, id, **changed(fact, rows.get(deployments, id) or {}, event.envelope.time, event.position))


PROJECTION = Projection("deployments", 2, (deployments, plans), named(DeploymentEvent), keys, fold, local=True)


def newest(
    *,
    environment: str | None = None,
    application: str | None = None,
    release: str | None = None,
    phase: str | None = None,
    active: bool | None = None,
    limit: int = 100,
) -> Select[Any]:
    """Deployments without their steps, newest first. `active`: those that have (not) ended."""
    at = deployments.c
    wanted = {at.environment: environment, at.application: application, at.release: release, at.phase: phase}
    query = (
        select(*(column for column in at if column.name not in _BULKY))
        .where(*(column == value for column, value in wanted.items() if value is not None))
        .order_by(at.position.desc())
        .limit(limit)
    )
    if active is None:
        return query
    return query.where(at.phase.in_(_NOT_ENDED) if active else at.ended.is_not(None))


def one(id: str) -> Select[Any]:
    """One deployment with its steps and its plan."""
    return (
        select(*(column for column in deployments.c if column.name != "begun"), plans.c.plan)
        .join_from(deployments, plans, deployments.c.id == plans.c.id, isouter=True)
        .where(deployments.c.id == id)
    )
