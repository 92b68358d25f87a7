"""Files of a stopped installation, damaged one by one: it must go on as before, or say what is wrong and touch nothing.

The log and the keys are the truth; all other files are made again.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from chaos.installation import ROOT, die_with_us
from release_management.adapters.event_store import EventStoreError, SQLiteEventLog
from release_management.domain.registry import Registry
from release_management.services.ports import LogDamagedError, LogUnavailableError

TRUTH = ("log.db", "private.db")
FILES = (
    *TRUTH,
    "read.db",
    "road.db",
    "nats.url",
    "up.json",
    "nats/users.json",
    "nats/server.conf",
    "lock",
    "log.db-wal",
    "read.db-wal",
    "run/gateway.json",
    "logs",
    "targets",
)
READY_SECONDS = 60.0
STOP_SECONDS = 60.0
Damage = Callable[[Path, random.Random], None]


def emptied(file: Path, chance: random.Random) -> None:
    """Remove all bytes."""
    file.write_bytes(b"")


def torn(file: Path, chance: random.Random) -> None:
    """Remove the second half."""
    content = file.read_bytes() if file.exists() else b""
    file.write_bytes(content[: len(content) // 2])


def scribbled(file: Path, chance: random.Random) -> None:
    """Overwrite the beginning."""
    content = bytearray(file.read_bytes() if file.exists() else b"")
    content[: min(100, len(content))] = chance.randbytes(100)
    file.write_bytes(bytes(content))


def nested(file: Path, chance: random.Random) -> None:
    """Write unexpected JSON."""
    file.write_text(chance.choice(("[" * 100_000, '{"a":1e999}', "[1,null,{}]", "null", '"\\ud800"', "\ufeff{}", "0")))


def displaced(file: Path, chance: random.Random) -> None:
    """Put a folder in its place."""
    file.unlink(missing_ok=True)
    file.mkdir()


DAMAGES: tuple[Damage, ...] = (emptied, torn, scribbled, nested, displaced)


def damages(seed: int, count: int) -> Iterator[tuple[str, Damage]]:
    """Yield the damages: each of the log and the keys, and others at random."""
    yield from ((name, damage) for name in TRUTH for damage in (emptied, torn, scribbled))
    chance = random.Random(f"{seed}/damages")
    for _ in range(max(0, count - 3 * len(TRUTH))):
        yield chance.choice(FILES[len(TRUTH) :]), chance.choice(DAMAGES)


def tried(data: Path, seed: int, count: int) -> Iterator[str]:
    """Yield the faults of a copy of the stopped installation under each damage."""
    before = _positions(data)
    copy = data.with_name("damaged")
    for number, (name, damage) in enumerate(damages(seed, count)):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(data, copy, symlinks=True, ignore=lambda folder, names: _sockets(folder, names))
        file = copy / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            shutil.rmtree(file)
        damage(file, random.Random(f"{seed}/damages/{number}"))
        kept = file.read_bytes() if file.is_file() else b""
        ready, said = _started(copy)
        yield from (f"{name} {damage.__name__}: {text}" for text in judged(ready, said))
        if name in TRUTH and not ready and file.is_file() and file.read_bytes() != kept:
            yield f"{name} {damage.__name__}: it was written to, though it cannot be read"
        if name != "log.db" and (after := _positions(copy)) < before:
            yield f"{name} {damage.__name__}: the log had {before} records, and has {after}"
        if name == "log.db" and ready and _positions(copy) < before:
            yield f"{name} {damage.__name__}: it serves, and records are missing"
    shutil.rmtree(copy, ignore_errors=True)


def judged(ready: bool | None, said: str) -> Iterator[str]:
    """Yield the faults of a start: `ready` is None if it neither served nor gave up."""
    if "Traceback" in said or "fault of ours" in said:
        yield f"it printed a traceback: {said.strip().splitlines()[-1][:200]}"
    if ready is None:
        yield f"it neither serves nor gives up within {READY_SECONDS:g} s: {said[-300:]!r}"
    if ready is False and not said.strip():
        yield "it gave up and said nothing"


def _started(data: Path) -> tuple[bool | None, str]:
    """Start and stop again; return whether it served, and its output."""
    variables: Mapping[str, str] = {name: each for name, each in os.environ.items() if not name.startswith("RELMAN_")}
    output = data.with_name("damaged.log")
    with output.open("wb") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "release_management.cli", "up"],
            cwd=data.parent,
            env={**variables, "PYTHONPATH": str(ROOT), "RELMAN_DATA": str(data)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_us,
        )
    give_up = time.monotonic() + READY_SECONDS
    ready: bool | None = None
    while ready is None and time.monotonic() < give_up:
        if b"relman is up" in output.read_bytes():
            ready = True
        elif up.poll() is not None:
            ready = False
        time.sleep(0.05)
    up.terminate()
    try:
        up.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        up.kill()
        up.wait()
    return ready, output.read_text(errors="replace")


def _positions(data: Path) -> int:
    """Return the number of records in the log; 0 if it cannot be read."""
    with suppress(EventStoreError, LogDamagedError, LogUnavailableError, OSError):
        log = SQLiteEventLog.open(data / "log.db", Registry().knows)
        try:
            return log.last_position()
        finally:
            log.close()
    return 0


def _sockets(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if (Path(folder) / name).is_socket()}
