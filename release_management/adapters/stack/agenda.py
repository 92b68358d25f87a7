"""The agenda as a projection of the road's own."""

from pathlib import Path
from typing import Any

from release_management.adapters.read_model import Projector, ReadStore
from release_management.domain.registry import Registry
from release_management.projections import agenda
from release_management.projections.queries import Nothing, Query
from release_management.services.ports import EventLog

SCHEMA = "relman_agenda"
QUERIES = {"agenda": Query("agenda", Nothing, (agenda.PROJECTION,), lambda asked: agenda.all_items())}


class ProjectedAgenda:
    """Folds the log into the agenda's rows, and reads them.

    `where` is a SQLite file, or the URL of a PostgreSQL database.
    """

    def __init__(self, log: EventLog, registry: Registry, where: str | Path) -> None:
        self._projector = Projector(log, registry, where, [agenda.PROJECTION], schema=SCHEMA)
        self._store = ReadStore(where, [agenda.PROJECTION], QUERIES, schema=SCHEMA)

    def catch_up(self) -> int:
        """Fold what the log has; returns the position reached."""
        self._projector.catch_up()
        return self._store.position()

    def items(self) -> list[tuple[str, dict[str, Any]]]:
        """Every item with the subject that it belongs to."""
        return [(row["subject"], item) for row in self._store.ask("agenda") for item in row["todo"].values()]

    def close(self) -> None:
        """Release the file."""
        self._store.close()
        self._projector.close()
