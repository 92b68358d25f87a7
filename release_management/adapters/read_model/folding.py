"""Folding a page of records into a build. What cannot be folded is set aside with everything after it in its stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table, func, insert, select
from sqlalchemy.exc import OperationalError

from release_management.adapters.read_model.builds import Build
from release_management.adapters.read_model.rows import PageRows
from release_management.domain.record import Event, Recorded
from release_management.domain.registry import Registry
from release_management.projections.bookkeeping import parked
from release_management.projections.projection import Key


@dataclass(frozen=True, slots=True)
class Reading:
    """A record with its events, or with what kept it from being read."""

    recorded: Recorded
    events: tuple[Event, ...] = ()
    error: Exception | None = None


def read(registry: Registry, recorded: Recorded) -> Reading:
    """Read a record. An unreadable one is no end of the page: it is set aside like one that cannot be folded."""
    try:
        return Reading(recorded, registry.read(recorded))
    except Exception as error:
        return Reading(recorded, error=error)


@dataclass(frozen=True, slots=True)
class Parked:
    """An event that could not be folded. The later ones of its stream are parked behind it."""

    projection: str
    stream: str
    position: int
    type: str
    reason: str


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

    def take(self, page: Sequence[Reading]) -> None:
        """Fold a page; where that fails, its halves, until the event is found that it fails on.

        Raises `OperationalError`: the database's trouble is never an event's fault.
        """
        clear = page
        if self._still:
            clear = [reading for reading in page if reading.recorded.stream not in self._still]
            for reading in page:
                if (first := self._still.get(reading.recorded.stream)) is not None:
                    self._park(reading.recorded, f"it comes after position {first}, which is parked")
        try:
            self._fold(clear)
        except OperationalError:
            raise
        except Exception as error:
            if len(clear) > 1:
                middle = len(clear) // 2
                self.take(clear[:middle])
                self.take(clear[middle:])
                return
            recorded = clear[0].recorded
            self._still[recorded.stream] = recorded.position
            self.poison.append(self._park(recorded, f"{type(error).__name__}: {error}"))

    def _fold(self, page: Sequence[Reading]) -> None:
        projection = self._build.projection
        wanted: dict[Table, dict[Key, None]] = {}
        concerned = []
        for reading in page:
            if reading.error is not None:
                raise reading.error
            for event in reading.events:
                named = list(projection.keys(event))
                for table, key in named:
                    wanted.setdefault(table, {})[key] = None
                if named:
                    concerned.append(event)
        if not concerned:
            return
        with self._connection.begin_nested():
            rows = PageRows(self._connection, self._build.tables)
            for table, keys in wanted.items():
                rows.load(table, keys)
            for event in concerned:
                projection.fold(event, rows)
            rows.write()

    def _park(self, recorded: Recorded, reason: str) -> Parked:
        it = Parked(self._build.projection.name, recorded.stream, recorded.position, recorded.name, reason[:2000])
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
