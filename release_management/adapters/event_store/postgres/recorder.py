"""The write side as the `eventsourcing` library knows it, on our tables in PostgreSQL."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    Notification,
    StoredEvent,
    Subscription,
)
from psycopg import errors

from release_management.adapters.event_store.postgres.arrays import Texts
from release_management.adapters.event_store.postgres.database import PostgresDatabase
from release_management.adapters.event_store.rows import OPAQUE
from release_management.services.ports import NewRecord


class PostgresRecorder(ApplicationRecorder):
    """Stores events in one sequence; the library's notification ids are our gap-free positions."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Store all events in one transaction, whatever their bytes; returns their positions.

        Raises the library's `IntegrityError` where a version of a stream is taken, and then stores none.
        """
        records = [
            NewRecord(str(event.originator_id), event.originator_version, event.topic, event.state)
            for event in stored_events
        ]
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
            raise IntegrityError(f"a version of a stream was stored before: {error}") from error
        return list(range(after + 1, after + 1 + len(records)))

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
        with self._database.lend() as connection:
            rows = connection.execute(
                "SELECT stream_id, version, name, record FROM relman_log.events WHERE stream_id = %(stream)s"
                " AND version > %(gt)s AND version <= %(lte)s"
                f" ORDER BY version {'DESC' if desc else 'ASC'} LIMIT %(limit)s",
                {
                    "stream": str(originator_id),
                    "gt": -1 if gt is None else gt,
                    "lte": 2**63 - 1 if lte is None else lte,
                    "limit": limit,
                },
                binary=True,
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
        with self._database.lend() as connection:
            rows = connection.execute(
                "SELECT stream_id, version, name, record, position FROM relman_log.events"
                " WHERE position BETWEEN %s AND %s AND (%s OR name = ANY(%s)) ORDER BY position LIMIT %s",
                (first, 2**63 - 1 if stop is None else stop, not topics, Texts(topics), limit),
                binary=True,
            ).fetchall()
        return [Notification(*row) for row in rows]

    def max_notification_id(self) -> int | None:
        """The newest position, or None when there is none."""
        with self._database.lend() as connection:
            row = connection.execute("SELECT max(position) FROM relman_log.events", binary=True).fetchone()
        return row[0] if row else None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Not offered: `EventLog.wait` and `EventLog.read` follow the log, of other processes too."""
        raise NotImplementedError("subscriptions are not offered; follow the log with EventLog.wait and EventLog.read")
