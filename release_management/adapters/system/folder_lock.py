"""One owner per folder, and nobody else who may look into it."""

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
"""By any of these names in it a folder is known as ours."""
MOUNTED = frozenset({"nats", "lost+found"})
"""What may be there before we are: the folder of the bus, on a disk of its own, and what a file system makes."""


class FolderBusyError(RelmanError):
    """Another process owns the folder. `pid` is that process, None where it is not known."""

    code = ErrorCode.CONFLICT

    def __init__(self, folder: Path, pid: int | None) -> None:
        """`folder` is the one that was asked for."""
        if pid == os.getpid():
            holder, then = "this very process", "close the other ReleaseManager first"
        else:
            holder, then = "another process" if pid is None else f"the process {pid}", "end that one first"
        super().__init__(f"the folder {folder} is in use by {holder}; {then}, or name another folder")
        self.pid = pid


class FolderOpenError(RelmanError):
    """An existing folder can be read or written by others, and is not ours to close."""

    code = ErrorCode.UNUSABLE

    def __init__(self, folder: Path, why: str) -> None:
        """`why` it is not closed."""
        super().__init__(
            f"the folder {folder} is open to others ({folder.stat().st_mode & 0o777:04o}) and would hold passwords: "
            f"{why}; name a folder of its own, such as {folder / 'relman'}, or close it yourself: chmod 700 {folder}"
        )


def make_private(folder: Path) -> None:
    """Make the folder, for its owner only. One that is there, and is empty or ours, is closed.

    Raises `FolderOpenError` where it cannot be, or holds what is not ours: others may need to get at that.
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
    """The exclusive ownership of a folder, by a lock on the file `lock` in it that holds the owner's pid.

    The system releases the lock when the process ends, however it ends. Children do not hold it, neither
    those that were forked nor those that were started.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the folder, making it if need be, or raise `FolderBusyError` or `FolderOpenError` at once."""
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
        """Give the folder up. Nothing happens where it is not held."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            self.forget()

    def forget(self) -> None:
        """Close this process's handle only; a parent that holds the lock still does."""
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
