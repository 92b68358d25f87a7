"""Incidents: detection, cause, resolution and remedy of each."""

from collections.abc import Iterable
from typing import Any, assert_never, cast

from pydantic import Field
from sqlalchemy import MetaData, Select, Table, select

from release_management.domain.incident import (
    IncidentAttributed,
    IncidentEvent,
    IncidentOpened,
    IncidentResolved,
)
from release_management.kernel.aggregate import key_of
from release_management.kernel.names import GivenName
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
from release_management.projections.kit.paging import Continued, Paged
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

incidents = Table(
    "incidents",
    MetaData(),
    key("id"),
    text("application"),
    text("environment"),
    text("severity"),
    document("title"),
    text("detected_at", index=True),
    text("cause", index=True),
    text("attribution"),
    text("resolved_at", index=True),
    text("remedy", index=True),
    document("note"),
    text("opened"),
    text("by"),
    text("resolved_by"),
    position(index=True),
    text("event"),
    text("resolved_event"),
    index("application", "resolved_at"),
)


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """Yield the incident's row."""
    yield incidents, (key_of(event.stream),)


def fold(event: Event, rows: Rows) -> None:
    """Fold one event."""
    id = (key_of(event.stream),)
    fact = cast(IncidentEvent, event.fact)
    match fact:
        case IncidentOpened():
            rows.put(
                incidents,
                id,
                application=fact.application,
                environment=fact.environment,
                severity=fact.severity,
                title=plain(fact.title),
                detected_at=fact.detected_at,
                cause=fact.cause,
                attribution=fact.attribution,
                opened=event.envelope.time,
                by=event.envelope.actor,
                position=event.position,
                event=event.envelope.id,
            )
        case IncidentAttributed(cause=cause):
            rows.put(incidents, id, cause=cause, attribution="explicit")
        case IncidentResolved(resolved_at=resolved_at, remedy=remedy, note=note):
            rows.put(
                incidents,
                id,
                resolved_at=resolved_at,
                remedy=remedy,
                note=plain(note) if note else None,
                resolved_by=event.envelope.actor,
                resolved_event=event.envelope.id,
            )
        case _:
            assert_never(fact)


PROJECTION = Projection("incidents", 2, (incidents,), named(IncidentEvent), keys, fold, local=True)


def every(*, application: str | None = None, environment: str | None = None, open: bool | None = None) -> Select[Any]:
    """Select all incidents. `open` selects those that are not over (True), or that are (False)."""
    columns = incidents.c
    filters = {columns.application: application, columns.environment: environment}
    query = select(incidents).where(*(column == value for column, value in filters.items() if value is not None))
    if open is None:
        return query
    return query.where(columns.resolved_at.is_(None) if open else columns.resolved_at.is_not(None))


def one(id: str) -> Select[Any]:
    """Select one incident."""
    return select(incidents).where(incidents.c.id == id)


class IncidentsParams(Paged):
    """Selects incidents. `open`: only those that are not over (true), or only those that are (false)."""

    application: GivenName | None = Field(None, description="only this application")
    environment: GivenName | None = Field(None, description="only this environment")
    open: bool | None = Field(None, description="true: only those that are not over; false: only those that are")


class IncidentParams(Continued):
    """Selects an incident."""

    id: Line = Field(description="the incident's id")


QUERIES: tuple[AnyQuery, ...] = (
    Query(
        "incidents",
        "Incidents, the last opened first.",
        IncidentsParams,
        (PROJECTION,),
        lambda asked: every(**filters(asked)),
        order=newest(incidents.c.position),
    ),
    Query(
        "incident",
        "One incident; no row where it does not exist.",
        IncidentParams,
        (PROJECTION,),
        lambda asked: one(asked.id),
        order=newest(incidents.c.position),
    ),
)
