"""The agenda's projection, in a database of its own, and a copy of it in memory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from release_management.adapters.read_model import Projector, ReadStore
from release_management.domain.agenda import AgendaItem
from release_management.domain.registry import Registry
from release_management.kernel.record import Recorded
from release_management.projections import agenda
from release_management.projections.agenda import Changes, ItemKey
from release_management.projections.kit.query import AnyQuery, Nothing, Query
from release_management.projections.kit.status import set_aside
from release_management.services import telemetry
from release_management.services.ports import EventLog

SCHEMA = "relman_agenda"
QUERIES: Mapping[str, AnyQuery] = {
    "agenda": Query("agenda", "What is to be done.", Nothing, (agenda.PROJECTION,), lambda asked: agenda.all_items()),
    "parked": Query("parked", "What was set aside.", Nothing, (), lambda asked: set_aside()),
}
_ITEM: TypeAdapter[AgendaItem] = TypeAdapter(AgendaItem)
KEPT_EVERY = 5_000
"""Records that do not concern the agenda are skipped without writing to the database; this many at most."""


class ProjectedAgenda:
    """Folds the log into the agenda's rows, and keeps up with it. One thread at a time.

    It reads all rows once; then it changes what each record changes, so that a report costs the same whatever is open.
    `where` is a SQLite file, or the URL of a PostgreSQL database.
    """

    def __init__(self, log: EventLog, registry: Registry, where: str | Path) -> None:
        self._log = log
        self._registry = registry
        self._concerned = (agenda.PROJECTION.names or frozenset()) | registry.changed_names
        self._projector = Projector(log, registry, where, [agenda.PROJECTION], schema=SCHEMA)
        self._store = ReadStore(where, [agenda.PROJECTION], QUERIES, schema=SCHEMA)
        self._items: dict[str, dict[str, AgendaItem]] = {}
        self._changed: set[ItemKey] = set()
        self._parked: dict[str, int] = {}
        self._trouble: str | None = None
        self._seen = self._stored = -1

    def catch_up(self) -> int:
        """Fold the new records of the log; return the position reached."""
        if self._seen < 0:
            self._fold(None)
        while records := self._log.read(self._seen):
            concerning = [record for record in records if record.name in self._concerned]
            end = records[-1].position
            if concerning or end - self._stored >= KEPT_EVERY:
                self._fold(concerning, end)
            else:
                self._seen = end
        return self._seen

    def items(self) -> dict[ItemKey, AgendaItem]:
        """Return every item, as of the last `catch_up`."""
        return {(subject, name): item for subject, items in self._items.items() for name, item in items.items()}

    def changed(self) -> dict[ItemKey, AgendaItem | None]:
        """Return the items that came or changed since the last call, and None for those that went."""
        keys, self._changed = self._changed, set()
        return {(subject, name): self._items.get(subject, {}).get(name) for subject, name in keys}

    @property
    def trouble(self) -> str | None:
        """A sentence on parked streams, as of the last `catch_up`, or None."""
        return self._trouble

    def close(self) -> None:
        """Close the database."""
        self._store.close()
        self._projector.close()

    def _fold(self, records: Sequence[Recorded] | None, end: int = 0) -> None:
        """Fold the log up to `end`.

        `records` are those since the last call that concern the agenda; None if nothing was read before.
        """
        self._projector.catch_up()
        position = self._store.position()
        parked = self._store.ask("parked")
        still = {row["stream"]: row["position"] for row in parked}
        if records is None or self._parked.keys() - still.keys():
            self._read_all()
        else:
            self._take_in(records, still)
            position = end
        telemetry.PROJECTION_PARKED.labels(agenda.PROJECTION.name).set(sum(row["events"] for row in parked))
        self._parked = still
        self._trouble = _parked_trouble(parked) if parked else None
        self._seen = self._stored = position

    def _read_all(self) -> None:
        self._changed |= self.items().keys()
        self._items = {}
        for row in self._store.ask("agenda"):
            self._items.setdefault(row["subject"], {})[row["item"]] = _ITEM.validate_python(row["todo"], strict=False)
        self._changed |= self.items().keys()

    def _take_in(self, records: Sequence[Recorded], still: Mapping[str, int]) -> None:
        """Change the items by these records, as the projection does in its rows.

        `still` are the parked streams, with the position from which on nothing of each is folded.
        """
        for recorded in records:
            if recorded.position >= still.get(recorded.stream, recorded.position + 1):
                continue
            for event in self._registry.read(recorded, self._log.content):
                self._apply(agenda.changes(event))

    def _apply(self, changes: Changes) -> None:
        if changes.cleared is not None:
            removed = self._items.pop(changes.cleared, {})
            self._changed |= {(changes.cleared, name) for name in removed}
        for (subject, name), item in changes.items.items():
            if item is not None:
                self._items.setdefault(subject, {})[name] = item
            elif (items := self._items.get(subject)) is None or items.pop(name, None) is None:
                continue
            elif not items:
                del self._items[subject]
            self._changed.add((subject, name))


def _parked_trouble(parked: list[dict[str, Any]]) -> str:
    first = parked[0]
    streams = "1 stream of events is" if len(parked) == 1 else f"{len(parked):,} streams of events are"
    place = f"{first['stream']} from position {first['position']} on ({first['reason']})"
    return f"{streams} set aside, and nothing is done there: {place}; this is tried again at the next start"
