"""Query the read models, from any thread or process, without writing."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy import Connection, Select, select
from sqlalchemy.exc import OperationalError, ProgrammingError

from release_management.adapters.read_model.database import (
    SCHEMA,
    TROUBLE,
    exists,
    is_missing,
    reader,
)
from release_management.adapters.read_model.errors import (
    BadQueryError,
    NewerVersionError,
    NotAnsweringError,
    NotCaughtUpError,
    ParkedError,
    UnknownProjectionError,
    UnknownQueryError,
)
from release_management.kernel.types import Value, explain
from release_management.projections.catalog import PROJECTIONS
from release_management.projections.dora.query import UnanswerableError
from release_management.projections.kit.existence import (
    NAMED,
    NEEDED,
    UnknownNameError,
    refuse_unknown,
)
from release_management.projections.kit.paging import (
    CursorError,
    RowGroup,
    read_cursor,
    write_cursor,
)
from release_management.projections.kit.projection import Projection, Row
from release_management.projections.kit.query import AnyQuery
from release_management.projections.kit.status import (
    ProjectionStatus,
    builds,
    every_build,
    parked,
    statuses,
)
from release_management.projections.queries import QUERIES
from release_management.services.paging.cutting import (
    PAGE_BYTES,
    Found,
    length,
)

FIRST_LOOK_SECONDS = 0.001
SLOWEST_LOOK_SECONDS = 0.025

T = TypeVar("T")


class ReadStore:
    """Queries the database that a `Projector`, in this process or another, keeps up to date."""

    def __init__(
        self,
        where: str | Path,
        projections: Sequence[Projection] = PROJECTIONS,
        queries: Mapping[str, AnyQuery] = QUERIES,
        schema: str = SCHEMA,
    ) -> None:
        """`where` is a `postgresql://` URL, or the path of a SQLite file, which need not exist yet."""
        self._projections = {projection.name: projection for projection in projections}
        self._queries = queries
        self._engine = reader(where, schema)

    def ask(
        self, query: str, params: Mapping[str, Any] | None = None, after: int = 0, timeout: float = 10.0
    ) -> list[dict[str, Any]]:
        """Return all rows of a named query's answer, once its projections have reached the position `after`.

        Rows and their position are of one moment. An empty answer because a parameter names an unknown thing is a
        `BadQueryError`. Raises `UnknownQueryError`, `BadQueryError`, `NotCaughtUpError` after `timeout` seconds,
        `ParkedError` if an event up to `after` is parked, and `NewerVersionError`.
        """
        definition, values = self._parsed(query, params)
        limit = getattr(values, "limit", None) if "limit" in values.model_fields_set else None
        found = self._found(definition, values, after, timeout, limit, inf)
        return [row for group in found.groups for row in group.rows]

    def page(self, query: str, params: Mapping[str, Any] | None = None, after: int = 0, timeout: float = 10.0) -> Found:
        """Return the content of one page of an answer; see `ask`.

        A cursor of another query, or of other parameters, is a `BadQueryError` too.
        """
        definition, values = self._parsed(query, params)
        return self._found(definition, values, after, timeout, getattr(values, "limit", None), PAGE_BYTES)

    def _parsed(self, query: str, params: Mapping[str, Any] | None) -> tuple[AnyQuery, Value]:
        if query not in self._queries:
            raise UnknownQueryError(f"there is no query {query!r}; there are {', '.join(sorted(self._queries))}")
        definition = self._queries[query]
        return definition, _understood(definition, params or {})

    def _found(
        self, definition: AnyQuery, values: Value, after: int, timeout: float, limit: int | None, most: float
    ) -> Found:
        """Return the rows, until there are `limit`, or those that were read have `most` bytes."""
        query, cursor = definition.name, getattr(values, "cursor", None)

        def answer(connection: Connection) -> Found:
            def found(selected: Select[Any]) -> list[dict[str, Any]]:
                return [dict(row) for row in connection.execute(selected).mappings()]

            try:
                start = None if cursor is None else read_cursor(query, values, cursor)
                groups, more = _some(definition.groups(values, found, start), limit, most)
            except (UnanswerableError, CursorError) as error:
                raise BadQueryError(f"query {query}: {error}", code=error.code) from None
            return Found(groups, more, start, lambda end: write_cursor(query, values, end), definition.stable)

        found = self._read_from(after, definition.projections, answer, timeout)
        if not found.groups and any(getattr(values, name, None) is not None for name in NAMED):
            self._refuse_unknown(values, after, timeout)
        return found

    def _refuse_unknown(self, values: Value, after: int, timeout: float) -> None:
        """Raise `BadQueryError` if the answer is empty because a named thing does not exist."""

        def check(connection: Connection) -> None:
            def found(selected: Select[Any]) -> list[dict[str, Any]]:
                return [dict(row) for row in connection.execute(selected).mappings()]

            try:
                refuse_unknown(values, found)
            except UnknownNameError as error:
                raise BadQueryError(str(error), code=error.code) from None

        with suppress(ParkedError):  # a parked event may have named it
            self._read_from(after, NEEDED, check, timeout)

    def position(self, projection: str | None = None) -> int:
        """Return the position that a projection has reached, or the lowest of all. 0 while it is not built."""
        chosen = self._chosen(projection)
        try:
            return self._look(lambda connection: min(_positions(connection, chosen), default=0))
        except TROUBLE:
            return 0

    def wait_for(self, position: int, projection: str | None = None, timeout: float = 10.0) -> None:
        """Return once a projection, or all of them, have reached a position.

        Raises `NotCaughtUpError`, `ParkedError`, `NewerVersionError` and `UnknownProjectionError`.
        """
        self._read_from(position, self._chosen(projection), lambda _: None, timeout)

    def parked(self) -> list[dict[str, Any]]:
        """Return every parked event: projection, position, stream, type, reason; in order."""
        query = select(parked).order_by(parked.c.projection, parked.c.position)
        rows = self._look(lambda connection: connection.execute(query).mappings().all())
        return [{name: row[name] for name in ("projection", "position", "stream", "type", "reason")} for row in rows]

    def statuses(self) -> list[ProjectionStatus]:
        """Return the status of each projection, even one that is not begun yet. Raises `NotAnsweringError`."""
        try:
            rows = self._look(lambda connection: connection.execute(every_build()).mappings().all())
        except TROUBLE as error:
            raise NotAnsweringError(f"the read models' database does not answer ({error.orig})") from None
        found = {status.name: status for status in statuses([dict(row) for row in rows])}
        return [
            found.get(status.name) or ProjectionStatus(status.name, status.version, 0, 0, 0, 0)
            for status in self._projections.values()
        ]

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def _read_from(
        self, position: int, projections: Sequence[Projection], answer: Callable[[Connection], T], timeout: float
    ) -> T:
        deadline = time.monotonic() + timeout
        pause = FIRST_LOOK_SECONDS

        def look(connection: Connection) -> T:
            _require(connection, projections, position)
            return answer(connection)

        while True:
            try:
                return self._look(look)
            except NotCaughtUpError as error:
                reason = str(error)
            except TROUBLE as error:
                reason = f"the read models' database does not answer ({error.orig}); is the projector running?"
            if time.monotonic() >= deadline:
                raise NotCaughtUpError(f"{reason} (waited {timeout:g} s)")
            time.sleep(pause)
            pause = min(2 * pause, SLOWEST_LOOK_SECONDS)

    def _look(self, read: Callable[[Connection], T]) -> T:
        if not exists(self._engine):
            raise _not_made_yet()
        try:
            with self._engine.begin() as connection:
                return read(connection)
        except ProgrammingError as error:
            if not is_missing(error):
                raise
            raise _not_made_yet() from None

    def _chosen(self, projection: str | None) -> tuple[Projection, ...]:
        if projection is None:
            return tuple(self._projections.values())
        if projection not in self._projections:
            known = ", ".join(self._projections)
            raise UnknownProjectionError(f"there is no projection {projection!r}; there are {known}")
        return (self._projections[projection],)


def _not_made_yet() -> OperationalError:
    return OperationalError("", None, FileNotFoundError("it has not been made yet"))


def _live(connection: Connection) -> dict[tuple[str, int], Row]:
    rows = connection.execute(select(builds).where(builds.c.live)).mappings()
    return {(row["projection"], row["version"]): dict(row) for row in rows}


def _positions(connection: Connection, projections: Sequence[Projection]) -> list[int]:
    live = _live(connection)
    return [
        live[projection.name, projection.version]["position"] if (projection.name, projection.version) in live else 0
        for projection in projections
    ]


def _require(connection: Connection, projections: Sequence[Projection], position: int) -> None:
    live = _live(connection)
    for projection in projections:
        build = live.get((projection.name, projection.version))
        if build is None:
            if newer := [version for name, version in live if name == projection.name and version > projection.version]:
                raise NewerVersionError(
                    f"projection {projection.name} has version {newer[0]}, made by a newer version of the program, and "
                    f"this one knows version {projection.version}: use that one, or go back for good with "
                    f"relman projections rebuild {projection.name}"
                )
            raise NotCaughtUpError(f"projection {projection.name} is still being built")
        if build["position"] < position:
            raise NotCaughtUpError(
                f"projection {projection.name} has taken in position {build['position']}, not yet {position}"
            )
        parked_rows = select(parked).where(
            parked.c.projection == projection.name, parked.c.build == build["build"], parked.c.position <= position
        )
        if position and (first := connection.execute(parked_rows.order_by(parked.c.position).limit(1)).first()):
            raise ParkedError(
                f"projection {projection.name} has set aside stream {first.stream} from position {first.position} on "
                f"({first.reason}); once the cause is gone, unpark it"
            )


def _some(groups: Iterator[RowGroup], limit: int | None, most: float) -> tuple[list[RowGroup], bool]:
    """Return the first groups, and True if there are more."""
    found: list[RowGroup] = []
    count, size = 0, 0.0
    for group in groups:
        if (limit is not None and count >= limit) or size >= most:
            return found, True
        found.append(group)
        count += len(group.rows)
        size += length(group.rows) if most < inf else 0
    return found, False


def _understood(query: AnyQuery, params: Mapping[str, Any]) -> Value:
    try:
        parsed: Value = query.params.model_validate_json(json.dumps(params))
    except ValidationError as error:
        known = ", ".join(query.params.model_fields) or "none"
        raise BadQueryError(f"query {query.name}: {explain(error)}; its parameters: {known}") from None
    except (TypeError, ValueError) as error:
        raise BadQueryError(f"query {query.name}: the parameters are no JSON ({error})") from None
    return parsed
