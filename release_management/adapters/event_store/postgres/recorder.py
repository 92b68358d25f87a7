"""The library's recorder on PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from psycopg import errors

from release_management.adapters.event_store.postgres.arrays import Texts
from release_management.adapters.event_store.postgres.database import PostgresDatabase
from release_management.adapters.event_store.recorder import LogRecorder, VersionTakenError
from release_management.adapters.event_store.rows import OPAQUE
from release_management.services.ports import NewRecord


class PostgresRecorder(LogRecorder):
    """The recorder on the database of a `PostgresEventLog`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    def max_notification_id(self) -> int | None:
        """Return the newest position, or None if there is none."""
        with self._database.lend() as connection:
            row = connection.execute("SELECT max(position) FROM relman_log.events", binary=True).fetchone()
        return row[0] if row else None

    def _append(self, records: Sequence[NewRecord]) -> int:
        try:
            _, after = self._database.append(
                lease=(None, 0),
                seen=0,
                expects={},
                commands={},
                records=records,
                kinds={(record.name, OPAQUE) for record in records},
            )
        except errors.UniqueViolation as error:
            raise VersionTakenError(str(error)) from error
        return after

    def _stream(self, stream: str, above: int, up_to: int, order: str, limit: int) -> Sequence[tuple[Any, ...]]:
        with self._database.lend() as connection:
            return connection.execute(
                "SELECT stream_id, version, name, record FROM relman_log.events WHERE stream_id = %s AND version > %s"
                f" AND version <= %s ORDER BY version {order} LIMIT %s",
                (stream, above, up_to, limit),
                binary=True,
            ).fetchall()

    def _page(self, first: int, last: int, names: Sequence[str], limit: int) -> Sequence[tuple[Any, ...]]:
        with self._database.lend() as connection:
            return connection.execute(
                "SELECT stream_id, version, name, record, position FROM relman_log.events"
                " WHERE position BETWEEN %s AND %s AND (%s OR name = ANY(%s)) ORDER BY position LIMIT %s",
                (first, last, not names, Texts(names), limit),
                binary=True,
            ).fetchall()
