"""The library's recorder on SQLite."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from release_management.adapters.event_store.recorder import LogRecorder, VersionTakenError
from release_management.adapters.event_store.rows import OPAQUE
from release_management.adapters.event_store.sqlite.database import SQLiteDatabase
from release_management.adapters.event_store.sqlite.tables import (
    add_events,
    add_kinds,
    last_position,
)
from release_management.services.ports import NewRecord


class SQLiteRecorder(LogRecorder):
    """The recorder on the file of a `SQLiteEventLog`."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database

    def max_notification_id(self) -> int | None:
        """Return the newest position, or None if there is none."""
        with self._database.reading() as connection:
            return last_position(connection) or None

    def _append(self, records: Sequence[NewRecord]) -> int:
        try:
            with self._database.transaction() as connection:
                after = last_position(connection)
                add_events(
                    connection,
                    (
                        (position, new.stream, new.version, new.name, new.record)
                        for position, new in enumerate(records, after + 1)
                    ),
                )
                add_kinds(connection, {(each.name, OPAQUE) for each in records})
        except sqlite3.IntegrityError as error:
            raise VersionTakenError(str(error)) from error
        return after

    def _stream(self, stream: str, above: int, up_to: int, order: str, limit: int) -> Sequence[tuple[Any, ...]]:
        with self._database.reading() as connection:
            return connection.execute(
                "SELECT stream_id, version, name, record FROM events WHERE stream_id = ? AND version > ?"
                f" AND version <= ? ORDER BY version {order} LIMIT ?",
                (stream, above, up_to, limit),
            ).fetchall()

    def _page(self, first: int, last: int, names: Sequence[str], limit: int) -> Sequence[tuple[Any, ...]]:
        among = f" AND name IN ({', '.join('?' * len(names))})" if names else ""
        with self._database.reading() as connection:
            return connection.execute(
                "SELECT stream_id, version, name, record, position FROM events"
                f" WHERE position >= ? AND position <= ?{among} ORDER BY position LIMIT ?",
                (first, last, *names, limit),
            ).fetchall()
