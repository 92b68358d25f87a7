"""The agenda as a projection of the road's own."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from release_management.adapters.read_model import Projector, ReadStore
from release_management.domain.record import Recorded
from release_management.domain.registry import Registry
from release_management.domain.words import Value
from release_management.projections import agenda
from release_management.projections.bookkeeping import set_aside
from release_management.projections.queries import AnyQuery, Nothing, Query
from release_management.services import measures
from release_management.services.ports import EventLog

SCHEMA = "relman_agenda"
AT_ONCE = 500
"""Rows that are asked for by their keys in one question."""


class Subject(Value):
    """Whose items."""

    subject: str


class Keys(Value):
    """Which items."""

    keys: tuple[tuple[str, str], ...]


QUERIES: Mapping[str, AnyQuery] = {
    "agenda": Query("agenda", Nothing, (agenda.PROJECTION,), lambda asked: agenda.all_items()),
    "items_of": Query("items_of", Subject, (agenda.PROJECTION,), lambda asked: agenda.items_of(asked.subject)),
    "items": Query("items", Keys, (agenda.PROJECTION,), lambda asked: agenda.these_items(asked.keys)),
    "parked": Query("parked", Nothing, (), lambda asked: set_aside()),
}
KEPT_EVERY = 5_000
"""Records that do not concern the agenda are passed over without a word to the database; this many at most."""


class ProjectedAgenda:
    """Folds the log into the agenda's rows, and keeps up with them. One thread at a time.

    It reads all rows once; then only those that a record has touched, so that a report costs the same whatever is open.

    `where` is a SQLite file, or the URL of a PostgreSQL database.
    """

    def __init__(self, log: EventLog, registry: Registry, where: str | Path) -> None:
        self._log = log
        self._registry = registry
        self._concerned = (agenda.PROJECTION.names or frozenset()) | registry.changed_names
        self._projector = Projector(log, registry, where, [agenda.PROJECTION], schema=SCHEMA)
        self._store = ReadStore(where, [agenda.PROJECTION], QUERIES, schema=SCHEMA)
        self._items: dict[str, dict[str, dict[str, Any]]] = {}
        self._trouble: str | None = None
        self._seen = self._kept = -1

    def catch_up(self) -> int:
        """Take in what the log has; returns the position reached."""
        if self._seen < 0:
            self._fold(None)
        while records := self._log.read(self._seen):
            concerning = [record for record in records if record.name in self._concerned]
            end = records[-1].position
            if concerning or end - self._kept >= KEPT_EVERY:
                self._fold(concerning, end)
            else:
                self._seen = end
        return self._seen

    def items(self) -> list[tuple[str, dict[str, Any]]]:
        """Every item with the subject that it belongs to, as of the last `catch_up`."""
        return [(subject, item) for subject, items in self._items.items() for item in items.values()]

    @property
    def trouble(self) -> str | None:
        """What it has set aside, as of the last `catch_up`."""
        return self._trouble

    def close(self) -> None:
        """Release the file."""
        self._store.close()
        self._projector.close()

    def _fold(self, records: Sequence[Recorded] | None, end: int = 0) -> None:
        """Take in the log up to `end`.

        `records` are those that concern the agenda since the last time; None where nothing was read before.
        """
        self._projector.catch_up()
        position = self._store.position()
        parked = self._store.ask("parked")
        if records is None or parked or self._trouble:
            self._items = {}
            self._take(self._store.ask("agenda"))
        else:
            self._refresh(records)
            position = end
        measures.PROJECTION_PARKED.labels(agenda.PROJECTION.name).set(sum(row["events"] for row in parked))
        self._trouble = _said(parked) if parked else None
        self._seen = self._kept = position

    def _refresh(self, records: Sequence[Recorded]) -> None:
        """Read again what these records have touched."""
        touched: dict[tuple[str, str], None] = {}
        for recorded in records:
            for event in self._registry.read(recorded, self._log.content):
                touched.update((key, None) for _, key in agenda.keys(event))
                if agenda.clears(event):
                    self._items.pop(event.stream, None)
                    self._take(self._store.ask("items_of", {"subject": event.stream}))
        for subject, item in touched:
            self._items.get(subject, {}).pop(item, None)
        keys = list(touched)
        for start in range(0, len(keys), AT_ONCE):
            self._take(self._store.ask("items", {"keys": keys[start : start + AT_ONCE]}))
        self._items = {subject: items for subject, items in self._items.items() if items}

    def _take(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            self._items.setdefault(row["subject"], {})[row["item"]] = row["todo"]


def _said(parked: list[dict[str, Any]]) -> str:
    first = parked[0]
    streams = "1 stream of events is" if len(parked) == 1 else f"{len(parked):,} streams of events are"
    where = f"{first['stream']} from position {first['position']} on ({first['reason']})"
    return f"{streams} set aside, and nothing is done there: {where}; this is tried again at the next start"
