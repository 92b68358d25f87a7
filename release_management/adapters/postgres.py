"""Connections to PostgreSQL on which nothing hangs: every question is answered or ends in an error within seconds.

Sessions keep advisory locks and listen, so what stands between may pool sessions, but not transactions or statements.
PostgreSQL 14 or newer.
"""

import select
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import _WaitTimeout
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

CONNECT_SECONDS = 3
ANSWER_SECONDS = 8.0
"""For a server that is frozen: one that lives ends a statement after 6 s, and a wait for a lock after 3."""
_SETTINGS = {
    "default_transaction_isolation": "read committed",
    "enable_seqscan": "off",  # a plan made on a young table stays right when the table has grown
    "jit": "off",
    "lock_timeout": "3s",
    "statement_timeout": "6s",
    "synchronous_commit": "on",
}
_DEFAULTS: dict[str, Any] = {
    "application_name": "relman",
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}


class Connection(psycopg.Connection[TupleRow]):
    """An autocommitting connection that gives a server up which does not answer."""

    answer_seconds = ANSWER_SECONDS

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for an answer. Raises OperationalError, and is closed, where it does not come in time."""
        try:
            return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)
        except _WaitTimeout:
            if timeout is not None:
                raise
            self.pgconn.finish()  # an answer that comes later belongs to no question
            raise psycopg.OperationalError(f"the server did not answer for {self.answer_seconds:g} s") from None

    @property
    def is_usable(self) -> bool:
        """Whether it can be asked: nobody waits for an answer, and the server has not said good-bye."""
        if self.closed or self.pgconn.transaction_status != TransactionStatus.IDLE:
            return False
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return not poll.poll(0)


class Connections:
    """Connections to one database, made when they are needed and dropped when they are broken. For any thread."""

    def __init__(self, url: str, settings: Mapping[str, str] | None = None) -> None:
        """`settings` are the session's, beside ours. Connects later. Raises ValueError where `url` is no URL."""
        given = _understood(url)
        self._conninfo = make_conninfo("", **(_DEFAULTS | given))
        session = {**_SETTINGS, **(settings or {})}
        self._begin = "; ".join(f"SET {name} = '{value}'" for name, value in session.items()).encode()
        self._idle: deque[Connection] = deque()
        self._closed = False

    def connect(self) -> Connection:
        """A new connection, which is the caller's to close."""
        connection = Connection.connect(self._conninfo, autocommit=True)
        try:
            connection.execute(self._begin)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """Lend a connection to one thread. Where the server was started again since, it is a new one."""
        connection = self._next()
        try:
            yield connection
        finally:
            if connection.is_usable:
                self._idle.append(connection)
            else:
                connection.close()
            if self._closed:
                self.close()

    def close(self) -> None:
        """Close those that nobody has, and the others when they are given back."""
        self._closed = True
        while (connection := self._pop()) is not None:
            connection.close()

    def _next(self) -> Connection:
        while (connection := self._pop()) is not None:
            if connection.is_usable:
                return connection
            connection.close()
        return self.connect()

    def _pop(self) -> Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None


def place(url: str) -> str:
    """Where a database is, without its user and password: HOST:PORT/DATABASE, several hosts with commas between them.

    Raises ValueError where `url` is no URL.
    """
    known = _understood(url)
    hosts = str(known.get("host") or known.get("hostaddr") or "localhost").split(",")
    ports = str(known.get("port") or 5432).split(",")
    ports *= len(hosts) if len(ports) == 1 else 1
    servers = ",".join(f"{host}:{port or 5432}" for host, port in zip(hosts, ports, strict=False))
    return f"{servers}/{known.get('dbname') or known.get('user') or ''}"


def _understood(url: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise ValueError("the store's URL is none; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE") from None
