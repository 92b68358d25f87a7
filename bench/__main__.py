"""`make bench`: commands per second through the gateway, against the unmodified `eventsourcing` library, on SQLite.

Both sides load an aggregate, decide, and append one event durably (WAL, synchronous=FULL), in turns of one run. What
counts is the ratio; absolute figures depend on the machine.
"""

import itertools
import os
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from release_management.adapters.stack.core import Core
from release_management.services.wishes import Wish
from release_management.views import rendered, table

COMMANDS = 640
AGGREGATES = 320
CALLERS = (1, 32)
ROUNDS = 3


class Block(Aggregate):
    """A release that can be blocked and unblocked, as the library writes it."""

    def __init__(self) -> None:
        self.blocked = False

    @event("Toggled")
    def toggle(self) -> None:
        """Block, or lift the block."""
        self.blocked = not self.blocked


class Library:
    """The peer: the library's own application, aggregate and SQLite recorder; callers take its aggregates in turn."""

    def __init__(self, folder: Path) -> None:
        os.environ["PERSISTENCE_MODULE"] = "eventsourcing.sqlite"
        os.environ["SQLITE_DBNAME"] = str(folder / "library.db")
        self._app: Application[UUID] = Application()
        blocks = [Block() for _ in range(AGGREGATES)]
        self._app.save(*blocks)
        self._ids = [block.id for block in blocks]

    def command(self, turn: int) -> None:
        """Load an aggregate, decide, save."""
        block: Block = self._app.repository.get(self._ids[turn % AGGREGATES])
        block.toggle()
        self._app.save(block)

    def close(self) -> None:
        """Release the file."""
        self._app.close()


class Ours:
    """The gateway on the SQLite log; callers take its releases in turn."""

    def __init__(self, folder: Path) -> None:
        self._core = Core(folder / "ours")
        self._blocked = [False] * AGGREGATES
        for number in range(AGGREGATES):
            self._ask("release.create", {"version": f"{number}.0.0", "components": [{"name": "web"}]})

    def command(self, turn: int) -> None:
        """Block a release, or lift the block."""
        number = turn % AGGREGATES
        self._blocked[number] = not self._blocked[number]
        release = f"default@{number}.0.0"
        if self._blocked[number]:
            self._ask("release.block", {"release": release, "reason": "bench"})
        else:
            self._ask("release.unblock", {"release": release})

    def _ask(self, command: str, data: Mapping[str, object]) -> None:
        outcome = self._core.gateway.ask(_wish(command, data)).result()
        assert outcome.first, f"{command} recorded nothing: {outcome.reason}"

    def close(self) -> None:
        """Release the files."""
        self._core.close()


def _wish(command: str, data: Mapping[str, object]) -> Wish:
    return Wish.model_validate(
        {
            "sender": "bench",
            "id": str(uuid.uuid4()),
            "command": command,
            "data": dict(data),
            "actor": "bench",
            "actorkind": "person",
            "actorauth": "asserted",
        }
    )


def per_second(command: Callable[[int], None], callers: int) -> float:
    """How many commands a second so many callers get done."""
    each = COMMANDS // callers

    turns = itertools.count()

    def call() -> None:
        for _ in range(each):
            command(next(turns))

    threads = [threading.Thread(target=call) for _ in range(callers)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return each * callers / (time.perf_counter() - begun)


def main() -> None:
    """Measure both sides in turns, and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        library, ours = Library(Path(folder)), Ours(Path(folder))
        rows = []
        for callers in CALLERS:
            pairs = [(per_second(ours.command, callers), per_second(library.command, callers)) for _ in range(ROUNDS)]
            mine, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
            ratio = statistics.median(a / b for a, b in pairs)
            rows.append((f"commands/s, {callers} caller(s)", f"{mine:,.0f}", f"{theirs:,.0f}", f"{ratio:.2f}"))
        library.close()
        ours.close()
    print(rendered(table("on SQLite, durable", "ours", "eventsourcing", "ratio", rows=rows)))


if __name__ == "__main__":
    main()
