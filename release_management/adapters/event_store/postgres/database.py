"""The tables of a log in the schema `relman_log` of a PostgreSQL database, and the connections to them."""

import threading
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, cast

import psycopg
from psycopg import errors

from release_management.adapters.event_store.batch import Kind
from release_management.adapters.event_store.errors import (
    DamagedStoreError,
    EventStoreError,
    ForeignStoreError,
    StoreUnavailableError,
)
from release_management.adapters.event_store.postgres.arrays import (
    Blobs,
    Numbers,
    Texts,
)
from release_management.adapters.postgres import (
    Connections,
    PostgresConnection,
    place,
)
from release_management.services.ports import (
    CommandKey,
    NewRecord,
    StoredOutcome,
)

SCHEMA_VERSION = 2
LOCKS = 0x72656C6D
""""relm": the first half of the keys of a log's advisory locks. The second is 1 for appends, see `schema.sql`."""
_MAKING = 2
_APPEND = f"SELECT verdict, newest FROM relman_log.append({', '.join(['%s'] * 17)})"
_APPEND_BESIDE = f"SELECT verdict, newest FROM relman_log.append_beside({', '.join(['%s'] * 19)})"
_UNUSABLE = (
    psycopg.OperationalError,  # also: no space, too many connections, a statement or a lock that took too long
    psycopg.InterfaceError,
    errors.InternalError_,  # the server's error for a file that may not grow: a quota, a limit
    errors.ReadOnlySqlTransaction,
    errors.InsufficientPrivilege,
)
_DAMAGED = (
    errors.DataCorrupted,
    errors.IndexCorrupted,
    errors.InvalidSchemaName,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.UndefinedTable,
)

AppendVerdict = Literal["stored", "moved", "deposed", "removed"]


