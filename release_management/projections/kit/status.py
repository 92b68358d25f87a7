"""How far each projection's builds have come, and which events were set aside."""

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
from release_management.projections.kit.projection import Row

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
"""`log` is the id of the log that it was made of, and `record` the SHA-256 of the record at its position there."""

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
    """How a projection stands.

    `position` is what its rows have taken in, 0 while none answer. `parked` events of `streams` streams are set aside.
    `building` is what a build that is made beside it, or for the first time, has taken in; None where none is made.
    """

    name: str
    version: int
    position: int
    parked: int
    streams: int
    building: int | None


STANDING_COLUMNS = tuple(field.name for field in fields(ProjectionStatus))


def standing() -> Select[Any]:
    """Per live projection: its version, the position that it has taken in, and how many events it has parked."""
    counted = every_build().where(builds.c.live)
    return counted.with_only_columns(
        builds.c.projection, builds.c.version, builds.c.position, func.count(parked.c.position).label("parked")
    )


def every_build() -> Select[Any]:
    """Every build with what it has parked, for `standings`."""
    it = builds.c
    of_it = and_(parked.c.projection == it.projection, parked.c.build == it.build)
    return (
        select(
            it.projection,
            it.version,
            it.live,
            it.position,
            func.count(parked.c.position).label("parked"),
            func.count(parked.c.stream.distinct()).label("streams"),
        )
        .join_from(builds, parked, of_it, isouter=True)
        .group_by(it.projection, it.build, it.version, it.live, it.position)
        .order_by(it.projection, it.build)
    )


def standings(rows: Sequence[Row]) -> list[ProjectionStatus]:
    """How each projection stands, of the rows of `every_build`."""
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
    """The same as plain data."""
    return [asdict(it) for it in standings(rows)]


def set_aside() -> Select[Any]:
    """Per projection and stream that stands still: where and why, and how many events wait there, itself included."""
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
