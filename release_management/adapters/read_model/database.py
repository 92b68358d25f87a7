"""Connecting to the read models' database: SQLite, in WAL mode so that readers and the one writer never wait long.

Commits are not synced one by one: what a power cut takes is made again from the log.
"""

import sqlite3
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL

BUSY_SECONDS = 10.0


def url_of(where: str | Path) -> URL:
    """A database URL as it is; anything else is the path of a SQLite file."""
    if isinstance(where, str) and "://" in where:
        return make_url(where)
    return URL.create("sqlite", database=str(where))


def writer(where: str | Path) -> Engine:
    """For the projector: its transactions take the write lock when they begin. The file's folder must exist."""
    return _engine(where, "BEGIN IMMEDIATE", ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL"])


def reader(where: str | Path) -> Engine:
    """For questions: it cannot write, and what one transaction sees is of one moment."""
    return _engine(where, "BEGIN", ["PRAGMA query_only = ON"])


def exists(engine: Engine) -> bool:
    """Whether the database is there. Looking must not make an empty file."""
    if engine.dialect.name != "sqlite":
        return True
    return engine.url.database is not None and Path(engine.url.database).exists()


def _engine(where: str | Path, begin: str, pragmas: Sequence[str]) -> Engine:
    url = url_of(where)
    if url.get_backend_name() != "sqlite":
        return create_engine(url, isolation_level="REPEATABLE READ" if begin == "BEGIN" else "READ COMMITTED")
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        # The driver would begin transactions late and commit before DDL; transactions are begun below instead.
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@cache
def upsert(table: Table, dialect: str) -> Insert:
    """Insert whole rows, or overwrite those that exist."""
    names = [column.name for column in table.primary_key]
    others = [column.name for column in table.columns if column.name not in names]
    insert: Any = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
    if not others:
        return insert.on_conflict_do_nothing(index_elements=names)  # type: ignore[no-any-return] # either dialect's insert
    new = {name: insert.excluded[name] for name in others}
    return insert.on_conflict_do_update(index_elements=names, set_=new)  # type: ignore[no-any-return] # either dialect's insert
