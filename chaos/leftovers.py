"""Find the processes that an act left running."""

import os
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

PATIENCE_SECONDS = 2.0
"""Seconds that a process may take to end after it was told to, or has lost its parent."""


def leftovers(folder: Path, deployments: Collection[str] = (), patience: float = PATIENCE_SECONDS) -> list[str]:
    """Return the processes that still work in an act's folder, or for one of its deployments, with the reason.

    A role and a server have the folder in their command line, their working directory or `RELMAN_DATA`; a program of
    the executor's has `RELMAN_INSTANCE` and its deployment in its environment, wherever it has gone.
    """
    give_up = time.monotonic() + patience
    while found := _found(folder, deployments):
        if time.monotonic() >= give_up:
            break
        time.sleep(0.05)
    return found


def _found(folder: Path, deployments: Collection[str]) -> list[str]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if how := _ties(process, folder, deployments):
                found.append(f"{process.pid} ({', '.join(how)}): {' '.join(process.cmdline())[:200]}")
    return found


def _ties(process: psutil.Process, folder: Path, deployments: Collection[str]) -> list[str]:
    """Return the ties of a process to the act. Of another user's process only some can be read."""
    words: list[str] = []
    directory = ""
    variables: Mapping[str, str] = {}
    with suppress(psutil.AccessDenied):
        words = process.cmdline()
    with suppress(psutil.AccessDenied):
        directory = process.cwd()
    with suppress(psutil.AccessDenied):
        variables = process.environ()
    ours = "RELMAN_INSTANCE" in variables and variables.get("RELMAN_DEPLOYMENT") in deployments
    ties = {
        "command line": any(_inside(word, folder) for word in words),
        "working directory": _inside(directory, folder),
        "RELMAN_DATA": _inside(variables.get("RELMAN_DATA", ""), folder),
        "RELMAN_INSTANCE": ours,
    }
    return [name for name, tied in ties.items() if tied]


def _inside(text: str, folder: Path) -> bool:
    """Return True if a text names the folder, also by its real path, which the kernel and servers use."""
    return any(f"{each}/" in f"{text}/" for each in (folder, folder.resolve()))
