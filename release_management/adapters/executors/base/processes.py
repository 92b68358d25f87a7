"""Child processes that outlive us: started in a session of their own, identified by pid and start time."""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import psutil

from release_management.adapters.executors.base.folder import Kept
from release_management.adapters.executors.base.masking import MaskedStream, SecretMask
from release_management.adapters.system.log_files import bound

TOKEN = "RELMAN_INSTANCE"
LAST_BYTES = 16 * 1024
"""The bytes at the end of a log that are searched for its last line."""
_CLOCK_SLACK = 0.05
_PATIENCE = 2.0
_children: dict[int, subprocess.Popen[bytes]] = {}


class Process(Kept):
    """A process of ours. Its token is in its environment, so that it is found even if its pid was not recorded."""

    token: str
    pid: int | None = None
    started: float | None = None


def new_token() -> str:
    """Return a name for a process that is about to be started."""
    return secrets.token_hex(12)


def start(
    token: str, argv: list[str], env: Mapping[str, str], log: Path, cwd: str | None = None
) -> tuple[Process, int]:
    """Start a process that survives us, and append its output to `log`; return it with the offset of its output.

    Raises `OSError`.
    """
    with open_log(log) as output:
        begins = os.fstat(output.fileno()).st_size
        child = subprocess.Popen(
            argv,
            env={**env, TOKEN: token},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[child.pid] = child
    return recorded(token, child.pid), begins


def open_log(path: Path) -> BinaryIO:
    """Open a log to append to it; move it aside first if it has grown long. Raises `OSError`."""
    bound(path)
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def recorded(token: str, pid: int) -> Process:
    """Return the record of a process that was just started."""
    return Process(token=token, pid=pid, started=_start_time(pid))


def alive(process: Process | None) -> bool:
    """Return True if the process runs: the pid exists, is no zombie, and has our start time (or carries our token)."""
    if process is None or process.pid is None:
        return False
    child = _children.get(process.pid)
    if child is not None and child.poll() is not None:
        return False
    try:
        seen = psutil.Process(process.pid)
        if seen.status() == psutil.STATUS_ZOMBIE:
            return False
        if process.started is not None and abs(seen.create_time() - process.started) < _CLOCK_SLACK:
            return True
        # psutil derives start times from the wall clock, which may have been set since.
        return seen.environ().get(TOKEN) == process.token
    except psutil.Error:
        return False


def environment(process: Process) -> dict[str, str]:
    """Return the environment of a running process; empty if it cannot be read."""
    try:
        return psutil.Process(process.pid).environ() if alive(process) else {}
    except psutil.Error:
        return {}


def exit_code(process: Process) -> int | None:
    """Return the exit code, negative for a signal; None if it runs, or is not our child."""
    child = _children.get(process.pid or 0)
    return child.poll() if child is not None else None


def describe_exit(code: int | None, last: str | None, seconds: float | None = None) -> str:
    """Describe how a process ended: its exit code or signal, the seconds that it lived, the last line it wrote."""
    ending = "" if code is None else f" with code {code}" if code >= 0 else f" by signal {-code}"
    duration = "" if seconds is None else f" after {max(0.0, seconds):.1f} s"
    return f"exited{ending}{duration}; " + (f'its last line was "{last[:200]}"' if last else "it wrote nothing")


def find(token: str) -> Process | None:
    """Find the process that was started under this token, though its pid was never recorded."""
    for seen in _carrying(token):
        try:
            if os.getsid(seen.pid) == seen.pid:
                return Process(token=token, pid=seen.pid, started=seen.create_time())
        except (psutil.Error, ProcessLookupError):
            continue
    return None


def tell(process: Process, number: signal.Signals) -> None:
    """Send a signal to the process (if it leads a group, to the group), provided that it still is the recorded one."""
    if process.pid is not None and alive(process):
        with suppress(ProcessLookupError):
            (os.killpg if os.getpgid(process.pid) == process.pid else os.kill)(process.pid, number)


def end_leftovers(process: Process | None, spare: Iterable[Process] = ()) -> None:
    """Kill every process that carries the token, and wait until they are gone; those of `spare` go on."""
    if process is None:
        return
    give_up = time.monotonic() + _PATIENCE
    survivors = {each.pid for each in spare if alive(each)}
    while leftovers := [each for each in _leftovers(process) if each.pid not in survivors]:
        for seen in leftovers:
            with suppress(psutil.NoSuchProcess):
                seen.kill()
        while any(map(_runs, leftovers)) and time.monotonic() < give_up:
            time.sleep(0.005)
        if time.monotonic() >= give_up:
            break
    child = _children.get(process.pid or 0)
    if child is not None and child.poll() is not None:
        del _children[child.pid]


def _leftovers(process: Process) -> list[psutil.Process]:
    found = _carrying(process.token)
    if process.pid is not None and alive(process):
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(process.pid))
    return found


def reap() -> None:
    """Reap children that have ended, so that they do not stay as zombies."""
    for child in list(_children.values()):
        child.poll()


def last_line(log: Path, begins: int, secret_mask: SecretMask) -> str | None:
    """Return the last line that was written to a log from byte `begins` on, with secrets redacted."""
    try:
        with log.open("rb") as file:
            begin = max(begins, file.seek(0, os.SEEK_END) - LAST_BYTES)
            file.seek(begin)
            stream = MaskedStream(secret_mask, cut=begin > begins)
            written = stream.add(file.read()) + stream.end()
    except OSError:
        return None
    lines = written.decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else None


def _runs(seen: psutil.Process) -> bool:
    try:
        return seen.is_running() and seen.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _carrying(token: str) -> list[psutil.Process]:
    found = []
    for seen in psutil.process_iter():
        try:
            if seen.environ().get(TOKEN) == token and _runs(seen):
                found.append(seen)
        except psutil.Error:
            continue
    return found


def _start_time(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None
