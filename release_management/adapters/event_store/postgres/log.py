"""The event log on PostgreSQL."""

import time
from collections.abc import Callable, Collection, Sequence

from release_management.adapters.event_store.batch import (
    Kind,
    StoreContent,
    check,
    decide,
)
from release_management.adapters.event_store.head import Head
from release_management.adapters.event_store.postgres.arrays import Texts
from release_management.adapters.event_store.postgres.database import PostgresDatabase
from release_management.adapters.event_store.postgres.lease import PostgresLease
from release_management.adapters.event_store.postgres.listener import POLL_SECONDS, Listener
from release_management.adapters.event_store.rows import (
    checked_content,
    page,
    readable,
    stream_page,
)
from release_management.kernel.record import Recorded
from release_management.services.ports import (
    Append,
    Appended,
    CommandKey,
    DeposedError,
    Lease,
    Snapshot,
    Status,
    StoredOutcome,
)


class PostgresEventLog:
    """The `EventLog` port on one PostgreSQL database, safe for many threads and many processes.

    A batch is decided on the versions that its callers saw, without a query, and stored by one call that checks under
    the lock that they still hold. Only if one does not, the facts are fetched and the batch is decided again.
    """

    def __init__(self, database: PostgresDatabase, store_id: str, known: Callable[[str, int], bool], head: int) -> None:
        """Use `open`."""
        self._database = database
        self._store_id = store_id
        self._known = known
        self._kinds: frozenset[Kind] = frozenset()
        self._head = Head(head)
        self._listener = Listener(database, self._head, self.last_position)
        self._leases: list[PostgresLease] = []

    @classmethod
    def open(cls, url: str, known: Callable[[str, int], bool]) -> "PostgresEventLog":
        """Open the log in the database at a `postgresql://` URL, creating it if need be.

        `known` returns True if records of a name and schema version can be read. Raises `UnreadableStoreError`,
        `ForeignStoreError`, `StoreUnavailableError`, and `GapError` if the newest records were removed.
        """
        database = PostgresDatabase(url)
        try:
            with database.lend() as connection:
                ((store_id, head),) = connection.execute(
                    "SELECT id, (SELECT coalesce(max(last), 0) FROM relman_log.commands) FROM relman_log.store"
                ).fetchall()
            log = cls(database, store_id, known, head)
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
        seen = self._head.position
        facts = StoreContent.as_expected(batch)
        decision = decide(batch, seen, facts)
        if not all(isinstance(status, Appended) for status in decision.statuses):
            decision = decide(batch, seen, facts := self._facts(batch))
        # The loop ends: a stream that another process moved in between is a conflict the next time, since versions only
        # rise.
        while True:
            fresh = decision.kinds(kinds) - self._kinds
            verdict, newest = self._database.append(
                lease=(lease.role, lease.number) if lease else (None, 0),
                seen=seen,
                expects=decision.rests_on(batch),
                commands=decision.commands,
                records=decision.records,
                kinds=fresh,
                contents=decision.contents,
            )
            match verdict:
                case "stored":
                    break
                case "moved":
                    decision = decide(batch, seen, facts := self._facts(batch))
                case "removed":
                    self._head.check(newest, seen)
                case "deposed":
                    assert lease is not None
                    raise DeposedError(f"another process has taken the role {lease.role!r}; nothing was written")
        self._kinds |= fresh
        self._head.reached(newest + len(decision.records))
        return decision.statuses if newest == seen else decide(batch, newest, facts).statuses

    def read(self, after: int, limit: int = 500) -> list[Recorded]:
        """Return the records with positions `after + 1, after + 2, …`, at most `limit`.

        Raises `GapError` if one is missing and `CorruptRecordError` if one disagrees with its index.
        """
        with self._database.lend() as connection:
            rows = connection.execute(_PAGE, (after, limit), binary=True).fetchall()
        return page(rows, after)

    def read_stream(self, stream: str, after: int = 0) -> list[Recorded]:
        """Return all records of one stream with a version above `after`, in order. Raises as `read` does."""
        with self._database.lend() as connection:
            rows = connection.execute(_STREAM, (stream, after), binary=True).fetchall()
        return stream_page(rows, stream, after)

    def content(self, dataref: str) -> bytes:
        """Return the content that stands beside records with this `dataref`. Raises `LostContentError`."""
        with self._database.lend() as connection:
            row = connection.execute(_CONTENT, (dataref,), binary=True).fetchone()
        return checked_content(dataref, row[0] if row else None)

    def last_position(self) -> int:
        """Return the position of the newest record, or 0. Raises `GapError` if it was higher before."""
        seen = self._head.position
        with self._database.lend() as connection:
            ((position,),) = connection.execute(
                "SELECT coalesce(max(position), 0) FROM relman_log.events", binary=True
            ).fetchall()
        self._head.check(position, seen)
        self._head.reached(position)
        return int(position)

    def outcomes(self, commands: Collection[CommandKey]) -> dict[CommandKey, StoredOutcome]:
        """Return the stored outcomes of those commands that have one."""
        if not commands:
            return {}
        senders, ids = Texts(sender for sender, _ in commands), Texts(id for _, id in commands)
        with self._database.lend() as connection:
            rows = connection.execute(_OUTCOMES, (senders, ids), binary=True).fetchall()
        return {(sender, id): StoredOutcome(*stored) for sender, id, *stored in rows}

    def snapshot(self, stream: str, shape: str) -> Snapshot | None:
        """Return the newest snapshot of a stream in this shape, or None."""
        with self._database.lend() as connection:
            row = connection.execute(_SNAPSHOT, (stream, shape), binary=True).fetchone()
        return Snapshot(*row) if row else None

    def keep_snapshot(self, stream: str, snapshot: Snapshot) -> None:
        """Store a snapshot in place of the stream's earlier one. It may be lost, since it can be made again."""
        with self._database.lend() as connection:
            connection.execute(
                _KEEP_SNAPSHOT, (stream, snapshot.shape, snapshot.version, snapshot.record, snapshot.state)
            )

    def take(self, role: str) -> PostgresLease | None:
        """Take a role that nobody holds; None if somebody does. A silent holder is replaced after 4 s.

        Raises `UnreadableStoreError` if the holder before has stored records that this program cannot read.
        """
        taken = self._database.take(role)
        if taken is None:
            return None
        lease = PostgresLease(taken[0], role, taken[1])
        self._leases.append(lease)
        try:
            self._learn_kinds()
        except BaseException:
            lease.release()
            raise
        return lease

    def wait(self, after: int, timeout: float) -> bool:
        """Block until the log has a record beyond `after` (True), or `timeout` seconds have passed (False).

        Appends are noticed when the server notifies, else within `POLL_SECONDS`.
        """
        deadline = time.monotonic() + timeout
        if self.last_position() > after:
            return True
        self._listener.start()
        while (remaining := deadline - time.monotonic()) > 0:
            self._listener.check()
            if self._head.wait(after, min(POLL_SECONDS, remaining)):
                return True
        return False

    def close(self) -> None:
        """Release the store, and the leases taken here. Reads of other threads must have ended."""
        self._listener.close()
        for lease in self._leases:
            lease.release()
        self._database.close()

    def _learn_kinds(self) -> None:
        """Load the kinds of stored records, also those of other processes. Raises `UnreadableStoreError`."""
        with self._database.lend() as connection:
            kinds = connection.execute("SELECT name, schemaversion FROM relman_log.kinds").fetchall()
        self._kinds = readable(kinds, self._known, self._database.where)

    def _facts(self, batch: Sequence[Append]) -> StoreContent:
        """Read the stored facts about a batch's streams and commands.

        In this order: a command that is absent afterwards was absent when the versions were read.
        """
        streams = Texts({stream for command in batch for stream in command.expects})
        with self._database.lend() as connection:
            versions = connection.execute(_VERSIONS, (streams,), binary=True).fetchall()
        return StoreContent(
            dict(versions),
            self.outcomes({(command.sender, command.id) for command in batch}),
        )


