"""A real `relman up` in a folder of its own, on the measured store."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.conditions import Store
from release_management.adapters.nats.wire.urls import read_url

START_SECONDS = 60.0


@contextlib.contextmanager
def running(store: Store) -> Iterator[tuple[str, int]]:
    """Yield the message bus's URL and the process id of a `relman up`, and stop it afterwards."""
    folder = store.home.folder
    folder.mkdir(parents=True, exist_ok=True)
    log = (store.folder / "up.log").open("wb")
    command = [sys.executable, "-m", "release_management.cli", "up", "--data", str(folder)]
    if store.ours is not None:
        command += ["--store", store.ours]
    process = subprocess.Popen(command, cwd=store.folder, stdout=log, stderr=log, start_new_session=True)
    try:
        yield _ready(process, folder, Path(log.name)), process.pid
    finally:
        process.terminate()
        process.wait(90)
        log.close()


def _ready(process: subprocess.Popen[bytes], folder: Path, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if b"relman is up" in log.read_bytes() and (url := read_url(folder)) is not None:
            return url
        time.sleep(0.1)
    raise RuntimeError(f"relman up did not start: {log.read_text()[-2000:]}")


def megabytes(pid: int) -> float:
    """Return the resident memory of a process and of all its descendants."""
    main = psutil.Process(pid)
    total = 0
    for process in [main, *main.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / 1e6
