"""Folding a page of records into a build. What cannot be folded is set aside with everything after it in its stream."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import structlog
from sqlalchemy import Connection, Table, func, insert, select

from release_management.adapters.read_model.builds import Build
from release_management.adapters.read_model.database import TROUBLE
from release_management.adapters.read_model.rows import PageRows
from release_management.domain.registry import Contents, Registry
from release_management.kernel.record import (
    Event,
    Recorded,
    UnreadableRecordError,
)
from release_management.projections.kit.projection import Key, Projection
from release_management.projections.kit.status import parked
from release_management.services.ports import LogDamagedError, LogUnavailableError

_log = structlog.get_logger(__name__)


class RecordReading:
    """A record that is read once, when a projection first asks for its events."""

    __slots__ = ("_contents", "_events", "_registry", "recorded")

    def __init__(self, registry: Registry, contents: Contents, recorded: Recorded) -> None:
        """`contents` are asked for data that stand beside the record."""
        self.recorded = recorded
        self._registry = registry
        self._contents = contents
        self._events: tuple[Event, ...] | UnreadableRecordError | None = None

    def events(self) -> tuple[Event, ...]:
        """Its events. Raises `UnreadableRecordError`, and what `contents` raises."""
        if self._events is None:
            try:
                self._events = self._registry.read(self.recorded, self._contents)
            except UnreadableRecordError as error:
                self._events = error
        if isinstance(self._events, UnreadableRecordError):
            raise self._events
        return self._events


class Page:
    """Records that follow one another, for several projections."""

    def __init__(self, registry: Registry, contents: Contents, records: Sequence[Recorded]) -> None:
        self._readings = [RecordReading(registry, contents, recorded) for recorded in records]
        self._changed_names = registry.changed_names

    def concerning(self, projection: Projection) -> list[RecordReading]:
        """Those whose events may be among the ones that the projection names."""
        if projection.names is None:
            return self._readings
        names = projection.names | self._changed_names
        return [reading for reading in self._readings if reading.recorded.name in names]


class Parked(NamedTuple):
    """An event that could not be folded. The later ones of its stream are parked behind it."""

    projection: str
    stream: str
    position: int
    type: str
    reason: str


def cry(poison: Sequence[Parked]) -> None:
    """Say what was set aside."""
    for it in poison:
        _log.error("event parked: its stream stands still in this projection until it is unparked", **it._asdict())


def still(connection: Connection) -> dict[tuple[str, int], dict[str, int]]:
    """Per build (projection and number), the streams that stand still and the position that each stands at."""
    found: dict[tuple[str, int], dict[str, int]] = {}
    for row in connection.execute(_STILL):
        found.setdefault((row.projection, row.build), {})[row.stream] = row.position
    return found


_STILL = select(
    parked.c.projection, parked.c.build, parked.c.stream, func.min(parked.c.position).label("position")
).group_by(parked.c.projection, parked.c.build, parked.c.stream)


class Folding:
    """A page, folded into one build in the caller's transaction. Afterwards `poison` holds what it stumbled over.

    `still` are the streams that stand still in the build.
    """

    def __init__(self, connection: Connection, build: Build, still: Mapping[str, int]) -> None:
        self._connection = connection
        self._build = build
        self._still = dict(still)
        self.poison: list[Parked] = []

    def take(self, page: Page) -> None:
        """Fold a page. Raises one of `TROUBLE`, and the log's: their trouble is never an event's fault."""
        self._take(page.concerning(self._build.projection))

    def _take(self, page: Sequence[RecordReading]) -> None:
        """Fold; where that fails, the halves, until the event is found that it fails on."""
        clear = page
        if self._still:
            clear = [reading for reading in page if reading.recorded.stream not in self._still]
            for reading in page:
                if (first := self._still.get(reading.recorded.stream)) is not None:
                    self._park(reading.recorded, f"it comes after position {first}, which is parked")
        try:
            self._fold(clear)
        except (*TROUBLE, LogUnavailableError, LogDamagedError):
            raise
        except Exception as error:
            if len(clear) > 1:
                middle = len(clear) // 2
                self._take(clear[:middle])
                self._take(clear[middle:])
                return
            recorded = clear[0].recorded
            self._still[recorded.stream] = recorded.position
            self.poison.append(self._park(recorded, f"{type(error).__name__}: {error}"))

    def _fold(self, page: Sequence[RecordReading]) -> None:
        projection = self._build.projection
        keys, fold, names = projection.keys, projection.fold, projection.names
        wanted: dict[Table, dict[Key, None]] = {table: {} for table in projection.tables}
        concerned = []
        for reading in page:
            for event in reading.events():
                if names is not None and event.fact.NAME not in names:
                    continue
                named = False
                for table, key in keys(event):
                    wanted[table][key] = None
                    named = True
                if named:
                    concerned.append(event)
        if not concerned:
            return
        with self._connection.begin_nested():
            rows = PageRows(self._connection, self._build.tables)
            for table, some in wanted.items():
                if some:
                    rows.load(table, some)
            for event in concerned:
                fold(event, rows)
            rows.write()

    def _park(self, recorded: Recorded, reason: str) -> Parked:
        it = Parked(
            self._build.projection.name,
            recorded.stream,
            recorded.position,
            recorded.name,
            reason[:2000].replace("\0", "\ufffd"),
        )
        self._connection.execute(
            insert(parked).values(
                projection=it.projection,
                build=self._build.number,
                position=it.position,
                stream=it.stream,
                type=it.type,
                reason=it.reason,
            )
        )
        return it