_COLUMNS = "SELECT position, stream_id, version, name, record FROM relman_log.events"
_PAGE = f"{_COLUMNS} WHERE position > %s ORDER BY position LIMIT %s"
_STREAM = f"{_COLUMNS} WHERE stream_id = %s AND version > %s ORDER BY version"
_VERSIONS = """SELECT stream_id, (
        SELECT coalesce(max(version), 0) FROM relman_log.events WHERE events.stream_id = wanted.stream_id
    ) FROM unnest(%s) AS wanted (stream_id)"""
_OUTCOMES = """SELECT sender, id, fingerprint, outcome, first, last
    FROM unnest(%s, %s) AS wanted (sender, id) JOIN relman_log.commands USING (sender, id)"""
_CONTENT = "SELECT content FROM relman_log.contents WHERE dataref = %s"
_SNAPSHOT = "SELECT version, shape, record, state FROM relman_log.snapshots WHERE stream_id = %s AND shape = %s"
# Committed without waiting for the disk, since a snapshot can be made again.
_KEEP_SNAPSHOT = """WITH lazily AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
    INSERT INTO relman_log.snapshots SELECT %s, %s, %s::bigint, %s, %s::bytea FROM lazily
    ON CONFLICT (stream_id) DO UPDATE
    SET shape = excluded.shape, version = excluded.version, record = excluded.record, state = excluded.state"""
