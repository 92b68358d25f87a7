"""The backends of the read models' contract tests."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Engine, Integer, MetaData, Table, Text, select

from release_management.adapters.read_model import Projector, ReadStore
from release_management.adapters.read_model.database import reader
from release_management.domain.release import ReleaseBlocked
from release_management.kernel.record import Event
from release_management.projections.catalog import PROJECTIONS
from release_management.projections.kit.projection import (
    Key,
    Projection,
    Rows,
)
from release_management.projections.kit.query import Nothing, Query
from tests.projections.event_script import (
    REGISTRY,
    EventScript,
    sealed,
)
from tests.servers.postgres import Databases

Where = Path | str
"""The path of a SQLite file, or a PostgreSQL database's URL."""


@dataclass
class Backend:
    """A backend of read models; each database is new."""

    name: str
    folder: Path
    server: Databases | None = None
    _opened: list[Projector | ReadStore | Engine] = field(default_factory=list)
    _made: int = 0

    def place(self) -> Where:
        if self.server is not None:
            return self.server.new_database()
        self._made += 1
        return self.folder / f"{self._made}.db"

    def projector(self, script: EventScript, where: Where, *projections: Projection, page: int = 500) -> Projector:
        it = Projector(script.log, REGISTRY, where, projections or PROJECTIONS, page)
        self._opened.append(it)
        return it

    def store(self, where: Where, *projections: Projection) -> ReadStore:
        queries = {it.name: _rows_of(it) for it in projections}
        it = ReadStore(where, projections, queries) if projections else ReadStore(where)
        self._opened.append(it)
        return it

    def engine(self, engine: Engine) -> Engine:
        self._opened.append(engine)
        return engine

    def close(self) -> None:
        for it in self._opened:
            it.dispose() if isinstance(it, Engine) else it.close()


def _rows_of(projection: Projection) -> Query[Nothing]:
    return Query(projection.name, "Every row.", Nothing, (projection,), lambda _: select(projection.tables[0]))


counts = Table("counts", MetaData(), Column("stream", Text, primary_key=True), Column("events", Integer))


def counting(
    fail: Callable[[Event], bool] = lambda _: False, *, version: int = 1, by: int = 1, slow: float = 0.0
) -> Projection:
    """Counts the events of each stream, unless it is to fail."""

    def keys(event: Event) -> Iterable[tuple[Table, Key]]:
        yield counts, (event.stream,)

    def fold(event: Event, rows: Rows) -> None:
        if slow:
            time.sleep(slow)
        if fail(event):
            raise ValueError("no way")
        row = rows.get(counts, (event.stream,)) or {"events": 0}
        rows.put(counts, (event.stream,), events=row["events"] + by)

    return Projection("counts", version, (counts,), None, keys, fold, local=True)


def counted(store: ReadStore, **of: Any) -> dict[str, int]:
    return {row["stream"]: row["events"] for row in store.ask("counts", **of)}


def busy(script: EventScript, plot: Iterable[int]) -> EventScript:
    """Releases and deployments that go on side by side, as the plot says."""
    for turn, choice in enumerate(plot):
        id = f"d-{choice % 3}"
        state = script.state(id)
        if choice == 9:
            ref = script.release(f"1.{turn}.0")
            script.tell(f"release:{ref}", ReleaseBlocked(reason=sealed("x")))
        elif not state.id:
            script.planned(id)
            script.started(id)
        elif state.ended or choice == 8:
            script.ask_approval(id, f"a-{turn}")
        elif choice == 7:
            script.aborted(id)
        elif not script.reported(id, "failed" if choice == 6 else "succeeded") and state.phase == "Paused":
            script.promoted(id)
    return script


def everything(where: Where, projections: Sequence[Projection] = PROJECTIONS) -> dict[str, list[Any]]:
    """Every row of every projection."""
    engine = reader(where)
    with engine.begin() as connection:
        rows = {
            table.name: sorted(map(repr, connection.execute(select(table)).all()))
            for projection in projections
            for table in projection.tables
        }
    engine.dispose()
    return rows
