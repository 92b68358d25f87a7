"""Builds of projections: one is live and answers, another may be made beside it and then takes its place.

A live build's tables have the names that queries use; those of a build in progress end in its number. A change of
builds needs the database's write lock.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, MetaData, Table, bindparam, delete, func, insert, inspect, select, update
from sqlalchemy.sql.elements import quoted_name

from release_management.adapters.read_model.database import exclude_readers
from release_management.adapters.read_model.errors import OvertakenError
from release_management.kernel.record import Recorded
from release_management.projections.kit.projection import Projection
from release_management.projections.kit.status import (
    METADATA,
    builds,
    parked,
)

SWAP_SECONDS = 0.5
"""Seconds for which a swap waits for running queries, and makes new ones wait."""

_ONE = (builds.c.projection == bindparam("name"), builds.c.build == bindparam("number"))
_UNMOVED = (*_ONE, builds.c.live == bindparam("is_live"), builds.c.position == bindparam("at"))
_ADVANCE = update(builds).where(*_UNMOVED).values(position=bindparam("to"), record=bindparam("digest"))
_GO_LIVE = update(builds).where(*_UNMOVED).values(live=True)
_ALL = select(builds).order_by(builds.c.live.desc(), builds.c.projection, builds.c.build)


@dataclass(frozen=True, slots=True)
class Build:
    """One build of a projection, as it was when it was read. `record` is the digest of the record at its position."""

    projection: Projection
    number: int
    position: int
    live: bool
    log: str
    record: str

    @property
    def tables(self) -> Mapping[Table, Table]:
        """For each of the projection's tables, the one that holds this build's rows."""
        return {table: table if self.live else _beside(table, self.number) for table in self.projection.tables}

    def is_of(self, log: str, last: Recorded | None) -> bool:
        """Return True if the build was made of this log, whose record at the build's position is `last`."""
        return self.log == log and self.record == ("" if last is None else digest(last))


def digest(recorded: Recorded) -> str:
    """Return the SHA-256 of a record, in hexadecimal."""
    return hashlib.sha256(recorded.record).hexdigest()


@cache
def _beside(table: Table, number: int) -> Table:
    made = table.to_metadata(MetaData(), name=f"{table.name}__{number}")
    taken = {index.name for index in table.indexes}
    for index in made.indexes:
        if index.name in taken:
            index.name = quoted_name(f"{index.name}__{number}", None)
    return made


def make_tables(connection: Connection) -> bool:
    """Create the bookkeeping tables; return True if tables of an older layout were removed."""
    found = inspect(connection)
    older = found.has_table(builds.name) and "record" not in {
        column["name"] for column in found.get_columns(builds.name)
    }
    if older:
        # A read model is rebuilt sooner than it is converted.
        columns = (builds.c.projection, builds.c.build, builds.c.tables, builds.c.live)
        _drop(connection, connection.execute(select(*columns)).all())
        METADATA.drop_all(connection)
    METADATA.create_all(connection)
    return older


def current(connection: Connection, projections: Iterable[Projection]) -> list[Build]:
    """Return the builds of today's versions, live ones first."""
    by_version = {(projection.name, projection.version): projection for projection in projections}
    return [
        Build(projection, row.build, row.position, row.live, row.log, row.record)
        for row in connection.execute(_ALL).all()
        if (projection := by_version.get((row.projection, row.version))) is not None
    ]


def newest_versions(connection: Connection) -> dict[str, int]:
    """Return, per projection, the highest version that a build has, live or not."""
    query = select(builds.c.projection, func.max(builds.c.version).label("version")).group_by(builds.c.projection)
    return {row.projection: row.version for row in connection.execute(query)}


def begin(connection: Connection, projection: Projection, log: str) -> int:
    """Begin a build from the log's beginning, in place of any unfinished one; return its number."""
    own = builds.c.projection == projection.name
    number: int = connection.execute(select(func.coalesce(func.max(builds.c.build), 0) + 1).where(own)).scalar_one()
    _drop(connection, connection.execute(select(builds).where(own, builds.c.live.is_(False))).all())
    for table in projection.tables:
        _beside(table, number).create(connection)
    names = [table.name for table in projection.tables]
    at_first = {"version": projection.version, "tables": names, "position": 0, "live": False, "log": log, "record": ""}
    connection.execute(insert(builds).values(projection=projection.name, build=number, **at_first))
    return number


def advance(connection: Connection, together: Sequence[Build], last: Recorded) -> None:
    """Move builds up to a record. Raises `OvertakenError` unless all are where they were.

    It is the first statement of a page's transaction, so that a worker which is too late does no work in vain.
    """
    for build in together:
        moved = {**_unmoved(build), "to": last.position, "digest": digest(last)}
        if connection.execute(_ADVANCE, moved).rowcount != 1:
            raise OvertakenError


def swap(connection: Connection, build: Build) -> None:
    """Make the build live, and drop the one that was.

    Raises `OvertakenError` if the live one has come further, or another worker was here.
    """
    exclude_readers(connection, SWAP_SECONDS)
    if connection.execute(_GO_LIVE, _unmoved(build)).rowcount != 1:
        raise OvertakenError
    older = (builds.c.projection == build.projection.name, builds.c.live, builds.c.build != build.number)
    replaced = connection.execute(select(builds).where(*older)).all()
    if any(row.position > build.position for row in replaced):
        raise OvertakenError
    _drop(connection, replaced)
    for table, beside in build.tables.items():
        connection.exec_driver_sql(f'ALTER TABLE "{beside.name}" RENAME TO "{table.name}"')


def drop_all(connection: Connection) -> None:
    """Drop every build of every projection and version."""
    exclude_readers(connection, SWAP_SECONDS)
    _drop(connection, connection.execute(_ALL).all())


def _unmoved(build: Build) -> dict[str, object]:
    name, number = build.projection.name, build.number
    return {"name": name, "number": number, "is_live": build.live, "at": build.position}


def _drop(connection: Connection, rows: Iterable[Any]) -> None:
    for row in rows:
        for table in row.tables:
            name = table if row.live else f"{table}__{row.build}"
            connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{name}"')
        for table in (builds, parked):
            own = (table.c.projection == row.projection, table.c.build == row.build)
            connection.execute(delete(table).where(*own))
