"""A lock beside each target: one writer at a time, also between processes, which never waits for a stopped one.

The lock is a POSIX record lock (fcntl) on a file of the component's folder, which only its owner can open. A state's
lock is held for one short critical section at a time: read the state, compare the fence, do what is due, write the
state. No code waits for health, for requests to finish or for a process to end while holding it. Longer work takes its
`turn` with a lock of its own.

What if an executor is stopped (SIGSTOP, Ctrl-Z)?

- Outside a section it holds nothing. When it wakes up, its next section reads the state anew: its order's fence is
  then below the one recorded, so the order is *stale*; and what it does is only ever what the state intends *now*.
- Inside a section it holds the lock, and may wake up between any two instructions, for instance between building a
  command and writing it to HAProxy's socket. No check of its own can help it there. So a successor that finds the
  lock held asks the kernel which process holds it (F_GETLK). If that process has been stopped for `STOPPED_FOR`, it
  is killed with SIGKILL and can never act again. The kernel's answer that it holds this very file proves that it is
  an executor of ours; psutil compares its start time before the kill. All of the executor is built to be killed at
  any instruction.

A holder that runs, or is held by a debugger, is waited for and never killed; after `PATIENCE` the waiter gives up with
`LockHeld`. A waiter for a turn names its own patience.

Record locks are dropped when their process closes any descriptor of the file, and do not exclude threads; so a mutex
per path stands in front, and nothing else opens the file.
"""

import asyncio
import fcntl
import os
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil

PATIENCE = 30.0
STOPPED_FOR = 0.3
_POLL = 0.01
_BSD = sys.platform in ("darwin", "freebsd")
_FLOCK = struct.Struct("qqihh" if _BSD else "hhqqi")
_mutexes: dict[str, threading.Lock] = {}


class LockHeld(Exception):
    """Another process holds the component's lock."""


@contextmanager
def exclusive(path: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock file at `path` for one critical section. Raises `LockHeld` after `patience` seconds."""
    claim = _Claim(path)
    give_up = time.monotonic() + patience
    try:
        while not claim.attempt():
            if time.monotonic() >= give_up:
                raise LockHeld(f"{claim.holder} has held {path.name} for {patience:g} s")
            time.sleep(_POLL)
        yield
    finally:
        claim.release()


@asynccontextmanager
async def turn(path: Path, patience: float) -> AsyncIterator[None]:
    """Hold the lock file at `path` for longer work. Raises `LockHeld` after `patience` seconds."""
    claim = _Claim(path)
    give_up = time.monotonic() + patience
    try:
        while not claim.attempt():
            if time.monotonic() >= give_up:
                raise LockHeld(f"{claim.holder} has held {path.name} for {max(0.0, patience):.4g} s")
            await asyncio.sleep(_POLL)
        yield
    finally:
        claim.release()


class _Claim:
    """One attempt to get a lock. While it fails, `holder` describes the process that holds the lock."""

    def __init__(self, path: Path) -> None:
        self.holder = "nobody"
        self._path = path
        self._mutex = _mutexes.setdefault(os.path.realpath(path), threading.Lock())
        self._descriptor: int | None = None
        self._suspect: psutil.Process | None = None
        self._stopped_since = 0.0

    def attempt(self) -> bool:
        """Take the lock if it is free. Kill a holder that has been stopped for `STOPPED_FOR` seconds."""
        if self._descriptor is None:
            if not self._mutex.acquire(blocking=False):
                self.holder = f"process {os.getpid()}"
                return False
            try:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError:
                self._mutex.release()
                raise
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except (BlockingIOError, PermissionError):
            pid = _holder(self._descriptor)
        self.holder = f"process {pid or 'of another namespace'}"
        now = time.monotonic()
        stopped = _stopped(pid)
        if stopped is None or stopped != self._suspect:
            self._suspect, self._stopped_since = stopped, now
        elif now - self._stopped_since >= STOPPED_FOR and _holder(self._descriptor) == stopped.pid:
            _kill(stopped)
        return False

    def release(self) -> None:
        """Release the lock, or give up the attempt."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._mutex.release()


def _holder(descriptor: int) -> int:
    """Return the pid that holds the lock; 0 if none does, or the kernel does not tell."""
    question = (0, 0, 0, fcntl.F_WRLCK, 0) if _BSD else (fcntl.F_WRLCK, 0, 0, 0, 0)
    answer = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, _FLOCK.pack(*question)))
    kind, pid = (answer[3], answer[2]) if _BSD else (answer[0], answer[4])
    return 0 if kind == fcntl.F_UNLCK or pid < 0 else int(pid)


def _stopped(pid: int) -> psutil.Process | None:
    try:
        process = psutil.Process(pid) if pid else None
        return process if process is not None and process.status() == psutil.STATUS_STOPPED else None
    except psutil.Error:
        return None


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
