"""The agenda as a projection of the road's own."""

from pathlib import Path
from typing import Any

from release_management.adapters.read_model import Projector, ReadStore
from release_management.domain.registry import Registry
from release_management.projections import agenda
from release_management.projections.bookkeeping import set_aside
from release_management.projections.queries import Nothing, Query
from release_management.services import measures
from release_management.services.ports import EventLog

SCHEMA = "relman_agenda"
QUERIES = {
    "agenda": Query("agenda", Nothing, (agenda.PROJECTION,), lambda asked: agenda.all_items()),
    "parked": Query("parked", Nothing, (), lambda asked: set_aside()),
}
KEPT_EVERY = 5_000
"""Records that do not concern the agenda are passed over without a word to the database; this many at most."""


class ProjectedAgenda:
    """Folds the log into the agenda's rows, and reads them. One thread at a time.

    `where` is a SQLite file, or the URL of a PostgreSQL database.
    """

    def __init__(self, log: EventLog, registry: Registry, where: str | Path) -> None:
        self._log = log
        self._concerned = (agenda.PROJECTION.names or frozenset()) | registry.changed_names
        self._projector = Projector(log, registry, where, [agenda.PROJECTION], schema=SCHEMA)
        self._store = ReadStore(where, [agenda.PROJECTION], QUERIES, schema=SCHEMA)
        self._items: list[tuple[str, dict[str, Any]]] = []
        self._trouble: str | None = None
        self._seen = self._kept = -1

    def catch_up(self) -> int:
        """Take in what the log has; returns the position reached."""
        if self._seen < 0:
            return self._fold()
        while records := self._log.read(self._seen):
            if any(record.name in self._concerned for record in records):
                return self._fold()
            self._seen = records[-1].position
            if self._seen - self._kept >= KEPT_EVERY:
                return self._fold()
        return self._seen

    def items(self) -> list[tuple[str, dict[str, Any]]]:
        """Every item with the subject that it belongs to, as of the last `catch_up`."""
        return self._items

    @property
    def trouble(self) -> str | None:
        """What it has set aside, as of the last `catch_up`."""
        return self._trouble

    def close(self) -> None:
        """Release the file."""
        self._store.close()
        self._projector.close()

    def _fold(self) -> int:
        self._projector.catch_up()
        position = self._store.position()
        self._items = [(row["subject"], item) for row in self._store.ask("agenda") for item in row["todo"].values()]
        parked = self._store.ask("parked")
        measures.PROJECTION_PARKED.labels(agenda.PROJECTION.name).set(sum(row["events"] for row in parked))
        self._trouble = _said(parked) if parked else None
        self._seen = self._kept = position
        return position


def _said(parked: list[dict[str, Any]]) -> str:
    first = parked[0]
    streams = "1 stream of events is" if len(parked) == 1 else f"{len(parked):,} streams of events are"
    where = f"{first['stream']} from position {first['position']} on ({first['reason']})"
    return f"{streams} set aside, and nothing is done there: {where}; this is tried again at the next start"
