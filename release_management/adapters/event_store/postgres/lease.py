"""A role held by a session of the server: whoever falls silent loses it, and the server alone measures the time."""

import contextlib
import threading

import psycopg

from release_management.adapters.postgres import Connection

PING_SECONDS = 2.0
"""How long a holder believes a server that does not answer; less than the 4 s after which its session is ended."""


class PostgresLease:
    """The `Lease` port on an advisory lock of one session.

    The server ends the session when it was not asked anything for 4 s, so a holder that is stopped, hangs or is cut off
    is followed as one is that has died.
    """

    def __init__(self, session: Connection, role: str, number: int) -> None:
        session.answer_seconds = PING_SECONDS
        self._session = session
        self._asking = threading.Lock()
        self._role = role
        self._number = number

    @property
    def role(self) -> str:
        """Which one."""
        return self._role

    @property
    def number(self) -> int:
        """Rises with every holder of the role."""
        return self._number

    def is_held(self) -> bool:
        """Ask the server, which keeps the lease alive. False once the session is gone, for ever."""
        with self._asking:
            try:
                self._session.execute("SELECT 1")
            except psycopg.Error:
                self._session.close()
                return False
            return True

    def release(self) -> None:
        """Let another process have the role. Safe to repeat."""
        with self._asking:
            with contextlib.suppress(psycopg.Error):
                self._session.execute("SELECT pg_advisory_unlock_all()")
            self._session.close()
