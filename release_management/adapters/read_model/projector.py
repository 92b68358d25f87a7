"""The worker that keeps the read models up to date with the log."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import structlog
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.exc import DBAPIError, OperationalError

from release_management.adapters.read_model import builds
from release_management.adapters.read_model.builds import Build
from release_management.adapters.read_model.database import (
    SCHEMA,
    TROUBLE,
    is_locked,
    is_missing,
    make_schema,
    reader,
    writer,
)
from release_management.adapters.read_model.errors import OvertakenError, UnknownProjectionError
from release_management.adapters.read_model.folding import Folding, Parked, Reading, still
from release_management.domain.record import Recorded
from release_management.domain.registry import Registry
from release_management.projections.bookkeeping import parked
from release_management.projections.catalog import PROJECTIONS
from release_management.projections.projection import Projection
from release_management.services.ports import EventLog, LogUnavailableError

PAGE = 500
TRIES = 5
WAIT_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
SWAP_AGAIN_SECONDS = 1.0
Progress = Callable[[str, int, int], None]
"""Told a projection's name, the position that its new build has taken in, and the log's last position."""


class Unparked(NamedTuple):
    """How many events that were set aside have been taken in, and how many still are set aside."""

    taken_in: int
    left: int


T = TypeVar("T")
_log = structlog.get_logger(__name__)


class Projector:
    """Folds the log into the projections' tables, a page at a time.

    A page's rows and the projection's position commit together, and only where the position is still what it was, so
    that several projectors may work on one database. A projection that is new, or has a higher version, is built
    from the log's beginning beside the one that answers, and takes its place once it is not behind. Where the rows were
    made of another log, or of a longer one than there is now, everything is made anew. What an earlier projector has
    parked is tried again, once.
    """

    def __init__(
        self,
        log: EventLog,
        registry: Registry,
        where: str | Path,
        projections: Sequence[Projection] = PROJECTIONS,
        page: int = PAGE,
        schema: str = SCHEMA,
    ) -> None:
        """`where` is a `postgresql://` URL, or the path of a SQLite file, which is made if it does not exist.

        `schema` is made on PostgreSQL if it does not exist. A database that does not answer yet is tried again later.
        """
        self._events = log
        self._registry = registry
        self._projections = {projection.name: projection for projection in projections}
        self._page = page
        self._schema = schema
        self._turning = threading.Lock()
        self._writer = writer(where, schema)
        self._reader = reader(where, schema)
        self._ready = False
        self._swap_after = 0.0
        self._left_alone: set[str] = set()
        self._tried_again = False
        with contextlib.suppress(*TROUBLE):
            self._prepare()

    def run(self, stop: threading.Event) -> None:
        """Keep up with the log until told to stop.

        The trouble of the database and of the log is waited out, loudly; everything else is raised.
        """
        pause = WAIT_SECONDS
        while not stop.is_set():
            try:
                self._try_parked_again()
                if not self._turn():
                    self._events.wait(self._lowest(), WAIT_SECONDS)
                pause = WAIT_SECONDS
            except LogUnavailableError as error:
                _log.warning("the log does not answer", error=str(error), again_in=pause)
            except DBAPIError as error:
                if not self._may_pass(error):
                    raise
                _log.warning("the read models' database does not answer", error=str(error.orig), again_in=pause)
            else:
                continue
            stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def catch_up(self) -> None:
        """Take in everything that the log has now.

        Raises one of `TROUBLE` where the database stays in trouble. What a newer version of the program has made is
        left alone.
        """
        end = self._events.last_position()
        self._complete(self._insist(self._try_parked_again))
        moved = self._insist(self._turn)
        while self._insist(partial(self._is_behind, end)):
            if not moved:
                time.sleep(0.01)
            moved = self._insist(self._turn)

    def rebuild(self, name: str | None = None, progress: Progress | None = None) -> None:
        """Make a projection anew from the log, or all of them; the old rows answer until the new ones are complete.

        Other projectors help. Where somebody else wants the same meanwhile, both wait for the later one's build.
        Raises `UnknownProjectionError`.
        """
        chosen = list(self._projections.values()) if name is None else [self._named(name)]
        self._complete(self._insist(partial(self._begin, chosen)), progress)

    def _complete(self, wanted: dict[str, int], progress: Progress | None = None) -> None:
        """Return once these builds, or later ones of the same projections, answer."""
        while wanted:
            if not self._insist(self._turn):
                time.sleep(0.01)
            found = self._insist(self._builds)
            end = self._events.last_position()
            for one, number in list(wanted.items()):
                mine = [build for build in found if build.projection.name == one and build.number >= number]
                if not mine:
                    wanted |= self._insist(partial(self._begin, [self._projections[one]]))
                elif progress is not None:
                    progress(one, mine[-1].position, end)
                if any(build.live for build in mine):
                    del wanted[one]

    def unpark(self, name: str, stream: str | None = None) -> Unparked:
        """Take in what was set aside, of one stream or of all, in order.

        A stream goes on as far as it can. A projection that is not local is made anew where a stream can go on: of all
        streams, then. Raises `UnknownProjectionError`.
        """
        projection = self._named(name)
        before = self._count_parked(name, stream)
        poison: list[Parked] = []
        moved = False
        for build in self._insist(self._builds):
            if build.projection is projection:
                found, went_on = self._unpark(build, stream)
                poison += found
                moved = moved or went_on
        _cry(poison)
        if moved and not projection.local:
            self.rebuild(name)
        left = self._count_parked(name, stream)
        return Unparked(max(0, before - left), left)

    def close(self) -> None:
        """Let go of the database. `run` must have ended."""
        self._writer.dispose()
        self._reader.dispose()

    def _prepare(self) -> None:
        if self._ready:
            return
        with self._writer.begin() as connection:
            make_schema(connection, self._schema)
            if builds.make_tables(connection):
                _log.warning("the read models were made by an older version of the program: they are made anew")
        self._ready = True

    def _turn(self) -> bool:
        """Move every build by a page, or swap it in if it is complete; whether anything moved."""
        with self._turning:
            self._prepare()
            abreast: dict[int, list[Build]] = {}
            for build in self._begin_missing(self._builds()):
                abreast.setdefault(build.position, []).append(build)
            moved = False
            for position, together in abreast.items():
                # The record that they are at comes along: it must be the one that they have taken in.
                read = self._events.read(max(position - 1, 0), self._page + (position > 0))
                last, page = (read[0] if read else None, read[1:]) if position else (None, read)
                if not all(build.is_of(self._events.store_id, last) for build in together):
                    self._begin_anew(together)
                    return True
                complete = [] if page else [build for build in together if not build.live]
                with contextlib.suppress(OvertakenError):
                    if page:
                        self._fold(together, page)
                        moved = True
                    for build in complete:
                        moved = self._swap(build) or moved
            return moved

    def _fold(self, together: Sequence[Build], records: Sequence[Recorded]) -> None:
        """Builds that stand at one position share the reading of the page and the commit."""
        poison: list[Parked] = []
        page = [Reading(self._registry, recorded) for recorded in records]
        with self._writer.begin() as connection:
            builds.advance(connection, together, records[-1])
            standing = still(connection)
            for build in together:
                folding = Folding(connection, build, standing.get((build.projection.name, build.number), {}))
                folding.take(page)
                poison += folding.poison
        _cry(poison)

    def _swap(self, build: Build) -> bool:
        """Whether it was swapped in; somebody's long question may come before."""
        if time.monotonic() < self._swap_after:
            return False
        try:
            with self._writer.begin() as connection:
                builds.swap(connection, build)
        except OperationalError as error:
            if not is_locked(error):
                raise
            self._swap_after = time.monotonic() + SWAP_AGAIN_SECONDS
            return False
        _log.debug("projection built", projection=build.projection.name, position=build.position)
        return True

    def _begin_missing(self, found: Sequence[Build]) -> list[Build]:
        """The builds, after one was begun for every projection that had none and that no newer program has made."""
        there = {build.projection.name for build in found}
        self._left_alone -= there
        missing = [it for it in self._projections.values() if it.name not in there and it.name not in self._left_alone]
        if not missing:
            return list(found)
        with self._writer.begin() as connection:
            begun = {build.projection.name for build in builds.current(connection, missing)}
            versions = builds.newest_versions(connection)
            for projection in missing:
                newer = versions.get(projection.name, 0)
                if newer > projection.version:
                    self._left_alone.add(projection.name)
                    _log.warning(
                        "a newer version of the program has made this projection; it is left alone",
                        projection=projection.name,
                        version=newer,
                        ours=projection.version,
                    )
                elif projection.name not in begun:
                    builds.begin(connection, projection, self._events.store_id)
        return self._builds()

    def _begin_anew(self, together: Sequence[Build]) -> None:
        """Drop everything that was made of a log that is not, or no longer, this one."""
        build = together[0]
        with self._writer.begin() as connection:
            if build not in builds.current(connection, [build.projection]):
                return
            _log.error(
                "the read models do not fit the log: it is another one, or was put back from an older copy; "
                "they are made anew",
                position=build.position,
                made_of=build.log,
                log=self._events.store_id,
            )
            builds.drop_all(connection)

    def _begin(self, chosen: Sequence[Projection]) -> dict[str, int]:
        """Begin builds beside the live ones, also in place of a newer program's; their numbers."""
        with self._turning:
            self._prepare()
            with self._writer.begin() as connection:
                numbers = {it.name: builds.begin(connection, it, self._events.store_id) for it in chosen}
            self._left_alone -= numbers.keys()
        return numbers

    def _try_parked_again(self) -> dict[str, int]:
        """A newer version of the program may be able to take in what an older one could not.

        The builds that were begun because of that.
        """
        if self._tried_again:
            return {}
        streams = select(parked.c.projection).distinct()
        names = self._in_turn(lambda connection: connection.execute(streams).scalars().all())
        anew: dict[str, Projection] = {}
        for build in self._builds():
            if build.projection.name in names:
                poison, moved = self._unpark(build, None)
                for it in poison:
                    _log.warning("what was parked was tried again, in vain", **it._asdict())
                if moved and not build.projection.local:
                    anew[build.projection.name] = build.projection
        begun = self._begin(list(anew.values())) if anew else {}
        self._tried_again = True
        return begun

    def _count_parked(self, name: str, stream: str | None) -> int:
        mine = select(func.count()).where(parked.c.projection == name)
        asked = mine if stream is None else mine.where(parked.c.stream == stream)
        return int(self._in_turn(lambda connection: connection.execute(asked).scalar_one()))

    def _unpark(self, build: Build, stream: str | None) -> tuple[list[Parked], bool]:
        """What still cannot be taken in, and whether anything else can."""
        mine = (parked.c.projection == build.projection.name, parked.c.build == build.number)
        query = select(parked.c.stream).where(*mine).distinct().order_by(parked.c.stream)
        streams = [stream] if stream is not None else self._in_turn(lambda it: it.execute(query).scalars().all())
        poison: list[Parked] = []
        moved = False
        for one in streams:
            limit = 1
            while limit:
                found = self._insist(partial(self._unpark_some, build, one, limit))
                poison += found.poison
                moved = moved or found.moved
                limit = self._page if found.more and not found.poison else 0
        return poison, moved

    def _unpark_some(self, build: Build, stream: str, limit: int) -> "_Tried":
        """Take in the first parked events of a stream. The first of them alone says whether there is a way.

        Where the projection is not local, that is all that is wanted, and nothing is taken in.
        """
        here = (
            parked.c.projection == build.projection.name,
            parked.c.build == build.number,
            parked.c.stream == stream,
        )

        def take(connection: Connection) -> "_Tried":
            query = select(parked.c.position).where(*here).order_by(parked.c.position).limit(limit + 1)
            positions = connection.execute(query).scalars().all()
            now = positions[:limit]
            records = [recorded for position in now for recorded in self._events.read(position - 1, 1)]
            at = next((it for it in builds.current(connection, [build.projection]) if it.number == build.number), None)
            if not now or at is None:
                return _Tried([], False, False)
            trial = connection.begin_nested()
            connection.execute(delete(parked).where(*here, parked.c.position <= now[-1]))
            folding = Folding(connection, at, {})
            folding.take([Reading(self._registry, recorded) for recorded in records])
            local = build.projection.local
            trial.commit() if local else trial.rollback()
            return _Tried(folding.poison, not folding.poison, local and len(positions) > limit)

        return self._in_turn(take)

    def _in_turn(self, what: Callable[[Connection], T]) -> T:
        with self._turning:
            self._prepare()
            with self._writer.begin() as connection:
                return what(connection)

    def _insist(self, what: Callable[[], T]) -> T:
        """Try again where the database is in trouble, a few times."""
        for attempt in range(1, TRIES):
            try:
                return what()
            except DBAPIError as error:
                if not self._may_pass(error):
                    raise
                time.sleep(0.02 * 2**attempt)
        return what()

    def _may_pass(self, error: DBAPIError) -> bool:
        """Whether trying again may help. A server that was killed may have lost even its tables' making."""
        passing = isinstance(error, TROUBLE) or is_missing(error)
        self._ready = self._ready and not passing
        return passing

    def _builds(self) -> list[Build]:
        self._prepare()
        with self._reader.begin() as connection:
            return builds.current(connection, self._projections.values())

    def _is_behind(self, end: int) -> bool:
        live = {build.projection.name: build.position for build in self._builds() if build.live}
        return any(live.get(name, -1) < end for name in self._projections if name not in self._left_alone)

    def _lowest(self) -> int:
        return min((build.position for build in self._builds()), default=0)

    def _named(self, name: str) -> Projection:
        if name not in self._projections:
            known = ", ".join(self._projections)
            raise UnknownProjectionError(f"there is no projection {name!r}; there are {known}")
        return self._projections[name]


class _Tried(NamedTuple):
    """What could not be taken in, whether everything could, and whether there is more behind it."""

    poison: list[Parked]
    moved: bool
    more: bool


def _cry(poison: Sequence[Parked]) -> None:
    for it in poison:
        _log.error("event parked: its stream stands still in this projection until it is unparked", **it._asdict())
