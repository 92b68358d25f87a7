"""Fold a page of records into a build. An event that cannot be folded is parked, with all later ones of its stream."""

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
    """A record that is parsed once, when a projection first needs its events."""

    __slots__ = ("_contents", "_events", "_registry", "recorded")

    def __init__(self, registry: Registry, contents: Contents, recorded: Recorded) -> None:
        """`contents` returns the data that stand beside the record."""
        self.recorded = recorded
        self._registry = registry
        self._contents = contents
        self._events: tuple[Event, ...] | UnreadableRecordError | None = None

    def events(self) -> tuple[Event, ...]:
        """Return the record's events. Raises `UnreadableRecordError`, and the errors of `contents`."""
        if self._events is None:
            try:
                self._events = self._registry.read(self.recorded, self._contents)
            except UnreadableRecordError as error:
                self._events = error
        if isinstance(self._events, UnreadableRecordError):
            raise self._events
        return self._events


class RecordPage:
    """Records that follow one another, for several projections."""

    def __init__(self, registry: Registry, contents: Contents, records: Sequence[Recorded]) -> None:
        self._readings = [RecordReading(registry, contents, recorded) for recorded in records]
        self._changed_names = registry.changed_names

    def concerning(self, projection: Projection) -> list[RecordReading]:
        """Return the records whose events may be among those that the projection names."""
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


def log_parked(poison: Sequence[Parked]) -> None:
    """Log the parked events."""
    for event in poison:
        _log.error("event parked: no later event of its stream is folded until it is unparked", **event._asdict())


def still(connection: Connection) -> dict[tuple[str, int], dict[str, int]]:
    """Return, per build (projection and number), the position of the first parked event of each blocked stream."""
    found: dict[tuple[str, int], dict[str, int]] = {}
    for row in connection.execute(_STILL):
        found.setdefault((row.projection, row.build), {})[row.stream] = row.position
    return found


_STILL = select(
    parked.c.projection, parked.c.build, parked.c.stream, func.min(parked.c.position).label("position")
).group_by(parked.c.projection, parked.c.build, parked.c.stream)


class Folding:
    """Folds a page into one build in the caller's transaction. Afterwards `poison` are the events that failed.

    `still` are the build's blocked streams.
    """

    def __init__(self, connection: Connection, build: Build, still: Mapping[str, int]) -> None:
        self._connection = connection
        self._build = build
        self._still = dict(still)
        self.poison: list[Parked] = []

    def take(self, page: RecordPage) -> None:
        """Fold a page. Raises one of `TROUBLE`, and the log's errors: they are never an event's fault."""
        self._take(page.concerning(self._build.projection))

    def _take(self, page: Sequence[RecordReading]) -> None:
        """Fold; if that fails, fold the halves, until the failing event is found."""
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
        keys_by_table: dict[Table, dict[Key, None]] = {table: {} for table in projection.tables}
        concerned = []
        for reading in page:
            for event in reading.events():
                if names is not None and event.fact.NAME not in names:
                    continue
                named = False
                for table, key in keys(event):
                    keys_by_table[table][key] = None
                    named = True
                if named:
                    concerned.append(event)
        if not concerned:
            return
        with self._connection.begin_nested():
            rows = PageRows(self._connection, self._build.tables)
            for table, some in keys_by_table.items():
                if some:
                    rows.load(table, some)
            for event in concerned:
                fold(event, rows)
            rows.write()

    def _park(self, recorded: Recorded, reason: str) -> Parked:
        event = Parked(
            self._build.projection.name,
            recorded.stream,
            recorded.position,
            recorded.name,
            reason[:2000].replace("\0", "\ufffd"),
        )
        self._connection.execute(
            insert(parked).values(
                projection=event.projection,
                build=self._build.number,
                position=event.position,
                stream=event.stream,
                type=event.type,
                reason=event.reason,
            )
        )
        return event
