"""A disk that becomes full when a test wants it, for one server and its processes.

It is a small file system that only the server's processes see, mounted as root or in a namespace of the user's own.
Where a machine allows neither, the server's files may not grow beyond a limit instead: the kernel refuses the same
writes, with another error. Run as a program, this keeps the file system, or becomes a server that sees it.
"""

import contextlib
import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

MEBIBYTE = 1024 * 1024
LARGEST_FILE = 16 * MEBIBYTE
"""The limit of files' sizes: as much as a segment of PostgreSQL's write-ahead log has from its beginning."""
_NEWNS, _NEWUSER, _PRIVATE = 0x20000, 0x10000000, 0x44000


class SmallDisk:
    """A small disk under `folder`, once it was made, for the processes of one command. It stays until it is closed."""

    def __init__(self, mebibytes: int, *, mounted: bool = True, largest_file: int = LARGEST_FILE) -> None:
        """`mounted` False: limit the files even where a file system could be mounted."""
        self._size = mebibytes * MEBIBYTE
        self._largest_file = largest_file
        self._wants_mounted = mounted
        self._keeper: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def make(self, folder: Path, user: int | None = None) -> None:
        """Make the disk at a folder, with its owner."""
        folder.mkdir(parents=True, exist_ok=True)
        if user is not None:
            os.chown(folder, user, -1)
        self.folder = folder
        self._user = os.getuid() if user is None else user
        if not self._wants_mounted:
            return
        command = [sys.executable, "-I", __file__, "keep", str(folder), str(self._size), str(self._user)]
        self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._keeper.stdout is not None
        if self._keeper.stdout.readline() != b"mounted\n":
            self.close()

    def close(self) -> None:
        """Forget it, once nobody uses it any more. Safe to repeat."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.communicate()

    def within(self, command: Iterable[str | Path]) -> list[str]:
        """The command, to be run with this disk."""
        words = [str(word) for word in command]
        if self._keeper is None:
            return words
        return [sys.executable, "-I", __file__, "enter", str(self._keeper.pid), *words]

    def belongs_to(self, pid: int) -> None:
        """The process that the command became."""
        self._pid = pid

    @property
    def is_mounted(self) -> bool:
        """Return True if it is a file system of its own."""
        return self._keeper is not None

    def fill(self) -> None:
        """From now on nothing grows."""
        if not self.is_mounted:
            self._limit(self._largest_file)
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
        assert self._keeper is not None
        return Path(f"/proc/{self._keeper.pid}/root", *self.folder.parts[1:])

    def _limit(self, size: int | None) -> None:
        """As the server's user: root alone may not do that to others everywhere. A server that has ended needs none."""
        import psutil  # which the programs below have not

        try:
            server = psutil.Process(self._pid)
            pids = [str(process.pid) for process in (server, *server.children(recursive=True))]
        except psutil.NoSuchProcess:
            return
        command = [sys.executable, "-I", __file__, "limit", str(self._user), str(size or 0), *pids]
        subprocess.run(command, check=True)


def _keep(folder: str, size: str, user: str) -> None:
    """Mount it in a namespace of our own, which is there as long as we are."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    mounted = not libc.unshare(_NEWNS | (_NEWUSER if uid else 0))
    if mounted and uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path("/proc/self", name).write_text(text)
    options = f"size={size},uid={user},mode=700".encode()
    mounted = mounted and not libc.mount(None, b"/", None, _PRIVATE, None)
    mounted = mounted and not libc.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, options)
    print("mounted" if mounted else "not", flush=True)
    sys.stdin.read()


def _enter(keeper: str, *command: str) -> None:
    """Become a command that sees what the keeper sees."""
    libc = ctypes.CDLL(None, use_errno=True)
    for kind in ("user", "mnt") if os.getuid() else ("mnt",):
        with open(f"/proc/{keeper}/ns/{kind}") as namespace:
            if libc.setns(namespace.fileno(), 0):
                raise OSError(ctypes.get_errno(), f"the disk of {keeper} cannot be entered")
    os.execvp(command[0], command)


def _limit_as(user: str, size: str, *pids: str) -> None:
    if os.getuid() != int(user):
        os.setgid(int(user))
        os.setuid(int(user))
    for pid in map(int, pids):
        with contextlib.suppress(ProcessLookupError):
            _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (int(size) or most, most))


if __name__ == "__main__":
    programs: dict[str, Callable[..., None]] = {"keep": _keep, "enter": _enter, "limit": _limit_as}
    programs[sys.argv[1]](*sys.argv[2:])
