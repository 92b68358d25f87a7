"""The audit trail: one row per record. Timelines of a release or a deployment are selections of it."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Literal, get_args

from pydantic import Field
from sqlalchemy import MetaData, Select, Table, or_, select

from release_management.domain.approval import APPROVAL, ApprovalRequested
from release_management.domain.deployment.events import (
    DeploymentPlanned,
    DeploymentReplanned,
    DeploymentRequested,
)
from release_management.domain.deployment.state import DEPLOYMENT
from release_management.domain.environment import ENVIRONMENT
from release_management.domain.incident import (
    INCIDENT,
    IncidentAttributed,
    IncidentOpened,
)
from release_management.domain.place import PLACE
from release_management.domain.plan import Leg, Plan
from release_management.domain.policy import POLICY
from release_management.domain.registry import CommandRefused
from release_management.domain.release import RELEASE
from release_management.kernel.aggregate import aggregate_of, key_of
from release_management.kernel.names import GivenName, GivenRef
from release_management.kernel.record import Event
from release_management.kernel.types import ActorId, Fact, Line, Personal
from release_management.projections.kit.columns import (
    document,
    flag,
    index,
    key,
    number,
    plain,
    position,
    text,
)
from release_management.projections.kit.paging import Paged, Sort
from release_management.projections.kit.projection import (
    Key,
    Projection,
    Rows,
)
from release_management.projections.kit.query import (
    AnyQuery,
    Position,
    Query,
    filters,
)
from release_management.projections.steps import LEGS

METADATA = MetaData()

trail = Table(
    "trail",
    METADATA,
    position(primary_key=True),
    text("id"),
    text("time"),
    text("actor"),
    text("actorkind"),
    text("actorauth"),
    text("onbehalfof"),
    text("type", index=True),
    text("subject"),
    text("application"),
    text("release", index=True),
    text("environment"),
    text("deployment", index=True),
    text("requested_by"),
    text("summary"),
    document("texts"),
    flag("refused"),
    text("commandid"),
    text("correlationid"),
    text("causationid"),
    index("actor", "position"),
    index("requested_by", "position"),
    index("application", "position"),
    index("environment", "position"),
    index("refused", "position"),
)

context = Table(
    "trail_context",
    METADATA,
    key("stream"),
    text("application"),
    text("release"),
    text("environment"),
    text("deployment"),
    text("requested_by"),
)
"""The context of a deployment, an approval or an incident; its later facts do not repeat it."""

lines = Table("trail_lines", METADATA, key("stream"), key("leg"), number("step", primary_key=True), text("line"))
"""The described steps of a deployment's plan."""

_ABOUT = ("application", "release", "environment", "deployment")


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """Yield the record's row, the context of its deployment, approval or incident, and the lines of the steps."""
    fact = event.fact
    yield trail, (event.position,)
    if (stream := _context_of(event)) is not None:
        yield context, (stream,)
    if isinstance(fact, DeploymentPlanned | DeploymentReplanned):
        for leg, step, _ in _described(fact.plan):
            yield lines, (event.stream, leg, step)
    elif (step_of := _step(fact)) is not None:
        yield lines, (event.stream, *step_of)


def _context_of(event: Event) -> str | None:
    stream, fact = event.stream, event.fact
    if aggregate_of(stream) in (DEPLOYMENT.name, APPROVAL.name, INCIDENT.name):
        return stream
    deployment = fact.deployment if "deployment" in _about(type(fact)) else None  # type: ignore[attr-defined] # it has
    return None if deployment is None else DEPLOYMENT.stream(deployment)


def fold(event: Event, rows: Rows) -> None:
    """Fold one event."""
    stream, fact, position = _context_of(event), event.fact, (event.position,)
    if stream is not None and (columns := _subject_columns(fact)):
        rows.put(context, (stream,), **columns)
    if isinstance(fact, DeploymentPlanned | DeploymentReplanned):
        rows.clear(lines, event.stream)
        for leg, step, line in _described(fact.plan):
            rows.put(lines, (event.stream, leg, step), line=line)
    known = (rows.get(context, (stream,)) if stream is not None else None) or {}
    step_of = _step(fact)
    described = rows.get(lines, (event.stream, *step_of)) if step_of is not None else None
    summary = fact.summary(described["line"] if described is not None else None)
    earlier = rows.get(trail, position)
    if earlier is not None:
        # An upcast may make several events of one record; the trail has one row per record.
        rows.put(trail, position, summary=f"{earlier['summary']}; {summary}")
        return
    envelope = event.envelope
    rows.put(
        trail,
        position,
        id=envelope.id,
        time=envelope.time,
        actor=envelope.actor,
        actorkind=envelope.actorkind,
        actorauth=envelope.actorauth,
        onbehalfof=envelope.onbehalfof,
        type=envelope.type,
        subject=envelope.subject,
        summary=summary,
        texts=_texts(fact),
        refused=isinstance(fact, CommandRefused),
        commandid=envelope.commandid,
        correlationid=envelope.correlationid,
        causationid=envelope.causationid,
        requested_by=known.get("requested_by"),
        **{name: known.get(name) for name in _ABOUT} | _stated(event),
    )


