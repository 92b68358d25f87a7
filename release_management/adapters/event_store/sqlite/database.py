"""The SQLite file of a log: its tables, its one writing connection, its reading connections."""

import os
import sqlite3
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from release_management.adapters.event_store.errors import (
    DamagedStoreError,
    EventStoreError,
    ForeignStoreError,
    StoreUnavailableError,
)

SCHEMA_VERSION = 3
BUSY_SECONDS = 10.0
_APPLICATION_ID = 0x72656C6D  # "relm"
_LAYOUT_1 = (
    """CREATE TABLE store (
        one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, schema_version INTEGER NOT NULL,
        created TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE events (
        position INTEGER PRIMARY KEY, stream_id TEXT NOT NULL, version INTEGER NOT NULL, name TEXT NOT NULL,
        record BLOB NOT NULL, UNIQUE (stream_id, version)
    ) STRICT""",
    """CREATE TABLE commands (
        sender TEXT NOT NULL, id TEXT NOT NULL, fingerprint BLOB NOT NULL, first INTEGER NOT NULL,
        last INTEGER NOT NULL, outcome BLOB NOT NULL, PRIMARY KEY (sender, id)
    ) STRICT""",
    """CREATE TABLE kinds (
        name TEXT NOT NULL, schemaversion INTEGER NOT NULL, PRIMARY KEY (name, schemaversion)
    ) STRICT, WITHOUT ROWID""",
)
_LAYOUT_2 = (
    """CREATE TABLE snapshots (
        stream_id TEXT PRIMARY KEY, shape TEXT NOT NULL, version INTEGER NOT NULL, record TEXT NOT NULL,
        state BLOB NOT NULL
    ) STRICT""",
    "CREATE TABLE leases (role TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT, WITHOUT ROWID",
)
_LAYOUT_3 = ("CREATE TABLE contents (dataref TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT",)
_LAYOUTS = (_LAYOUT_1, _LAYOUT_2, _LAYOUT_3)


class SQLiteDatabase:
    """One store file. Thread-safe; other processes may have it open as well."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file, creating it if need be. Raises `ForeignStoreError` and `StoreUnavailableError`."""
        self.path = Path(path)
        self._closed = False
        self._idle: deque[sqlite3.Connection] = deque()
        self._writing = threading.Lock()
        self._writer = self._connect()
        try:
            self._make_ready()
        except BaseException:
            self._writer.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the store's write lock; commit durably at the end, or roll everything back on an error."""
        with self._writing:
            self._check_open()
            connection = self._writer
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                if connection.in_transaction:
                    connection.rollback()
                if isinstance(error, sqlite3.DatabaseError) and (named := self._named(error)):
                    raise named from error
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a read-only connection. Every statement sees one committed state, and waits for no writer."""
        self._check_open()
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
        try:
            yield connection
        except sqlite3.DatabaseError as error:
            if named := self._named(error):
                raise named from error
            raise
        finally:
            self._idle.append(connection)
            if self._closed:
                self._close_idle()

    def close(self) -> None:
        """Close every connection. A lent one is closed when it is returned."""
        with self._writing:
            self._closed = True
            self._close_idle()
            self._writer.close()

    def _close_idle(self) -> None:
        with suppress(IndexError):  # two threads may do this
            while True:
                self._idle.pop().close()

    def _connect(self) -> sqlite3.Connection:
        try:
            return sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        except sqlite3.OperationalError as error:
            raise self._unavailable(error) from error

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError(f"the event store {self.path} was closed; open it again to use it")

    def _make_ready(self) -> None:
        try:
            is_new = self._is_new()
            self._use_wal()
            self._writer.execute("PRAGMA synchronous = FULL")
        except sqlite3.OperationalError as error:
            raise self._unavailable(error) from error
        except sqlite3.DatabaseError:
            raise self._foreign() from None
        if is_new:
            with self.transaction() as connection:
                if self._is_new():
                    _create(connection)
        if (schema_version := self._schema_version()) > SCHEMA_VERSION:
            raise ForeignStoreError(
                f"{self.path} has the store layout {schema_version} and this version knows {SCHEMA_VERSION}: "
                "open it with the version that made it, or a newer one"
            )
        if schema_version < SCHEMA_VERSION:
            with self.transaction() as connection:
                _bring_up(connection, self._schema_version())

    def _schema_version(self) -> int:
        version: int
        ((version,),) = self._writer.execute("SELECT schema_version FROM store").fetchall()
        return version

    def _is_new(self) -> bool:
        """Return True if the file is still empty. Raises `ForeignStoreError` if it belongs to another program."""
        # In this order: another process may create the tables between the two, with the id in one transaction.
        if not self._writer.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
            return True
        ((application_id,),) = self._writer.execute("PRAGMA application_id").fetchall()
        if application_id != _APPLICATION_ID:
            raise self._foreign()
        return False

    def _use_wal(self) -> None:
        """Switch to the write-ahead log. SQLite does not wait here while another process does the same."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._writer.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _foreign(self) -> ForeignStoreError:
        return ForeignStoreError(
            f"{self.path} is not an event store of ours and was left alone: "
            "name a store, or a file that does not exist yet"
        )

    def _unavailable(self, error: sqlite3.OperationalError) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"the event store {self.path} cannot be used now ({error}): its folder must exist, be writable "
            f"and have space, and no other program may hold its write lock for {BUSY_SECONDS:g} s"
        )

    def _named(self, error: sqlite3.DatabaseError) -> EventStoreError | None:
        """Return the error as one of ours, or None if it is about the statement and not about the file."""
        if isinstance(error, sqlite3.OperationalError):
            return self._unavailable(error)
        if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return DamagedStoreError(f"the event store {self.path} is damaged ({error}); restore it from a copy")
        return None


def _create(connection: sqlite3.Connection) -> None:
    for table in _LAYOUT_1:
        connection.execute(table)
    connection.execute(
        "INSERT INTO store VALUES (1, ?, 1, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))", (str(uuid.uuid4()),)
    )
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    _bring_up(connection, 1)


def _bring_up(connection: sqlite3.Connection, layout: int) -> None:
    """Upgrade the tables from the given layout to the newest."""
    for table in (table for added in _LAYOUTS[layout:] for table in added):
        connection.execute(table)
    connection.execute("UPDATE store SET schema_version = ?", (SCHEMA_VERSION,))
