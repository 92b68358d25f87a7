"""The event log on SQLite."""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence

from release_management.adapters.event_store.batch import (
    Kind,
    StoreContent,
    check,
    decide,
)
from release_management.adapters.event_store.head import Head
from release_management.adapters.event_store.rows import (
    EventRow,
    checked_content,
    page,
    readable,
    stream_page,
)
from release_management.adapters.event_store.sqlite.database import SQLiteDatabase
from release_management.adapters.event_store.sqlite.lease import SQLiteLease, Watch
from release_management.adapters.event_store.sqlite.tables import (
    add_contents,
    add_events,
    add_kinds,
    last_position,
    lease_number,
)
from release_management.kernel.record import Recorded
from release_management.services.ports import (
    Append,
    CommandKey,
    DeposedError,
    Lease,
    Snapshot,
    Status,
    StoredOutcome,
)

POLL_SECONDS = 0.025
"""Seconds after which `wait` sees an append of another process, at the latest."""


class SQLiteEventLog:
    """The `EventLog` port on one SQLite file, safe for many threads and many processes."""

    def __init__(self, database: SQLiteDatabase, store_id: str, known: Callable[[str, int], bool], head: int) -> None:
        """Use `open`."""
        self._database = database
        self._store_id = store_id
        self._known = known
        self._kinds: frozenset[Kind] = frozenset()
        self._head = Head(head)
        self._leases: list[SQLiteLease] = []
        self._watches: dict[str, Watch] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str], known: Callable[[str, int], bool]) -> "SQLiteEventLog":
        """Open the log in the file, creating it if need be.

        `known` returns True if records of a name and schema version can be read. Raises `UnreadableStoreError`,
        `ForeignStoreError`, `StoreUnavailableError`, and `GapError` if the newest records were removed.
        """
        database = SQLiteDatabase(path)
        try:
            with database.reading() as connection:
                ((store_id,),) = connection.execute("SELECT id FROM store").fetchall()
                row = connection.execute(
                    "SELECT last FROM commands WHERE last > 0 ORDER BY rowid DESC LIMIT 1"
                ).fetchone()
            log = cls(database, store_id, known, head=row[0] if row else 0)
            log._learn_kinds()
            log.last_position()
        except BaseException:
            database.close()
            raise
        return log

    @property
    def store_id(self) -> str:
        """The UUID made when the store was created."""
        return self._store_id

    def append(self, batch: Sequence[Append], lease: Lease | None = None) -> list[Status]:
        """Store a batch in one durable transaction; return one status per command, in order.

        A command's conflict, repetition or refusal affects only those commands of the batch that were decided on it.
        Raises ValueError, before anything is written, if a command contradicts itself; `DeposedError`; and
        `StoreUnavailableError`, after which the commands table knows whether the batch was stored.
        """
        kinds = [check(command) for command in batch]
        with self._database.transaction() as connection:
            after = last_position(connection)
            self._head.check(after, self._head.position)
            if lease is not None and lease_number(connection, lease.role) > lease.number:
                raise DeposedError(f"another process has taken the role {lease.role!r}; nothing was written")
            decision = decide(batch, after, _facts(connection, batch))
            add_events(
                connection,
                [
                    (position, new.stream, new.version, new.name, new.record)
                    for position, new in enumerate(decision.records, after + 1)
                ],
            )
            add_contents(connection, decision.contents)
            connection.executemany(
                "INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (*key, stored.fingerprint, stored.first, stored.last, stored.outcome)
                    for key, stored in decision.commands.items()
                ],
            )
            fresh = decision.kinds(kinds) - self._kinds
            add_kinds(connection, fresh)
        self._kinds |= fresh
        self._head.reached(after + len(decision.records))
        return decision.statuses

    def read(self, after: int, limit: int = 500) -> list[Recorded]:
        """Return the records with positions `after + 1, after + 2, …`, at most `limit`.

        Raises `GapError` if one is missing and `CorruptRecordError` if one disagrees with its index.
        """
        with self._database.reading() as connection:
            rows: list[EventRow] = connection.execute(
                "SELECT position, stream_id, version, name, record FROM events"
                " WHERE position > ? ORDER BY position LIMIT ?",
                (after, limit),
            ).fetchall()
        return page(rows, after)

    def read_stream(self, stream: str, after: int = 0) -> list[Recorded]:
        """Return all records of one stream with a version above `after`, in order. Raises as `read` does."""
        with self._database.reading() as connection:
            rows: list[EventRow] = connection.execute(
                "SELECT position, stream_id, version, name, record FROM events"
                " WHERE stream_id = ? AND version > ? ORDER BY version",
                (stream, after),
            ).fetchall()
        return stream_page(rows, stream, after)

    def content(self, dataref: str) -> bytes:
        """Return the content that stands beside records with this `dataref`. Raises `LostContentError`."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT content FROM contents WHERE dataref = ?", (dataref,)).fetchone()
        return checked_content(dataref, row[0] if row else None)

    def last_position(self) -> int:
        """Return the position of the newest record, or 0. Raises `GapError` if it was higher before."""
        seen = self._head.position
        with self._database.reading() as connection:
            position = last_position(connection)
        self._head.check(position, seen)
        self._head.reached(position)
        return position

    def outcomes(self, commands: Collection[CommandKey]) -> dict[CommandKey, StoredOutcome]:
        """Return the stored outcomes of those commands that have one."""
        with self._database.reading() as connection:
            return _outcomes(connection, commands)

    def snapshot(self, stream: str, shape: str) -> Snapshot | None:
        """Return the newest snapshot of a stream in this shape, or None."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT version, shape, record, state FROM snapshots WHERE stream_id = ? AND shape = ?", (stream, shape)
            ).fetchone()
        return Snapshot(*row) if row else None

    def keep_snapshot(self, stream: str, snapshot: Snapshot) -> None:
        """Store a snapshot in place of the stream's earlier one. It may be lost, since it can be made again."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?)",
                (stream, snapshot.shape, snapshot.version, snapshot.record, snapshot.state),
            )

    def take(self, role: str) -> SQLiteLease | None:
        """Take a role that nobody holds; None if somebody does.

        A dead holder is replaced at once, one that hangs after it was seen silent for 4 s. Raises
        `UnreadableStoreError` if the holder before has stored records that this program cannot read.
        """
        lease = SQLiteLease.take(self._database, role, self._watches.setdefault(role, Watch()))
        if lease is not None:
            self._leases.append(lease)
            try:
                self._learn_kinds()
            except BaseException:
                lease.release()
                raise
        return lease

    def wait(self, after: int, timeout: float) -> bool:
        """Block until the log has a record beyond `after` (True), or `timeout` seconds have passed (False).

        Appends of this object are seen at once, those of other processes within `POLL_SECONDS`.
        """
        deadline = time.monotonic() + timeout
        while self.last_position() <= after:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            if self._head.wait(after, min(POLL_SECONDS, remaining)):
                return True
        return True

    def close(self) -> None:
        """Release the file, and the leases taken here. Reads of other threads must have ended."""
        for lease in self._leases:
            lease.release()
        self._database.close()

    def _learn_kinds(self) -> None:
        """Load the kinds of stored records, also those of other processes. Raises `UnreadableStoreError`."""
        with self._database.reading() as connection:
            kinds = connection.execute("SELECT name, schemaversion FROM kinds").fetchall()
        self._kinds = readable(kinds, self._known, str(self._database.path))


def _facts(connection: sqlite3.Connection, batch: Sequence[Append]) -> StoreContent:
    """Read the stored facts about a batch's streams and commands."""
    streams = json.dumps(list({stream for command in batch for stream in command.expects}))
    versions = connection.execute(_VERSIONS, (streams,)).fetchall()
    return StoreContent(dict(versions), _outcomes(connection, {(command.sender, command.id) for command in batch}))


def _outcomes(connection: sqlite3.Connection, commands: Collection[CommandKey]) -> dict[CommandKey, StoredOutcome]:
    rows = connection.execute(_OUTCOMES, (json.dumps(list(commands)),))
    return {(sender, id): StoredOutcome(*stored) for sender, id, *stored in rows}


# Passed as JSON: a list of parameters is limited in length, and SQLite scans the table for (VALUES …).
_VERSIONS = """SELECT value, (SELECT coalesce(max(version), 0) FROM events WHERE stream_id = wanted.value)
    FROM json_each(?) AS wanted"""
_OUTCOMES = """SELECT sender, commands.id, fingerprint, outcome, first, last
    FROM json_each(?) AS wanted CROSS JOIN commands
    ON sender = json_extract(wanted.value, '$[0]') AND commands.id = json_extract(wanted.value, '$[1]')"""
