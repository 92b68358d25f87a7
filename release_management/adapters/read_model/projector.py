"""The worker that keeps the read models up to date with the log."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.exc import OperationalError

from release_management.adapters.read_model import builds
from release_management.adapters.read_model.builds import Build
from release_management.adapters.read_model.database import reader, writer
from release_management.adapters.read_model.errors import OvertakenError, UnknownProjectionError
from release_management.adapters.read_model.folding import Folding, Parked, Reading, read, still
from release_management.domain.registry import Registry
from release_management.projections.bookkeeping import METADATA, parked
from release_management.projections.catalog import PROJECTIONS
from release_management.projections.projection import Projection
from release_management.services.ports import EventLog

PAGE = 500
TRIES = 5
WAIT_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
Progress = Callable[[str, int, int], None]
"""Told a projection's name, the position that its new build has taken in, and the log's last position."""

_log = structlog.get_logger(__name__)


class Projector:
    """Folds the log into the projections' tables, a page at a time.

    A page's rows and the projection's position commit together, and only where the position is still what it was, so
    that several projectors may work on one database. A projection that is new, or has another version, is built
    from the log's beginning beside the one that answers, and takes its place once it is not behind.
    """

    def __init__(
        self,
        log: EventLog,
        registry: Registry,
        where: str | Path,
        projections: Sequence[Projection] = PROJECTIONS,
        page: int = PAGE,
    ) -> None:
        """`where` is a database URL or the path of a SQLite file, which is made if it does not exist."""
        self._events = log
        self._registry = registry
        self._projections = {projection.name: projection for projection in projections}
        self._page = page
        self._turning = threading.Lock()
        self._writer = writer(where)
        with self._writer.begin() as connection:
            METADATA.create_all(connection)
        self._reader = reader(where)

    def run(self, stop: threading.Event) -> None:
        """Keep up with the log until told to stop. The database's trouble is waited out; everything else is raised."""
        pause = WAIT_SECONDS
        while not stop.is_set():
            try:
                if not self._turn():
                    self._events.wait(self._lowest(), WAIT_SECONDS)
                pause = WAIT_SECONDS
            except OperationalError as error:
                _log.warning("the read models' database does not answer", error=str(error.orig), again_in=pause)
                stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def catch_up(self) -> None:
        """Take in everything that the log has now. Raises `OperationalError` where the database stays in trouble."""
        end = self._events.last_position()
        while self._behind(end):
            _insist(self._turn)

    def rebuild(self, name: str | None = None, progress: Progress | None = None) -> None:
        """Make a projection anew from the log, or all of them; the old rows answer until the new ones are complete.

        Raises `UnknownProjectionError`.
        """
        chosen = list(self._projections) if name is None else [self._named(name).name]
        numbers = {}
        with self._turning, self._writer.begin() as connection:
            for one in chosen:
                numbers[one] = builds.begin(connection, self._projections[one])
        while unfinished := [b for b in self._builds() if not b.live and numbers.get(b.projection.name) == b.number]:
            _insist(self._turn)
            if progress is not None:
                for build in unfinished:
                    progress(build.projection.name, build.position, self._events.last_position())

    def unpark(self, name: str) -> int:
        """Take in what was set aside, in order; how many events are still parked, since they fail again.

        Raises `UnknownProjectionError`.
        """
        projection = self._named(name)
        poison: list[Parked] = []
        with self._turning, self._writer.begin() as connection:
            for build in builds.current(connection, [projection], hold=True):
                mine = (parked.c.projection == name, parked.c.build == build.number)
                positions = connection.execute(select(parked.c.position).where(*mine).order_by(parked.c.position))
                aside = [
                    read(self._registry, recorded)
                    for position in positions.scalars().all()
                    for recorded in self._events.read(position - 1, 1)
                ]
                connection.execute(delete(parked).where(*mine))
                folding = Folding(connection, build, {})
                folding.take(aside)
                poison += folding.poison
            left: int = connection.execute(select(func.count()).where(parked.c.projection == name)).scalar_one()
        _cry(poison)
        return left

    def close(self) -> None:
        """Let go of the database. `run` must have ended."""
        self._writer.dispose()
        self._reader.dispose()

    def _turn(self) -> bool:
        """Move every build by a page, or swap it in if it is complete; whether anything moved."""
        with self._turning:
            abreast: dict[int, list[Build]] = {}
            for build in self._begin_missing(self._builds()):
                abreast.setdefault(build.position, []).append(build)
            moved = False
            for position, together in abreast.items():
                recorded = self._events.read(position, self._page)
                complete = [] if recorded else [build for build in together if not build.live]
                moved = moved or bool(recorded or complete)
                try:
                    if recorded:
                        self._fold(together, [read(self._registry, one) for one in recorded])
                    for build in complete:
                        self._swap(build)
                except OvertakenError:
                    continue
            return moved

    def _fold(self, together: Sequence[Build], page: Sequence[Reading]) -> None:
        """Builds that stand at one position share the reading of the page and the commit."""
        poison: list[Parked] = []
        with self._writer.begin() as connection:
            builds.advance(connection, together, page[-1].recorded.position)
            standing = still(connection)
            for build in together:
                folding = Folding(connection, build, standing.get((build.projection.name, build.number), {}))
                folding.take(page)
                poison += folding.poison
        _cry(poison)

    def _swap(self, build: Build) -> None:
        with self._writer.begin() as connection:
            builds.swap(connection, build)
        _log.debug("projection built", projection=build.projection.name, position=build.position)

    def _begin_missing(self, found: Sequence[Build]) -> list[Build]:
        """The builds, after one was begun for every projection that had none."""
        missing = [it for it in self._projections.values() if all(it is not build.projection for build in found)]
        if not missing:
            return list(found)
        with self._writer.begin() as connection:
            begun = [build.projection for build in builds.current(connection, missing)]
            for projection in missing:
                if projection not in begun:
                    builds.begin(connection, projection)
        return self._builds()

    def _builds(self) -> list[Build]:
        with self._reader.begin() as connection:
            return builds.current(connection, self._projections.values())

    def _behind(self, end: int) -> bool:
        live = {build.projection.name: build.position for build in self._builds() if build.live}
        return any(live.get(name, -1) < end for name in self._projections)

    def _lowest(self) -> int:
        return min((build.position for build in self._builds()), default=0)

    def _named(self, name: str) -> Projection:
        if name not in self._projections:
            known = ", ".join(self._projections)
            raise UnknownProjectionError(f"there is no projection {name!r}; there are {known}")
        return self._projections[name]


def _insist(turn: Callable[[], bool]) -> None:
    """Try again where the database is in trouble, a few times."""
    for attempt in range(1, TRIES + 1):
        try:
            turn()
            return
        except OperationalError:
            if attempt == TRIES:
                raise
            time.sleep(0.02 * 2**attempt)


def _cry(poison: Sequence[Parked]) -> None:
    for it in poison:
        _log.error(
            "event parked: its stream stands still in this projection until it is unparked",
            projection=it.projection,
            stream=it.stream,
            position=it.position,
            type=it.type,
            reason=it.reason,
        )
