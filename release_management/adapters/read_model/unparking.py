"""Fold parked events after all, once the cause is gone."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy import Connection, delete, func, select

from release_management.adapters.read_model import builds
from release_management.adapters.read_model.builds import Build
from release_management.adapters.read_model.folding import (
    Folding,
    Parked,
    RecordPage,
    log_parked,
)
from release_management.adapters.read_model.writing import Writing
from release_management.domain.registry import Registry
from release_management.projections.kit.projection import Projection
from release_management.projections.kit.status import parked
from release_management.services.ports import EventLog

_log = structlog.get_logger(__name__)


class Unparking:
    """Folds parked events of a database that a `Projector` writes, `page` of a stream at a time."""

    def __init__(self, log: EventLog, registry: Registry, writing: Writing, page: int) -> None:
        """The parameters are those of the projector."""
        self._events = log
        self._registry = registry
        self._writing = writing
        self._page = page

    def unpark(self, projection: Projection, stream: str | None) -> bool:
        """Fold the parked events of a projection, of one stream or of all. A stream goes on as far as it can.

        Returns True if any stream could go on. For a projection that is not local nothing is folded: it is to be
        rebuilt.
        """
        poison: list[Parked] = []
        moved = False
        for build in self._writing.insist(self._writing.builds):
            if build.projection is projection:
                found, went_on = self._unpark(build, stream)
                poison += found
                moved = moved or went_on
        log_parked(poison)
        return moved

    def try_again(self) -> list[Projection]:
        """Try all parked events again: a newer version of the program may be able to fold them.

        Returns the projections that are to be rebuilt because of that.
        """
        streams = select(parked.c.projection).distinct()
        names = self._writing.in_turn(lambda connection: connection.execute(streams).scalars().all())
        anew: dict[str, Projection] = {}
        for build in self._writing.builds():
            if build.projection.name in names:
                poison, moved = self._unpark(build, None)
                for event in poison:
                    _log.warning("what was parked was tried again, in vain", **event._asdict())
                if moved and not build.projection.local:
                    anew[build.projection.name] = build.projection
        return list(anew.values())

    def count(self, projection: Projection, stream: str | None) -> int:
        """Return how many events of a projection are parked, of one stream or of all."""
        own = select(func.count()).where(parked.c.projection == projection.name)
        query = own if stream is None else own.where(parked.c.stream == stream)
        return int(self._writing.in_turn(lambda connection: connection.execute(query).scalar_one()))

    def _unpark(self, build: Build, stream: str | None) -> tuple[list[Parked], bool]:
        """Return the events that still cannot be folded, and True if any other can."""
        poison: list[Parked] = []
        moved = False
        for one in [stream] if stream is not None else self._streams(build):
            limit = 1
            while limit:
                found = self._writing.insist(partial(self._unpark_some, build, one, limit))
                poison += found.poison
                moved = moved or found.moved
                limit = self._page if found.more and not found.poison else 0
        return poison, moved

    def _streams(self, build: Build) -> Sequence[str]:
        own = (parked.c.projection == build.projection.name, parked.c.build == build.number)
        query = select(parked.c.stream).where(*own).distinct().order_by(parked.c.stream)
        return self._writing.in_turn(lambda connection: connection.execute(query).scalars().all())

    def _unpark_some(self, build: Build, stream: str, limit: int) -> "_Tried":
        """Fold the first parked events of a stream. The first of them alone shows whether it can go on.

        If the projection is not local, that is all that matters, and nothing is stored.
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
            current_build = next(
                (
                    candidate
                    for candidate in builds.current(connection, [build.projection])
                    if candidate.number == build.number
                ),
                None,
            )
            if not now or current_build is None:
                return _Tried([], False, False)
            trial = connection.begin_nested()
            connection.execute(delete(parked).where(*here, parked.c.position <= now[-1]))
            folding = Folding(connection, current_build, {})
            folding.take(RecordPage(self._registry, self._events.content, records))
            local = build.projection.local
            trial.commit() if local else trial.rollback()
            return _Tried(folding.poison, not folding.poison, local and len(positions) > limit)

        return self._writing.in_turn(take)


class _Tried(NamedTuple):
    """The events that failed, whether all succeeded, and whether there are more behind them."""

    poison: list[Parked]
    moved: bool
    more: bool
