"""A disk that becomes full when a test wants it, for one server and its processes.

It is a small file system that only the server's processes see, mounted as root or in a namespace of the user's own.
Where a machine allows neither, the server's files may not grow beyond a limit instead: the kernel refuses the same
writes, with another error. Run as a program, this makes the file system and becomes the server.
"""

import contextlib
import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

MEBIBYTE = 1024 * 1024
LARGEST_FILE = 16 * MEBIBYTE
"""Where the files are limited: as much as a segment of PostgreSQL's write-ahead log has from its beginning."""
_NEWNS, _NEWUSER, _PRIVATE = 0x20000, 0x10000000, 0x44000


class SmallDisk:
    """What lies under `folder`, once it was made, for the processes of one command."""

    def __init__(self, mebibytes: int, *, mounted: bool = True) -> None:
        """`mounted` False: limit the files even where a file system could be mounted."""
        self._size = mebibytes * MEBIBYTE
        self._wants_mounted = mounted
        self._pid = 0

    def make(self, folder: Path, user: int | None = None) -> None:
        """Where it is, and who is to own it."""
        folder.mkdir(parents=True, exist_ok=True)
        if user is not None:
            os.chown(folder, user, -1)
        self.folder = folder
        self._user = os.getuid() if user is None else user

    def within(self, command: Iterable[str | Path]) -> list[str]:
        """The command, to be run with this disk."""
        words = [str(word) for word in command]
        if not self._wants_mounted:
            return words
        return [sys.executable, "-I", __file__, "mount", str(self.folder), str(self._size), str(self._user), *words]

    def belongs_to(self, pid: int) -> None:
        """The process that the command became."""
        self._pid = pid

    @property
    def is_mounted(self) -> bool:
        """Whether the server has a file system of its own there."""
        return self._wants_mounted and os.stat(self._there).st_dev != os.stat(self.folder).st_dev

    def fill(self) -> None:
        """From now on nothing grows."""
        if not self.is_mounted:
            self._limit(LARGEST_FILE)
            return
        with open(self._there / "filler", "wb", buffering=0) as file:
            for size in (MEBIBYTE, 4096):
                try:
                    while file.write(b"\0" * size) == size:
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        """From now on there is room again."""
        if self.is_mounted:
            (self._there / "filler").unlink()
        else:
            self._limit(None)

    @property
    def _there(self) -> Path:
        return Path(f"/proc/{self._pid}/root", *self.folder.parts[1:])

    def _limit(self, size: int | None) -> None:
        """As the server's user: root alone may not do that to others everywhere."""
        import psutil  # which the programs below have not

        server = psutil.Process(self._pid)
        pids = [str(process.pid) for process in (server, *server.children(recursive=True))]
        command = [sys.executable, "-I", __file__, "limit", str(self._user), str(size or 0), *pids]
        subprocess.run(command, check=True)


def _mount(folder: str, size: str, user: str) -> None:
    """Mount it in a namespace of our own, which ends with us."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(_NEWNS | (_NEWUSER if uid else 0)):
        return
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path("/proc/self", name).write_text(text)
    libc.mount(None, b"/", None, _PRIVATE, None)
    libc.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, f"size={size},uid={user},mode=700".encode())


def _limit_as(user: str, size: str, *pids: str) -> None:
    if os.getuid() != int(user):
        os.setgid(int(user))
        os.setuid(int(user))
    for pid in map(int, pids):
        with contextlib.suppress(ProcessLookupError):
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (int(size) or most, most))


if __name__ == "__main__":
    if sys.argv[1] == "limit":
        _limit_as(*sys.argv[2:])
    else:
        _mount(*sys.argv[2:5])
        os.execvp(sys.argv[5], sys.argv[5:])
