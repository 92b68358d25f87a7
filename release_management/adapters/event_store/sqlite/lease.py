"""A lease on a locked file beside the store, which the system unlocks when its holder dies.

Each holder has a file of its own, with its number in the name, and touches it whenever it checks that it still holds
the role. So a holder that hangs can be replaced too: no clocks are compared, only whether the file's time changes while
a follower watches.
"""

import contextlib
import fcntl
import os
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from release_management.adapters.event_store.errors import StoreUnavailableError
from release_management.adapters.event_store.sqlite.database import SQLiteDatabase
from release_management.adapters.event_store.sqlite.tables import lease_number

SILENT_SECONDS = 4.0
"""Seconds for which a holder may be silent before another may replace it."""
_ROLE = re.compile(r"[a-z][a-z0-9-]{0,62}")


@dataclass(slots=True)
class Watch:
    """A follower's observation of a role's holder: the newest number and touch time, and when they last changed."""

    seen: tuple[int, int] = (0, 0)
    since: float = field(default_factory=time.monotonic)

    def is_silent(self, number: int, touched: int) -> bool:
        """Return True if the holder with this number and touch time has not changed for `SILENT_SECONDS`."""
        if (number, touched) != self.seen:
            self.seen, self.since = (number, touched), time.monotonic()
        return time.monotonic() - self.since > SILENT_SECONDS


class SQLiteLease:
    """The `Lease` port for processes of one machine."""

    def __init__(self, database: SQLiteDatabase, file: int, role: str, number: int) -> None:
        """Use `take`."""
        self._database = database
        self._file: int | None = file
        self._closing = threading.Lock()
        self._role = role
        self._number = number

    @classmethod
    def take(cls, database: SQLiteDatabase, role: str, watch: Watch) -> "SQLiteLease | None":
        """Replace a holder that is dead, or silent according to the `watch`; return None if it is neither.

        Raises `StoreUnavailableError`, and ValueError for a role that cannot be in a file's name.
        """
        if not _ROLE.fullmatch(role):
            raise ValueError(f"{role!r} is no role; write 1 to 63 of a-z, 0-9 and '-', beginning with a letter")
        before = _number(database, role)
        earlier, own = _path(database, role, before), _path(database, role, before + 1)
        try:
            if before and _is_alive(earlier, before, watch):
                return None
            file = os.open(own, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailableError(f"{own} cannot be locked ({error}): its folder must be writable") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with database.transaction() as connection:
                raised = connection.execute(
                    "INSERT INTO leases SELECT ?, ? WHERE ? ="
                    " (SELECT coalesce(max(number), 0) FROM leases WHERE role = ?)"
                    " ON CONFLICT (role) DO UPDATE SET number = excluded.number",
                    (role, before + 1, before, role),
                ).rowcount
        except BlockingIOError:
            raised = 0
        except BaseException:
            os.close(file)
            raise
        if not raised:
            os.close(file)
            return None
        earlier.unlink(missing_ok=True)
        return cls(database, file, role, before + 1)

    @property
    def role(self) -> str:
        """The leased role."""
        return self._role

    @property
    def number(self) -> int:
        """The number of this lease, which rises with every holder of the role."""
        return self._number

    def is_held(self) -> bool:
        """Return True if no other process has replaced us, and we have not released it. The call keeps it alive.

        Raises `StoreUnavailableError`.
        """
        with self._closing:
            if self._file is None:
                return False
            try:
                os.utime(self._file)
            except OSError as error:
                own = _path(self._database, self._role, self._number)
                raise StoreUnavailableError(f"{own} cannot be touched ({error}): its disk must work") from error
        if _number(self._database, self._role) == self._number:
            return True
        self.release()
        return False

    def release(self) -> None:
        """Let another process take the role. Safe to repeat."""
        with self._closing:
            if self._file is not None:
                os.close(self._file)
                self._file = None


def _is_alive(path: Path, number: int, watch: Watch) -> bool:
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    with contextlib.closing(os.fdopen(file)) as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return not watch.is_silent(number, os.stat(file).st_mtime_ns)
    return False


def _path(database: SQLiteDatabase, role: str, number: int) -> Path:
    return database.path.with_name(f"{database.path.name}.{role}.{number}.lock")


def _number(database: SQLiteDatabase, role: str) -> int:
    with database.reading() as connection:
        return lease_number(connection, role)
