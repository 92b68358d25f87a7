"""The event log on SQLite."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from release_management.adapters.event_store.batch import CommandKey, Kind, check, decide
from release_management.adapters.event_store.database import Database
from release_management.adapters.event_store.errors import CorruptRecordError, GapError, UnreadableStoreError
from release_management.adapters.event_store.index import read_index
from release_management.adapters.event_store.recorder import EventRow, add_events, add_kinds, last_position
from release_management.domain.record import Recorded
from release_management.services.ports import Append, Appended, Status, StoredOutcome

POLL_SECONDS = 0.025
"""How long `wait` may take to see the append of another process."""


class SQLiteEventLog:
    """The `EventLog` port on one SQLite file, safe for many threads and many processes."""

    def __init__(self, database: Database, store_id: str, kinds: Iterable[Kind], head: int) -> None:
        """Use `open`."""
        self._database = database
        self._store_id = store_id
        self._kinds = frozenset(kinds)
        self._head = head
        self._appended = threading.Condition()

    @classmethod
    def open(cls, path: str | os.PathLike[str], known: Callable[[str, int], bool]) -> "SQLiteEventLog":
        """Open the log in the file, or make it.

        `known` says whether records of a name and schema version can be read. Raises `UnreadableStoreError`,
        `ForeignStoreError`, `StoreUnavailableError`, and `GapError` where the newest records were removed.
        """
        database = Database(path)
        try:
            with database.reading() as connection:
                kinds = connection.execute("SELECT name, schemaversion FROM kinds ORDER BY 1, 2").fetchall()
                if unknown := tuple(kind for kind in kinds if not known(*kind)):
                    raise UnreadableStoreError(str(path), unknown)
                ((store_id,),) = connection.execute("SELECT id FROM store").fetchall()
                row = connection.execute(
                    "SELECT last FROM commands WHERE last > 0 ORDER BY rowid DESC LIMIT 1"
                ).fetchone()
            log = cls(database, store_id, kinds, head=row[0] if row else 0)
            log.last_position()
        except BaseException:
            database.close()
            raise
        return log

    @property
    def store_id(self) -> str:
        """The UUID made when the store was created."""
        return self._store_id

    def append(self, batch: Sequence[Append]) -> list[Status]:
        """Store a batch in one durable transaction; one status per command, in order.

        One command's conflict, repetition or refusal does not touch its neighbours, except those decided on
        it. Raises ValueError, before anything is written, where a command contradicts itself; and
        `StoreUnavailableError`, after which the commands table knows whether the batch was stored.
        """
        kinds = [check(command) for command in batch]
        with self._database.transaction() as connection:
            after = last_position(connection)
            self._check_end(after, self._head)
            versions: dict[str, int] = {}
            earlier: dict[CommandKey, StoredOutcome] = {}
            for command in batch:
                for stream in command.expects.keys() - versions.keys():
                    (versions[stream],) = connection.execute(
                        "SELECT coalesce(max(version), 0) FROM events WHERE stream_id = ?", (stream,)
                    ).fetchone()
                row = connection.execute(_OUTCOME, (command.sender, command.id)).fetchone()
                if row:
                    earlier[command.sender, command.id] = StoredOutcome(*row)
            decision = decide(batch, after, versions, earlier)
            add_events(
                connection,
                [
                    (position, new.stream, new.version, new.name, new.record)
                    for position, new in enumerate(decision.records, after + 1)
                ],
            )
            connection.executemany(
                "INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (*key, stored.fingerprint, stored.first, stored.last, stored.outcome)
                    for key, stored in decision.commands.items()
                ],
            )
            fresh = {
                kind
                for status, of_command in zip(decision.statuses, kinds, strict=True)
                if isinstance(status, Appended)
                for kind in of_command - self._kinds
            }
            add_kinds(connection, fresh)
        self._kinds |= fresh
        self._reached(after + len(decision.records))
        return decision.statuses

    def read(self, after: int, limit: int = 500) -> list[Recorded]:
        """Records with positions `after + 1, after + 2, …`, at most `limit`.

        Raises `GapError` where one is missing and `CorruptRecordError` where one disagrees with its index.
        """
        with self._database.reading() as connection:
            rows: list[EventRow] = connection.execute(
                "SELECT position, stream_id, version, name, record FROM events"
                " WHERE position > ? ORDER BY position LIMIT ?",
                (after, limit),
            ).fetchall()
        for expected, row in enumerate(rows, after + 1):
            if row[0] != expected:
                raise GapError(f"position {expected}", expected, row[0])
        return [_recorded(row) for row in rows]

    def read_stream(self, stream: str, after: int = 0) -> list[Recorded]:
        """All records of one stream with a version above `after`, in order. Raises as `read` does."""
        with self._database.reading() as connection:
            rows: list[EventRow] = connection.execute(
                "SELECT position, stream_id, version, name, record FROM events"
                " WHERE stream_id = ? AND version > ? ORDER BY version",
                (stream, after),
            ).fetchall()
        for expected, row in enumerate(rows, after + 1):
            if row[2] != expected:
                raise GapError(f"version {expected} of the stream {stream!r}", expected, row[2])
        return [_recorded(row) for row in rows]

    def last_position(self) -> int:
        """The position of the newest record; 0 when there is none. Raises `GapError` where it was higher."""
        head = self._head
        with self._database.reading() as connection:
            position = last_position(connection)
        self._check_end(position, head)
        self._reached(position)
        return position

    def outcome(self, sender: str, id: str) -> StoredOutcome | None:
        """What was stored of a command, or None."""
        with self._database.reading() as connection:
            row = connection.execute(_OUTCOME, (sender, id)).fetchone()
        return StoredOutcome(*row) if row else None

    def wait(self, after: int, timeout: float) -> bool:
        """Block until the log has a record beyond `after` (True), or `timeout` seconds have passed (False).

        Appends of this object are seen at once, those of other processes within `POLL_SECONDS`.
        """
        deadline = time.monotonic() + timeout
        while self.last_position() <= after:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            with self._appended:
                if self._appended.wait_for(lambda: self._head > after, min(POLL_SECONDS, remaining)):
                    return True
        return True

    def close(self) -> None:
        """Release the file. Reads of other threads must have ended."""
        self._database.close()

    def _check_end(self, position: int, head: int) -> None:
        """The newest position is never below one that was seen before, unless records were removed."""
        if position < head:
            raise GapError(f"position {position + 1}", position + 1, None)

    def _reached(self, position: int) -> None:
        if position > self._head:
            with self._appended:
                self._head = max(self._head, position)
                self._appended.notify_all()


_OUTCOME = "SELECT fingerprint, outcome, first, last FROM commands WHERE sender = ? AND id = ?"


def _recorded(row: EventRow) -> Recorded:
    position, stream, version, name, record = row
    try:
        difference = read_index(record).disagreement(stream, version, name)
    except ValueError as error:
        difference = str(error)
    if difference is not None:
        raise CorruptRecordError(position, difference)
    return Recorded(position, stream, version, name, record)
