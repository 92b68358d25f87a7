"""The write side as the `eventsourcing` library knows it, on our tables."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    Notification,
    StoredEvent,
    Subscription,
)

from release_management.adapters.event_store.rows import OPAQUE, EventRow
from release_management.adapters.event_store.sqlite.database import SQLiteDatabase


class SQLiteRecorder(ApplicationRecorder):
    """Stores events in one sequence; the library's notification ids are our gap-free positions."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Store all events in one transaction, whatever their bytes; returns their positions.

        Raises the library's `IntegrityError` where a version of a stream is taken, and then stores none.
        """
        try:
            with self._database.transaction() as connection:
                after = last_position(connection)
                add_events(
                    connection,
                    (
                        (
                            position,
                            str(event.originator_id),
                            event.originator_version,
                            event.topic,
                            event.state,
                        )
                        for position, event in enumerate(stored_events, after + 1)
                    ),
                )
                add_kinds(connection, {(event.topic, OPAQUE) for event in stored_events})
        except sqlite3.IntegrityError as error:
            raise IntegrityError(f"a version of a stream was stored before: {error}") from error
        return list(range(after + 1, after + 1 + len(stored_events)))

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The events of one stream with versions above `gt` and up to `lte`."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT stream_id, version, name, record FROM events WHERE stream_id = :stream"
                " AND (:gt IS NULL OR version > :gt) AND (:lte IS NULL OR version <= :lte)"
                f" ORDER BY version {'DESC' if desc else 'ASC'} LIMIT :limit",
                {
                    "stream": str(originator_id),
                    "gt": gt,
                    "lte": lte,
                    "limit": -1 if limit is None else limit,
                },
            ).fetchall()
        return [StoredEvent(*row) for row in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """At most `limit` events at positions from `start` (or after it) to `stop`, of `topics` if given."""
        first = 1 if start is None else start if inclusive_of_start else start + 1
        among = f" AND name IN ({', '.join('?' * len(topics))})" if topics else ""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT stream_id, version, name, record, position FROM events"
                f" WHERE position >= ? AND position <= ?{among} ORDER BY position LIMIT ?",
                (first, 2**63 - 1 if stop is None else stop, *topics, limit),
            ).fetchall()
        return [Notification(*row) for row in rows]

    def max_notification_id(self) -> int | None:
        """The newest position, or None when there is none."""
        with self._database.reading() as connection:
            return last_position(connection) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Not offered: `EventLog.wait` and `EventLog.read` follow the log, of other processes too."""
        raise NotImplementedError("subscriptions are not offered; follow the log with EventLog.wait and EventLog.read")


def last_position(connection: sqlite3.Connection) -> int:
    """The newest position; 0 when there is none."""
    position: int
    (position,) = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
    return position


def add_events(connection: sqlite3.Connection, rows: Iterable[EventRow]) -> None:
    """Write records inside the caller's transaction."""
    connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows)


def add_kinds(connection: sqlite3.Connection, kinds: Iterable[tuple[str, int]]) -> None:
    """Note that records of these names and schema versions are present."""
    connection.executemany("INSERT OR IGNORE INTO kinds VALUES (?, ?)", kinds)