def _subject_columns(fact: Fact) -> dict[str, Any]:
    """Return the context of a deployment, an approval or an incident that later rows need."""
    match fact:
        case DeploymentPlanned():
            return {**{name: getattr(fact, name) for name in _ABOUT}, "requested_by": fact.by}
        case DeploymentRequested(by=by):
            return {"requested_by": by}
        case ApprovalRequested():
            about = {name: getattr(fact, name) for name in ("release", "environment", "deployment")}
            return {**about, "application": fact.release.partition("@")[0]}
        case IncidentOpened(application=application, environment=environment, cause=cause):
            return {"application": application, "environment": environment, "deployment": cause}
        case IncidentAttributed(cause=cause):
            return {"deployment": cause}
        case _:
            return {}


def _described(plan: Plan) -> Iterator[tuple[Leg, int, str]]:
    for leg in LEGS:
        for index_, step in enumerate(plan.steps(leg)):
            yield leg, index_, step.describe()


def _step(fact: Fact) -> tuple[str, int] | None:
    """Return the leg and the index of the step that a fact is about."""
    leg, step = getattr(fact, "leg", None), getattr(fact, "step", None)
    return (leg, step) if leg is not None and step is not None else None


def _stated(event: Event) -> dict[str, Any]:
    """Return what the event is about, by its stream's name and its own fields."""
    about = key_of(event.stream)
    fields = {name: getattr(event.fact, name) for name in _about(type(event.fact))}
    stated = {name: value for name, value in fields.items() if value is not None}
    match aggregate_of(event.stream):
        case PLACE.name:
            environment, application, _ = about.split("/")
            return stated | {"environment": environment, "application": application}
        case RELEASE.name:
            return stated | {"release": about, "application": about.partition("@")[0]}
        case ENVIRONMENT.name:
            return stated | {"environment": about}
        case POLICY.name:
            application, _, environment = about.partition("/")
            return stated | {"application": application, "environment": environment or None}
        case _:
            return stated


def _texts(fact: Fact) -> dict[str, Any] | None:
    """Return the personal texts, sealed as they are in the record."""
    texts: dict[str, Any] = {}
    for name in _personal(type(fact)):
        value = getattr(fact, name)
        if isinstance(value, Personal):
            texts[name] = plain(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Personal):
            texts[name] = [plain(text) for text in value]
    return texts or None


@cache
def _about(kind: type[Fact]) -> tuple[str, ...]:
    """Return the fields of a fact that name its context."""
    return tuple(name for name in _ABOUT if name in kind.model_fields)


@cache
def _personal(kind: type[Fact]) -> tuple[str, ...]:
    """Return the fields of a fact that may hold personal texts."""
    return tuple(name for name, field in kind.model_fields.items() if _mentions(field.annotation, Personal))


def _mentions(annotation: object, kind: type) -> bool:
    return annotation is kind or any(_mentions(part, kind) for part in get_args(annotation))


PROJECTION = Projection("trail", 6, (trail, context, lines), None, keys, fold)


def found(
    *,
    environment: str | None = None,
    application: str | None = None,
    release: str | None = None,
    deployment: str | None = None,
    actor: str | None = None,
    requested_by: str | None = None,
    type: str | None = None,
    refused: bool | None = None,
    after: int = 0,
    before: int | None = None,
) -> Select[Any]:
    """Select the rows that match all parameters. `type` is an event's name, or an aggregate's for all of its events."""
    columns = trail.c
    filters = {
        columns.environment: environment,
        columns.application: application,
        columns.release: release,
        columns.deployment: deployment,
        columns.actor: actor,
        columns.requested_by: requested_by,
        columns.refused: refused,
    }
    query = select(trail).where(*(column == value for column, value in filters.items() if value is not None))
    if type is not None:
        query = query.where(or_(columns.type == type, columns.type.startswith(f"{type}.", autoescape=True)))
    if after:
        query = query.where(columns.position > after)
    if before is not None:
        query = query.where(columns.position < before)
    return query


class TrailParams(Paged):
    """Selects a part of the trail. `type` is an event's name, such as `deployment.started`, or just `deployment`."""

    environment: GivenName | None = Field(None, description="only this environment")
    application: GivenName | None = Field(None, description="only this application")
    release: GivenRef | None = Field(None, description="only this release, `application@version`")
    deployment: Line | None = Field(None, description="only this deployment, by its id")
    actor: ActorId | None = Field(None, description="only what this actor did, by the opaque id")
    requested_by: ActorId | None = Field(
        None, description="only on behalf of this person, who asked for the deployment, by the opaque id"
    )
    type: Line | None = Field(
        None, description="only this event, such as `deployment.started`, or a group, such as `deployment`"
    )
    refused: bool | None = Field(None, description="true: only refusals; false: none of them")
    after: Position = Field(0, description="only positions above this one")
    before: Position | None = Field(None, description="only positions below this one")
    order: Literal["newest", "oldest"] = Field("newest", description="which come first")


QUERIES: tuple[AnyQuery, ...] = (
    Query(
        "trail",
        "The audit trail: one row per record.",
        TrailParams,
        (PROJECTION,),
        lambda asked: found(**filters(asked)),
        order=lambda asked: (Sort(trail.c.position, int, descending=asked.order == "newest"),),
    ),
)
