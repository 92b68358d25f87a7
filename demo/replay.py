"""Rebuild every projection from an export alone, and print the rows.

`python -m demo.replay EXPORT`
"""

import json
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from release_management.adapters.read_model import Projector, ReadStore
from release_management.domain.registry import Registry
from release_management.kernel.record import Recorded, dataref_of
from release_management.projections.queries import QUERIES
from release_management.runtime.program_log import log_errors
from release_management.services.ports import (
    Append,
    CommandKey,
    Lease,
    Snapshot,
    Status,
    StoredOutcome,
)

PAGE = 1000
QUESTIONS = ("running", "environments", "policies", "pipelines", "releases", "deployments", "approvals")


class ExportedLog:
    """A read-only log from an export. A record without its data is followed by a line with its data."""

    store_id = "export"

    def __init__(self, path: Path) -> None:
        self._lines: list[bytes] = []
        self._contents: dict[str, bytes] = {}
        lines = iter(path.read_bytes().splitlines())
        for line in lines:
            self._lines.append(line)
            if (dataref := dataref_of(line)) is not None:
                self._contents[dataref] = next(lines)

    def content(self, dataref: str) -> bytes:
        """Return the data beside a record."""
        return self._contents[dataref]

    def read(self, after: int, limit: int = 500) -> list[Recorded]:
        """Return the records after a position."""
        page = self._lines[after : after + limit]
        return [_recorded(after + offset, line) for offset, line in enumerate(page, 1)]

    def last_position(self) -> int:
        """Return the number of records."""
        return len(self._lines)

    def read_stream(self, stream: str, after: int = 0) -> list[Recorded]:
        """Return the records of one stream."""
        records = self.read(0, len(self._lines))
        return [record for record in records if record.stream == stream and record.version > after]

    def append(self, batch: Sequence[Append], lease: Lease | None = None) -> list[Status]:
        """Refuse the append."""
        raise PermissionError("an export cannot be written")

    def outcomes(self, commands: Collection[CommandKey]) -> dict[CommandKey, StoredOutcome]:
        """Return nothing: an export holds no outcomes."""
        return {}

    def snapshot(self, stream: str, shape: str) -> Snapshot | None:
        """Return None: an export holds no snapshots."""
        return None

    def keep_snapshot(self, stream: str, snapshot: Snapshot) -> None:
        """Refuse the snapshot."""
        raise PermissionError("an export cannot be written")

    def take(self, role: str) -> Lease | None:
        """Refuse the role: no process serves from an export."""
        return None

    def wait(self, after: int, timeout: float) -> bool:
        """Return False: an export never grows."""
        return after < len(self._lines)

    def close(self) -> None:
        """Do nothing: an export needs no closing."""


def _recorded(position: int, line: bytes) -> Recorded:
    document = json.loads(line)
    return Recorded(position, document["subject"], document["streamversion"], document["type"], line)


def rows(store: ReadStore, last: int) -> dict[str, Any]:
    """Return every projection's rows at the position `last`."""
    answers: dict[str, Any] = {name: store.ask(name, {}, last) for name in QUESTIONS}
    answers["trail"] = []
    while True:
        after = answers["trail"][-1]["position"] if answers["trail"] else 0
        page = store.ask("trail", {"order": "oldest", "after": after, "limit": PAGE}, last)
        answers["trail"] += page
        if len(page) < PAGE:
            return answers


def main(export: str) -> None:
    """Replay, and print the rows as JSON."""
    log_errors()
    log = ExportedLog(Path(export))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "read.db"
        projector = Projector(log, Registry(), path)
        projector.catch_up()
        store = ReadStore(path, queries=QUERIES)
        print(json.dumps(rows(store, log.last_position())))
        store.close()
        projector.close()


if __name__ == "__main__":
    main(sys.argv[1])
