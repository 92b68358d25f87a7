"""Builds of projections: one is live and answers, another may be made beside it and then takes its place.

A live build's tables have the names that queries use; those of a build that is being made end in its number.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from sqlalchemy import Connection, MetaData, Table, bindparam, delete, func, insert, select, tuple_, update

from release_management.adapters.read_model.errors import OvertakenError
from release_management.projections.bookkeeping import builds, parked
from release_management.projections.projection import Projection

_WHICH = tuple_(builds.c.projection, builds.c.build, builds.c.live).in_(bindparam("which", expanding=True))
_ADVANCE = update(builds).where(_WHICH, builds.c.position == bindparam("at")).values(position=bindparam("to"))


@dataclass(frozen=True, slots=True)
class Build:
    """One build of a projection, as it stood when it was looked up."""

    projection: Projection
    number: int
    position: int
    live: bool

    @property
    def tables(self) -> Mapping[Table, Table]:
        """For each of the projection's tables, the one that holds this build's rows."""
        return {table: table if self.live else _beside(table, self.number) for table in self.projection.tables}


def _key(build: Build) -> tuple[str, int, bool]:
    return build.projection.name, build.number, build.live


@cache
def _beside(table: Table, number: int) -> Table:
    return table.to_metadata(MetaData(), name=f"{table.name}__{number}")


def current(connection: Connection, projections: Iterable[Projection], *, hold: bool = False) -> list[Build]:
    """The builds of today's versions, live ones first. `hold`: no other worker moves them in this transaction."""
    query = select(builds).order_by(builds.c.live.desc(), builds.c.projection)
    rows = connection.execute(query.with_for_update() if hold else query).all()
    wanted = {(projection.name, projection.version): projection for projection in projections}
    return [
        Build(projection, row.build, row.position, row.live)
        for row in rows
        if (projection := wanted.get((row.projection, row.version))) is not None
    ]


def begin(connection: Connection, projection: Projection) -> int:
    """Begin a build from the log's beginning, in place of any that was not finished; its number."""
    mine = builds.c.projection == projection.name
    for row in connection.execute(select(builds).where(mine, builds.c.live.is_(False))).all():
        for name in row.tables:
            connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{name}__{row.build}"')
        _forget(connection, projection.name, row.build)
    number: int = connection.execute(select(func.coalesce(func.max(builds.c.build), 0) + 1).where(mine)).scalar_one()
    for table in projection.tables:
        _beside(table, number).create(connection)
    names = [table.name for table in projection.tables]
    row_of_it = {"version": projection.version, "tables": names, "position": 0, "live": False}
    connection.execute(insert(builds).values(projection=projection.name, build=number, **row_of_it))
    return number


def advance(connection: Connection, together: Sequence[Build], to: int) -> None:
    """Move builds that stand at one position. Raises `OvertakenError` unless all are where they were.

    It comes first in a page's transaction, so that a second worker waits here and then gives up.
    """
    found = {"at": together[0].position, "which": [_key(build) for build in together]}
    if connection.execute(_ADVANCE, {**found, "to": to}).rowcount != len(together):
        raise OvertakenError


def swap(connection: Connection, build: Build) -> None:
    """Let the build answer from now on, and drop the one that did.

    Raises `OvertakenError` where the live one has come further, or another worker was here.
    """
    it = builds.c
    unmoved = (_WHICH, it.position == build.position)
    if connection.execute(update(builds).where(*unmoved).values(live=True), {"which": [_key(build)]}).rowcount != 1:
        raise OvertakenError
    name = build.projection.name
    older = (builds.c.projection == name, builds.c.live, builds.c.build != build.number)
    for row in connection.execute(select(builds).where(*older)).all():
        if row.position > build.position:
            raise OvertakenError
        for table in row.tables:
            connection.exec_driver_sql(f'DROP TABLE "{table}"')
        _forget(connection, name, row.build)
    for table, beside in build.tables.items():
        connection.exec_driver_sql(f'ALTER TABLE "{beside.name}" RENAME TO "{table.name}"')


def _forget(connection: Connection, projection: str, number: int) -> None:
    for table in (builds, parked):
        connection.execute(delete(table).where(table.c.projection == projection, table.c.build == number))
