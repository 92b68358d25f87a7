"""The data folder is locked by one process, and private to its owner."""

import errno
import fcntl
import os
import weakref
from pathlib import Path
from types import TracebackType
from typing import Self

from release_management.adapters.system.error_paths import naming
from release_management.kernel.errors import ErrorCode, RelmanError

OURS = frozenset({"lock", "log.db", "store.url", "targets", "logs"})
"""A folder that contains any of these names is ours."""
MOUNTED = frozenset({"nats", "lost+found"})
"""Names that a new folder may contain: the bus's folder, on a disk of its own, and what a file system creates."""


class FolderBusyError(RelmanError):
    """Another process owns the folder. `pid` is that process, or None if it is not known."""

    code = ErrorCode.CONFLICT

    def __init__(self, folder: Path, pid: int | None) -> None:
        """`folder` is the folder that is in use."""
        if pid == os.getpid():
            holder, advice = "this very process", "close the other ReleaseManager first"
        else:
            holder, advice = "another process" if pid is None else f"the process {pid}", "end that one first"
        super().__init__(f"the folder {folder} is in use by {holder}; {advice}, or name another folder")
        self.pid = pid


class FolderOpenError(RelmanError):
    """An existing folder can be read or written by others, and its mode cannot be changed by us."""

    code = ErrorCode.UNUSABLE

    def __init__(self, folder: Path, reason: str) -> None:
        """`reason` says why the mode was not changed."""
        super().__init__(
            f"the folder {folder} is open to others ({folder.stat().st_mode & 0o777:04o}) and would hold passwords: "
            f"{reason}; name a folder of its own, such as {folder / 'relman'}, or close it yourself: chmod 700 {folder}"
        )


def make_private(folder: Path) -> None:
    """Create the folder with access for its owner only; take others' access away from an empty folder, or one of ours.

    Raises `FolderOpenError` if the mode cannot be changed, or if the folder holds other files, which others may need.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not folder.stat().st_mode & 0o077:
        return
    names = {each.name for each in folder.iterdir()}
    if names - MOUNTED and not names & OURS:
        raise FolderOpenError(folder, f"it holds other things, {min(names - MOUNTED)} among them")
    try:
        folder.chmod(0o700)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise FolderOpenError(folder, f"it cannot be closed ({error.strerror})") from None


class FolderLock:
    """The exclusive ownership of a folder, by a lock on its file `lock`, which contains the owner's pid.

    The system releases the lock when the process ends, however it ends. Children do not hold it, neither forked ones
    nor started ones.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._file: int | None = None

    def acquire(self) -> None:
        """Lock the folder, creating it if need be; raise `FolderBusyError` or `FolderOpenError` at once."""
        make_private(self._folder)
        file = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(file, 20).decode(errors="replace").strip()
            os.close(file)
            raise FolderBusyError(self._folder, int(pid) if pid.isdecimal() else None) from None
        with naming(self._folder / "lock"):
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file
        _held.add(self)

    def release(self) -> None:
        """Release the lock. Does nothing if it is not held."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            self.forget()

    def forget(self) -> None:
        """Close this process's handle only; a parent that holds the lock still holds it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            _held.discard(self)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


_held: weakref.WeakSet[FolderLock] = weakref.WeakSet()


def _forget_in_child() -> None:
    for lock in list(_held):
        lock.forget()


# A forked child shares the parent's lock, and would keep it after a kill -9 of the parent.
os.register_at_fork(after_in_child=_forget_in_child)
