"""The write side as the `eventsourcing` library defines it, on our tables."""

from abc import abstractmethod
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

from release_management.services.ports import NewRecord

LAST = 2**63 - 1
"""The largest position or version."""


class VersionTakenError(Exception):
    """A version of a stream was stored before. Never leaves this package."""


class LogRecorder(ApplicationRecorder):
    """Stores events in one sequence; the library's notification ids are our gap-free positions."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Store all events in one transaction, whatever their bytes; return their positions.

        Raises the library's `IntegrityError` if a version of a stream is taken, and then stores none.
        """
        records = [
            NewRecord(str(event.originator_id), event.originator_version, event.topic, event.state)
            for event in stored_events
        ]
        try:
            after = self._append(records)
        except VersionTakenError as error:
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
        """Return the events of one stream with versions above `gt` and up to `lte`."""
        rows = self._stream(
            str(originator_id),
            -1 if gt is None else gt,
            LAST if lte is None else lte,
            "DESC" if desc else "ASC",
            LAST if limit is None else limit,
        )
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
        """Return at most `limit` events at positions from `start` (or after it) to `stop`, of `topics` if given."""
        first = 1 if start is None else start if inclusive_of_start else start + 1
        return [Notification(*row) for row in self._page(first, LAST if stop is None else stop, topics, limit)]

    @abstractmethod
    def max_notification_id(self) -> int | None:
        """Return the newest position, or None if there is none."""

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Not offered: `EventLog.wait` and `EventLog.read` follow the log, also for records of other processes."""
        raise NotImplementedError("subscriptions are not offered; follow the log with EventLog.wait and EventLog.read")

    @abstractmethod
    def _append(self, records: Sequence[NewRecord]) -> int:
        """Store records in one transaction; return the last position before them. Raises `VersionTakenError`."""

    @abstractmethod
    def _stream(self, stream: str, above: int, up_to: int, order: str, limit: int) -> Sequence[tuple[Any, ...]]:
        """Return rows `(stream, version, name, record)` of one stream, ordered by version, `ASC` or `DESC`."""

    @abstractmethod
    def _page(self, first: int, last: int, names: Sequence[str], limit: int) -> Sequence[tuple[Any, ...]]:
        """Return rows `(stream, version, name, record, position)` ordered by position; of `names` if given."""
