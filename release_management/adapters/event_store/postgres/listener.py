"""Follow a log on a thread of its own, so that waiting threads need not poll."""

import collections
import contextlib
import os
import select
import threading
from collections.abc import Callable

from release_management.adapters.event_store.head import Head
from release_management.adapters.event_store.postgres.database import PostgresDatabase
from release_management.adapters.postgres import PostgresConnection

POLL_SECONDS = 1.0
"""Seconds between looks without a notification, and before a new attempt after a lost connection."""


class Listener:
    """Looks at the log at each notification, and each second."""

    def __init__(self, database: PostgresDatabase, head: Head, look: Callable[[], int]) -> None:
        """`look` finds the newest position and moves the head. Starts with the first `start`."""
        self._database = database
        self._head = head
        self._look = look
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to follow. Safe to repeat."""
        with self._starting:
            if self._thread is None and not self._ended.is_set():
                self._awake, self._waking = os.pipe()
                self._thread = threading.Thread(target=self._follow, name="listener", daemon=True)
                self._thread.start()

    def check(self) -> None:
        """Raise the error that keeps the thread from following."""
        failure = self._failure
        if failure is not None:
            raise failure.with_traceback(None)

    def close(self) -> None:
        """End the thread. Safe to repeat."""
        with self._starting:
            self._ended.set()
            if self._thread is not None:
                os.close(self._waking)
                self._thread.join()
                os.close(self._awake)
                self._thread = None

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                with contextlib.closing(self._database.connect()) as connection:
                    self._follow_on(connection)
            except Exception as error:
                self._failure = error
                self._head.wake()
                self._has_notification(None)

    def _follow_on(self, connection: PostgresConnection) -> None:
        with self._database.explained():
            connection.execute("LISTEN relman_log")
            # The first look comes after LISTEN, so that every later commit is notified.
            while not self._ended.is_set():
                self._look()
                self._failure = None
                if self._has_notification(connection):
                    # Anybody may notify, so the payload is ignored.
                    collections.deque(connection.notifies(timeout=0), maxlen=0)

    def _has_notification(self, connection: PostgresConnection | None) -> bool:
        """Wait for a notification, for `POLL_SECONDS`, or for the end; return True for a notification."""
        poll = select.poll()
        poll.register(self._awake, select.POLLIN)
        if connection is not None:
            poll.register(connection.fileno(), select.POLLIN)
        return any(file != self._awake for file, _ in poll.poll(POLL_SECONDS * 1000))
