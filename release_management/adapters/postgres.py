"""Connections to PostgreSQL that never hang: every statement is answered, or ends in an error within seconds.

Sessions keep advisory locks and LISTEN, so a proxy in between may pool sessions, but not transactions or statements.
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
"""Limit for a frozen server: a live one ends a statement after 6 s, and a wait for a lock after 3."""
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


class PostgresConnection(psycopg.Connection[TupleRow]):
    """An autocommitting connection that is closed if the server does not answer."""

    answer_seconds = ANSWER_SECONDS

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for an answer. If it does not come in time, close the connection and raise OperationalError."""
        try:
            return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)
        except _WaitTimeout:
            if timeout is not None:
                raise
            self.pgconn.finish()  # an answer that comes later would be taken for that of the next statement
            raise psycopg.OperationalError(f"the server did not answer for {self.answer_seconds:g} s") from None

    @property
    def is_usable(self) -> bool:
        """True if the connection can execute a statement: none is running, and the server has not closed it."""
        if self.closed or self.pgconn.transaction_status != TransactionStatus.IDLE:
            return False
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return not poll.poll(0)


class Connections:
    """A pool of connections to one database, opened on demand and dropped when they are broken. Thread-safe."""

    def __init__(self, url: str, settings: Mapping[str, str] | None = None) -> None:
        """`settings` are session settings in addition to ours. Connects later. Raises ValueError if `url` is no URL."""
        parameters = _understood(url)
        self._conninfo = make_conninfo("", **(_DEFAULTS | parameters))
        session = {**_SETTINGS, **(settings or {})}
        self._begin = "; ".join(f"SET {name} = '{value}'" for name, value in session.items()).encode()
        self._idle: deque[PostgresConnection] = deque()
        self._closed = False

    def connect(self) -> PostgresConnection:
        """Open a new connection, which the caller closes."""
        connection = PostgresConnection.connect(self._conninfo, autocommit=True)
        try:
            connection.execute(self._begin)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def lend(self) -> Iterator[PostgresConnection]:
        """Lend a connection to one thread. It is a new one if the server was restarted since."""
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
        """Close the idle connections now, and lent ones when they are returned."""
        self._closed = True
        while (connection := self._pop()) is not None:
            connection.close()

    def _next(self) -> PostgresConnection:
        while (connection := self._pop()) is not None:
            if connection.is_usable:
                return connection
            connection.close()
        return self.connect()

    def _pop(self) -> PostgresConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None


def place(url: str) -> str:
    """Return a database's address without user and password: HOST:PORT/DATABASE, several hosts separated by commas.

    Raises ValueError if `url` is no URL.
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