class PostgresDatabase:
    """One store in one database. Thread-safe; other processes may use it as well."""

    def __init__(self, url: str) -> None:
        """Open the store, creating it if need be.

        Raises `ForeignStoreError`, `StoreUnavailableError`, and `EventStoreError` if `url` is no URL or the database
        does not keep text as UTF-8.
        """
        try:
            self.where = place(url)
            self._lending = Connections(url)
            # Planning each statement anew would take longer, for a single command, than executing them.
            self._appending = Connections(url, {"plan_cache_mode": "force_generic_plan"})
            # The server ends the session of a lease's holder that is silent so long, and the lease with it.
            self._holding = Connections(url, {"idle_session_timeout": "4s"})
        except ValueError as error:
            raise EventStoreError(str(error)) from None
        self._writing = threading.Lock()
        self._closed = False
        try:
            self._make_ready()
        except BaseException:
            self.close()
            raise

    def append(
        self,
        *,
        lease: tuple[str | None, int],
        seen: int,
        expects: Mapping[str, int],
        commands: Mapping[CommandKey, StoredOutcome],
        records: Sequence[NewRecord],
        kinds: Collection[Kind],
        contents: Mapping[str, bytes] | None = None,
    ) -> tuple[AppendVerdict, int]:
        """Store records, contents and commands in one durable transaction and one round trip, or nothing.

        `lease` is a role and its number; `seen` a position that the log has; `expects` the versions that streams must
        have. Positions in `commands` are as if `seen` were the newest. `contents` are stored beside records, by
        `dataref`. Returns the verdict, see `schema.sql`, and the position that was the newest before.
        """
        stored = commands.values()
        parameters: tuple[object, ...] = (
            *lease,
            seen,
            Texts(expects),
            Numbers(expects.values()),
            Texts(sender for sender, _ in commands),
            Texts(id for _, id in commands),
            Blobs(one.fingerprint for one in stored),
            Numbers(one.first for one in stored),
            Numbers(one.last for one in stored),
            Blobs(one.outcome for one in stored),
            Texts(new.stream for new in records),
            Numbers(new.version for new in records),
            Texts(new.name for new in records),
            Blobs(new.record for new in records),
            Texts(name for name, _ in kinds),
            Numbers(version for _, version in kinds),
        )
        statement: str = _APPEND
        if contents:
            statement, parameters = _APPEND_BESIDE, (*parameters, Texts(contents), Blobs(contents.values()))
        with self._writing, self.explained(), self._appending.lend() as connection:
            row = connection.execute(statement, parameters, prepare=True).fetchone()
        return cast(tuple[AppendVerdict, int], row)

    @contextmanager
    def lend(self) -> Iterator[PostgresConnection]:
        """Lend an autocommitting connection. Every statement sees one committed state."""
        with self.explained(), self._lending.lend() as connection:
            yield connection

    def connect(self) -> PostgresConnection:
        """Open a connection for the caller, to listen on."""
        with self.explained():
            return self._lending.connect()

    def take(self, role: str) -> tuple[PostgresConnection, int] | None:
        """Take a role on a session of its own; return that and the role's raised number, or None if it is held."""
        with self.lend() as connection:
            lock = connection.execute("SELECT hashtext(%s)", (role,)).fetchone()
            assert lock is not None
            if connection.execute(_IS_LOCKED, (LOCKS, lock[0] & 0xFFFFFFFF)).fetchone():
                return None
        with self.explained():
            session = self._holding.connect()
            try:
                row = session.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCKS, lock[0])).fetchone()
                if row == (True,):
                    number = session.execute("SELECT relman_log.take(%s)", (role,)).fetchone()
                    assert number is not None
                    return session, number[0]
            except BaseException:
                session.close()
                raise
            session.close()
            return None

    def close(self) -> None:
        """Close every connection. No other thread may be using one."""
        self._closed = True
        for connections in (self._lending, self._appending):
            connections.close()

    def _make_ready(self) -> None:
        with self.lend() as connection:
            if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
                raise EventStoreError(
                    f"the database {self.where} keeps text as {encoding}, which cannot hold every letter: make one "
                    "with ENCODING 'UTF8' and name that"
                )
            if self._is_new(connection):
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCKS, _MAKING))
                    if self._is_new(connection):
                        _run(connection, "schema.sql")
                        connection.execute("INSERT INTO relman_log.store VALUES (1, %s, 1)", (str(uuid.uuid4()),))
            try:
                row = connection.execute("SELECT schema_version FROM relman_log.store").fetchone()
            except (errors.UndefinedTable, errors.UndefinedColumn):
                row = None
        if row is None:
            raise ForeignStoreError(
                f"the schema relman_log at {self.where} is not an event store of ours and was left alone: "
                "name a database that has one, or has no such schema"
            )
        if row[0] > SCHEMA_VERSION:
            raise ForeignStoreError(
                f"{self.where} has the store layout {row[0]} and this version knows {SCHEMA_VERSION}: "
                "open it with the version that made it, or a newer one"
            )
        if row[0] < SCHEMA_VERSION:
            self._bring_up()

    def _bring_up(self) -> None:
        """Upgrade the tables to the newest layout. Older programs can go on meanwhile."""
        with self.lend() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCKS, _MAKING))
            if connection.execute("SELECT FROM relman_log.store WHERE schema_version = 1").fetchall():
                _run(connection, "layout_2.sql")

    def _is_new(self, connection: PostgresConnection) -> bool:
        """Return True if there is no schema yet, or an empty one (made by somebody who may make schemas)."""
        return not connection.execute(
            "SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
            " WHERE nspname = 'relman_log' LIMIT 1"
        ).fetchall()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Raise the driver's errors as ours."""
        if self._closed:
            raise StoreUnavailableError(f"the event store {self.where} was closed; open it again to use it")
        try:
            yield
        except _UNUSABLE as error:
            raise StoreUnavailableError(
                f"the event store {self.where} cannot be used now ({_line(error)}): its server must run, let us in "
                "and write, have space, and no other program may hold its locks"
            ) from error
        except _DAMAGED as error:
            raise DamagedStoreError(
                f"the event store {self.where} is damaged ({_line(error)}); restore it from a copy"
            ) from error


_IS_LOCKED = """SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND classid = %s AND objid = %s AND objsubid = 2
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


def _run(connection: PostgresConnection, script: str) -> None:
    connection.execute(Path(__file__).with_name(script).read_bytes())


def _line(error: psycopg.Error) -> str:
    """Return the first line of the driver's message."""
    return str(error).partition("\n")[0]
