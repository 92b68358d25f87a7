"""The worker that keeps the read models up to date with the log."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError

from release_management.adapters.read_model import builds
from release_management.adapters.read_model.builds import Build
from release_management.adapters.read_model.database import (
    SCHEMA,
    TROUBLE,
    is_locked,
)
from release_management.adapters.read_model.errors import OvertakenError, UnknownProjectionError
from release_management.adapters.read_model.folding import (
    Folding,
    Parked,
    RecordPage,
    log_parked,
    still,
)
from release_management.adapters.read_model.pages import (
    AT_ONCE,
    PAGE,
    page_after,
)
from release_management.adapters.read_model.unparking import Unparking
from release_management.adapters.read_model.writing import Writing
from release_management.domain.registry import Registry
from release_management.kernel.record import Recorded
from release_management.projections.catalog import PROJECTIONS
from release_management.projections.kit.projection import Projection
from release_management.services import telemetry
from release_management.services.ports import EventLog, LogUnavailableError

WAIT_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
SWAP_AGAIN_SECONDS = 1.0
Progress = Callable[[str, int, int], None]
"""Called with a projection's name, the position that its new build has reached, and the log's last position."""

_log = structlog.get_logger(__name__)


class Unparked(NamedTuple):
    """The numbers of parked events that were folded, and of those that are still parked."""

    taken_in: int
    left: int


class Projector:
    """Folds the log into the projections' tables, a page at a time.

    A page's rows and the projection's position commit together, and only if the position is still the same, so that
    several projectors may work on one database. A projection that is new, or has a higher version, is built from the
    log's beginning beside the one that answers, and takes its place once it is not behind. If the rows were made of
    another log, or of a longer one than there is now, everything is rebuilt. Events that an earlier projector has
    parked are tried again, once.
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
        """`where` is a `postgresql://` URL, or the path of a SQLite file, which is created if it does not exist.

        `schema` is created on PostgreSQL if it does not exist. A database that does not answer yet is tried again
        later.
        """
        self.trouble: str | None = None
        """The reason why `run` cannot store rows at the moment, or None."""
        self._events = log
        self._registry = registry
        self._projections = {projection.name: projection for projection in projections}
        self._page = page
        self._writing = Writing(where, schema, projections)
        self._unparking = Unparking(log, registry, self._writing, min(page, AT_ONCE))
        self._swap_after = 0.0
        self._left_alone: set[str] = set()
        self._tried_again = False
        with contextlib.suppress(*TROUBLE):
            self._writing.prepare()

    def run(self, stop: threading.Event) -> None:
        """Keep up with the log until `stop` is set.

        Errors of the database and of the log that may pass are logged and retried; all others are raised.
        """
        pause = WAIT_SECONDS
        logged: str | None = None
        while not stop.is_set():
            try:
                self._try_parked_again()
                if not self._turn():
                    self._events.wait(self._lowest(), WAIT_SECONDS)
                if logged is not None:
                    _log.info("the read models are kept up again", was=logged)
                pause, self.trouble, logged = WAIT_SECONDS, None, None
                continue
            except LogUnavailableError as error:
                trouble, reason = "the log does not answer", str(error)
            except DBAPIError as error:
                if not self._writing.may_pass(error):
                    raise
                self.trouble = " ".join(f"the read models' database takes nothing in: {error.orig}".split())
                trouble, reason = "the read models' database does not answer", str(error.orig)
            if trouble != logged:
                _log.warning(trouble, error=reason)
                logged = trouble
            stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def catch_up(self) -> None:
        """Fold everything that the log has now.

        Raises one of `TROUBLE` if the database stays in trouble. Projections that a newer version of the program has
        made are left alone.
        """
        end = self._events.last_position()
        self._complete(self._writing.insist(self._try_parked_again))
        moved = self._writing.insist(self._turn)
        while self._writing.insist(partial(self._is_behind, end)):
            if not moved:
                time.sleep(0.01)
            moved = self._writing.insist(self._turn)

    def rebuild(self, name: str | None = None, progress: Progress | None = None) -> None:
        """Rebuild a projection from the log, or all of them; the old rows answer until the new ones are complete.

        Other projectors help. If another process requests the same meanwhile, both wait for the later build. Raises
        `UnknownProjectionError`.
        """
        chosen = list(self._projections.values()) if name is None else [self._named(name)]
        self._complete(self._writing.insist(partial(self._begin, chosen)), progress)

    def _complete(self, awaited: dict[str, int], progress: Progress | None = None) -> None:
        """Return once these builds, or later ones of the same projections, are live."""
        while awaited:
            if not self._writing.insist(self._turn):
                time.sleep(0.01)
            found = self._writing.insist(self._writing.builds)
            end = self._events.last_position()
            for one, number in list(awaited.items()):
                own = [build for build in found if build.projection.name == one and build.number >= number]
                if not own:
                    awaited |= self._writing.insist(partial(self._begin, [self._projections[one]]))
                elif progress is not None:
                    progress(one, own[-1].position, end)
                if any(build.live for build in own):
                    del awaited[one]

    def unpark(self, name: str, stream: str | None = None) -> Unparked:
        """Fold parked events, of one stream or of all, in order.

        A stream goes on as far as it can. A projection that is not local is rebuilt, for all streams, if a stream can
        go on. Raises `UnknownProjectionError`.
        """
        projection = self._named(name)
        before = self._unparking.count(projection, stream)
        if self._unparking.unpark(projection, stream) and not projection.local:
            self.rebuild(name)
        left = self._unparking.count(projection, stream)
        return Unparked(max(0, before - left), left)

    def close(self) -> None:
        """Close the database. `run` must have ended."""
        self._writing.close()

    def _try_parked_again(self) -> dict[str, int]:
        """Try the parked events again, once: they may be understood by now. Return the builds begun for that."""
        if self._tried_again:
            return {}
        anew = self._unparking.try_again()
        begun = self._begin(anew) if anew else {}
        self._tried_again = True
        return begun

    def _turn(self) -> bool:
        """Move every build by a page, or swap it in if it is complete; return True if anything moved."""
        with self._writing.turn():
            abreast: dict[int, list[Build]] = {}
            for build in self._begin_missing(self._writing.builds()):
                abreast.setdefault(build.position, []).append(build)
            moved = False
            for position, together in abreast.items():
                # The record at their position is read too: it must be the one that they have folded.
                last, page = page_after(self._events, position, self._page)
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
        """Fold a page into builds at the same position, which share its parsing and the commit."""
        poison: list[Parked] = []
        page = RecordPage(self._registry, self._events.content, records)
        with telemetry.PROJECTION_PAGE_SECONDS.time(), self._writing.begin() as connection:
            builds.advance(connection, together, records[-1])
            parked = still(connection)
            for build in together:
                folding = Folding(connection, build, parked.get((build.projection.name, build.number), {}))
                folding.take(page)
                poison += folding.poison
        log_parked(poison)

    def _swap(self, build: Build) -> bool:
        """Return True if the build was swapped in; a long query may prevent it for now."""
        if time.monotonic() < self._swap_after:
            return False
        try:
            with self._writing.begin() as connection:
                builds.swap(connection, build)
        except OperationalError as error:
            if not is_locked(error):
                raise
            self._swap_after = time.monotonic() + SWAP_AGAIN_SECONDS
            return False
        _log.debug("projection built", projection=build.projection.name, position=build.position)
        return True

    def _begin_missing(self, found: Sequence[Build]) -> list[Build]:
        """Begin a build for every projection that has none and that no newer program has made; return all builds."""
        existing = {build.projection.name for build in found}
        self._left_alone -= existing
        missing = [
            projection
            for projection in self._projections.values()
            if projection.name not in existing and projection.name not in self._left_alone
        ]
        if not missing:
            return list(found)
        with self._writing.begin() as connection:
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
        return self._writing.builds()

    def _begin_anew(self, together: Sequence[Build]) -> None:
        """Drop all builds, which were made of another log, or of a longer state of this one."""
        build = together[0]
        with self._writing.begin() as connection:
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
        """Begin builds beside the live ones, even in place of a newer program's; return their numbers."""
        with self._writing.turn():
            with self._writing.begin() as connection:
                numbers = {
                    projection.name: builds.begin(connection, projection, self._events.store_id)
                    for projection in chosen
                }
            self._left_alone -= numbers.keys()
        return numbers

    def _is_behind(self, end: int) -> bool:
        live = {build.projection.name: build.position for build in self._writing.builds() if build.live}
        return any(live.get(name, -1) < end for name in self._projections if name not in self._left_alone)

    def _lowest(self) -> int:
        return min((build.position for build in self._writing.builds()), default=0)

    def _named(self, name: str) -> Projection:
        if name not in self._projections:
            known = ", ".join(self._projections)
            raise UnknownProjectionError(f"there is no projection {name!r}; there are {known}")
        return self._projections[name]
