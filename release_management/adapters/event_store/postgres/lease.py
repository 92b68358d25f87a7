"""A lease on a session of the server: a silent holder loses it, and the server alone measures the time."""

import contextlib
import threading

import psycopg

from release_management.adapters.postgres import PostgresConnection

PING_SECONDS = 2.0
"""Seconds for which a holder waits for an answer; less than the 4 s after which the server ends its session."""


class PostgresLease:
    """The `Lease` port on an advisory lock of one session.

    The server ends a session that is idle for 4 s, so a holder that is stopped, hangs or is cut off is replaced like
    one that has died.
    """

    def __init__(self, session: PostgresConnection, role: str, number: int) -> None:
        session.answer_seconds = PING_SECONDS
        self._session = session
        self._asking = threading.Lock()
        self._role = role
        self._number = number

    @property
    def role(self) -> str:
        """The leased role."""
        return self._role

    @property
    def number(self) -> int:
        """The number of this lease, which rises with every holder of the role."""
        return self._number

    def is_held(self) -> bool:
        """Ask the server, which keeps the lease alive. Returns False once the session is gone, for ever."""
        with self._asking:
            try:
                self._session.execute("SELECT 1")
            except psycopg.Error:
                self._session.close()
                return False
            return True

    def release(self) -> None:
        """Let another process take the role. Safe to repeat."""
        with self._asking:
            with contextlib.suppress(psycopg.Error):
                self._session.execute("SELECT pg_advisory_unlock_all()")
            self._session.close()
