"""Connect to the read models' database: a SQLite file, or a schema of a PostgreSQL database.

One transaction at a time writes: on SQLite by its write lock, on PostgreSQL by an advisory lock of the schema. Commits
are not synced one by one: rows that a power cut takes are made again from the log.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, InternalError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

SCHEMA = "relman_read"
BUSY_SECONDS = 10.0
"""Seconds for which a transaction waits for the one that writes."""
QUERY_SECONDS = 10.0
"""Seconds after which PostgreSQL ends a query."""
STUCK_SECONDS = 60.0
"""PostgreSQL ends an idle transaction after this time, so that others can write; a process gives up a silent server."""
CONNECT_SECONDS = 5

TROUBLE = (OperationalError, InterfaceError, InternalError)
"""The database's errors when it is away, busy or full: trying again may help, and no event is the cause."""

_FIRST_KEY = 0x7265_6C6D
_UNDEFINED_TABLE, _LOCK_NOT_AVAILABLE = "42P01", "55P03"


def url_of(where: str | Path) -> URL:
    """Return a `postgresql://` URL with the driver that is used; anything else is the path of a SQLite file."""
    if isinstance(where, str) and where.startswith(("postgresql://", "postgres://")):
        return make_url(where).set(drivername="postgresql+psycopg")
    return URL.create("sqlite", database=str(where))


def writer(where: str | Path, schema: str = SCHEMA) -> Engine:
    """Return an engine for the projector: its transactions take the write lock at once. A file's folder must exist."""
    url = url_of(where)
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, "BEGIN IMMEDIATE", ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL"])
    settings = {
        "synchronous_commit": "off",
        "lock_timeout": f"{BUSY_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{STUCK_SECONDS}s",
    }
    engine = _postgresql(url, schema, settings, isolation_level="READ COMMITTED")

    @event.listens_for(engine, "begin")
    def _one_at_a_time(connection: Connection) -> None:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_FIRST_KEY, schema))

    return engine


def reader(where: str | Path, schema: str = SCHEMA) -> Engine:
    """Return an engine for queries: it cannot write, and a transaction sees one moment's rows."""
    url = url_of(where)
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, "BEGIN", ["PRAGMA query_only = ON"])
    settings = {
        "default_transaction_read_only": "on",
        "statement_timeout": f"{QUERY_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{STUCK_SECONDS}s",
    }
    engine = _postgresql(url, schema, settings, isolation_level="REPEATABLE READ")

    @event.listens_for(engine, "begin")
    def _no_swap_meanwhile(connection: Connection) -> None:
        # Rows are of the transaction's moment, but a table's name means whatever has it now. This comes before the
        # moment is taken, so no build can take another's place between the two; `exclude_readers` is its counterpart.
        connection.exec_driver_sql("LOCK TABLE read_builds IN ACCESS SHARE MODE")

    return engine


def exclude_readers(connection: Connection, seconds: float) -> None:
    """Wait until no query is running, and hold back new ones until this transaction ends.

    Raises `OperationalError`, for which `is_locked` holds, if that takes longer than `seconds`.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{round(seconds * 1000)}ms'")
        connection.exec_driver_sql("LOCK TABLE read_builds IN ACCESS EXCLUSIVE MODE")


def is_locked(error: DBAPIError) -> bool:
    """Return True if the error is a lock that another transaction held for too long."""
    return getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE


def is_missing(error: DBAPIError) -> bool:
    """Return True if the error is that the tables have not been created yet."""
    return getattr(error.orig, "sqlstate", None) == _UNDEFINED_TABLE


def make_schema(connection: Connection, schema: str) -> None:
    """Create the schema if there is none; SQLite has none."""
    if connection.dialect.name != "postgresql":
        return
    # Without this query, a user who may not create schemas could not use an existing one.
    if connection.exec_driver_sql("SELECT to_regnamespace(%s)", (_quoted(schema),)).scalar() is None:
        connection.exec_driver_sql(f"CREATE SCHEMA {_quoted(schema)}")


def exists(engine: Engine) -> bool:
    """Return False if the SQLite file does not exist; opening it would create an empty one."""
    if engine.dialect.name != "sqlite":
        return True
    return engine.url.database is not None and Path(engine.url.database).exists()


def _sqlite(url: URL, begin: str, pragmas: Sequence[str]) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "checkout")
    def _see_that_it_is_this_file(_: object, record: ConnectionPoolEntry, __: object) -> None:
        # A file that was removed still answers the processes that have it open, and no others.
        if record.info["file"] != _file(url):
            raise DisconnectionError("the file is another one, or gone")

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        # The driver would begin transactions late and commit before DDL; transactions are begun below instead.
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma)
        record.info["file"] = _file(url)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _file(url: URL) -> tuple[int, int] | None:
    """Return an identity of the present file, which tells it from another at the same path; None if there is none."""
    with contextlib.suppress(OSError):
        found = Path(url.database or "").stat()
        return found.st_dev, found.st_ino
    return None


def _postgresql(url: URL, schema: str, settings: dict[str, str], **options: Any) -> Engine:
    from release_management.adapters.postgres import PostgresConnection

    address = url.set(drivername="postgresql").render_as_string(hide_password=False)

    def connect() -> PostgresConnection:
        connection = PostgresConnection.connect(address, connect_timeout=CONNECT_SECONDS)
        connection.answer_seconds = STUCK_SECONDS
        return connection

    engine = create_engine(url, creator=connect, pool_pre_ping=True, **options)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: object) -> None:
        connection.execute("SELECT set_config('search_path', %s, false)", (_quoted(schema),))
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        connection.commit()

    return engine


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
