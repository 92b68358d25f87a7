"""Run a server so that it dies with its parent and is alone on its folder. A program of its own: stdlib only.

`python guard.py <signal|pipe> <lock file> <lock seconds> <parent pid> <command …>`

*signal* (Linux): the kernel ends the server when the thread that started this program ends. *pipe* (elsewhere): this
program stays and ends the server when its standard input is closed. The server inherits the lock, so the folder is free
exactly when no server runs in it, whichever process died.
"""

import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
import time

LOCKED = 75
_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 5.0


def take(path: str, seconds: float) -> int:
    """Lock the file for this process and its descendants; exit with `LOCKED` if another holds it for too long."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                sys.exit(LOCKED)
            time.sleep(0.01)
        else:
            return descriptor


def become(command: list[str], lock: int, parent: int) -> None:
    """Replace this process by the server, which gets SIGTERM when the parent's thread ends."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    os.set_inheritable(lock, True)
    os.execv(command[0], command)


def watch(command: list[str], lock: int) -> int:
    """Start the server and end it when standard input is closed, as by the parent's death."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[lock]) as server:
        while server.poll() is None:
            readable, _, _ = select.select([0], [], [], 0.1)
            if readable and not os.read(0, 1):
                server.terminate()
                try:
                    server.wait(_GRACE_SECONDS)
                except subprocess.TimeoutExpired:
                    server.kill()
                break
    return server.returncode


def main(mode: str, lock_file: str, lock_seconds: str, parent: str, *command: str) -> None:
    """Take the lock and run the server; see the module's docstring."""
    lock = take(lock_file, float(lock_seconds))
    if mode == "signal":
        become(list(command), lock, int(parent))
    else:
        sys.exit(watch(list(command), lock))


if __name__ == "__main__":
    main(*sys.argv[1:])
