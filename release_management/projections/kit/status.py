"""The positions of each projection's builds, and the parked events."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, MetaData, Select, Table, and_, func, select

from release_management.projections.kit.columns import (
    document,
    flag,
    key,
    number,
    position,
    text,
)
from release_management.projections.kit.paging import Sort
from release_management.projections.kit.projection import Row
from release_management.projections.kit.query import (
    AnyQuery,
    Calculation,
    EveryParams,
    Nothing,
    Query,
    by,
)

METADATA = MetaData()

builds = Table(
    "read_builds",
    METADATA,
    key("projection"),
    Column("build", Integer, primary_key=True, autoincrement=False),
    number("version"),
    document("tables"),
    position(),
    flag("live"),
    text("log"),
    text("record"),
)
"""`log` is the id of the log from which it was built, and `record` the SHA-256 of the record at its position."""

parked = Table(
    "read_parked",
    METADATA,
    key("projection"),
    Column("build", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    text("stream"),
    text("type"),
    text("reason"),
)


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """The status of a projection.

    `position` is the position of its rows, 0 while none are live. `parked` events of `streams` streams are parked.
    `building` is the position of a build in progress; None if there is none.
    """

    name: str
    version: int
    position: int
    parked: int
    streams: int
    building: int | None


STANDING_COLUMNS = tuple(field.name for field in fields(ProjectionStatus))


def select_builds() -> Select[Any]:
    """Select per live projection: its version, its position, and the number of its parked events."""
    counted = every_build().where(builds.c.live)
    return counted.with_only_columns(
        builds.c.projection, builds.c.version, builds.c.position, func.count(parked.c.position).label("parked")
    )


def every_build() -> Select[Any]:
    """Select every build with the numbers of its parked events and streams, for `statuses`."""
    columns = builds.c
    of_build = and_(parked.c.projection == columns.projection, parked.c.build == columns.build)
    return (
        select(
            columns.projection,
            columns.version,
            columns.live,
            columns.position,
            func.count(parked.c.position).label("parked"),
            func.count(parked.c.stream.distinct()).label("streams"),
        )
        .join_from(builds, parked, of_build, isouter=True)
        .group_by(columns.projection, columns.build, columns.version, columns.live, columns.position)
        .order_by(columns.projection, columns.build)
    )


def statuses(rows: Sequence[Row]) -> list[ProjectionStatus]:
    """Return the status of each projection, from the rows of `every_build`."""
    found: dict[str, ProjectionStatus] = {}
    for row in sorted(rows, key=lambda row: not row["live"]):
        name, live = row["projection"], found.get(row["projection"])
        if row["live"]:
            found[name] = ProjectionStatus(name, row["version"], row["position"], row["parked"], row["streams"], None)
        elif live is None:
            found[name] = ProjectionStatus(name, row["version"], 0, row["parked"], row["streams"], row["position"])
        else:
            found[name] = ProjectionStatus(
                name, live.version, live.position, live.parked, live.streams, row["position"]
            )
    return [found[name] for name in sorted(found)]


def as_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the same as plain data."""
    return [asdict(status) for status in statuses(rows)]


def set_aside() -> Select[Any]:
    """Select per projection and blocked stream its first parked event, and the number of parked events."""
    each = (
        select(
            parked.c.projection,
            parked.c.build,
            func.min(parked.c.position).label("position"),
            func.count().label("events"),
        )
        .group_by(parked.c.projection, parked.c.build, parked.c.stream)
        .subquery()
    )
    first = and_(
        parked.c.projection == each.c.projection, parked.c.build == each.c.build, parked.c.position == each.c.position
    )
    return (
        select(parked.c.projection, parked.c.stream, parked.c.position, parked.c.type, parked.c.reason, each.c.events)
        .join_from(parked, each, first)
        .join(builds, and_(builds.c.projection == parked.c.projection, builds.c.build == parked.c.build))
        .where(builds.c.live)
    )


QUERIES: tuple[AnyQuery, ...] = (
    Query(
        "position",
        "How far each read model has come, and how many events it has set aside.",
        Nothing,
        (),
        lambda asked: select_builds(),
    ),
    Calculation(
        "projections",
        "How each read model stands. `lag` is what the log has beyond `position`, `parked` counts events that "
        "were set aside, of `streams` streams; `building` is how far a rebuild has come, null where there is "
        "none.",
        Nothing,
        (),
        lambda asked, ask: as_rows(ask(every_build())),
        (*STANDING_COLUMNS, "lag"),
        ("name",),
    ),
    Query(
        "parked",
        "What read models could not take in, per stream: the first event and why, and how many `events` of the "
        "stream wait.",
        EveryParams,
        (),
        lambda asked: set_aside(),
        order=by(Sort(parked.c.projection, str), Sort(parked.c.position, int)),
    ),
)
