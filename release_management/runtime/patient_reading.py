"""Queries that wait for the projections without a thread each, so that they do not block other queries."""

import asyncio
from collections.abc import Iterator
from typing import Any

from release_management.adapters.read_model import ReadModelError
from release_management.projections.queries import QUERIES
from release_management.runtime.reading import (
    WAIT_SECONDS,
    NotThereYet,
    ReadSide,
)
from release_management.services.paging.pages import Page
from release_management.services.ports import EventLog
from release_management.services.ports.bus import QueryNotUnderstood
from release_management.services.threads import Threads, in_thread

FIRST_LOOK_SECONDS = 0.001
SLOWEST_LOOK_SECONDS = 0.025
QUERIES_AT_ONCE = 4
"""Threads for queries: a long query occupies one of them, and the rest of the process goes on."""


class WaitingReadSide:
    """Answers the queries of one event loop. One look at the projections' positions serves all that wait."""

    def __init__(self, reading: ReadSide, log: EventLog, seconds: float = WAIT_SECONDS) -> None:
        """`seconds` is how long a query may wait for the projections."""
        self._reading = reading
        self._log = log
        self._seconds = seconds
        self._threads = Threads("queries", QUERIES_AT_ONCE)
        self._looking: asyncio.Task[dict[str, int]] | None = None

    async def ask(self, name: str, params: dict[str, Any], after: int) -> Page:
        """Return a page of a query's rows once its projections have reached `after`.

        Raises `QueryNotUnderstood` as `Reading.ask` does. A position beyond the log's end is refused at once.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + self._seconds
        pauses = _pauses()
        first = True
        while True:
            try:
                return await self._threads.run(self._reading.ask, name, params, after, 0)
            except NotThereYet:
                if first and after > (end := await in_thread(self._log.last_position)):
                    raise QueryNotUnderstood(
                        f"the log ends at position {end:,}, and the answer is wanted after {after:,}; "
                        "name the position that a command's outcome gave"
                    ) from None
                if now() >= deadline:
                    raise
            first = False
            reached = False
            while not reached and now() < deadline:
                await asyncio.sleep(next(pauses))
                positions = await self._positions()
                reached = all(positions.get(each.name, 0) >= after for each in QUERIES[name].projections)

    async def _positions(self) -> dict[str, int]:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> dict[str, int]:
        try:
            statuses = await in_thread(self._reading.statuses)
        except ReadModelError:
            return {}  # the database does not answer; callers are told so when the time is over
        return {each.name: each.position for each in statuses}


def _pauses() -> Iterator[float]:
    pause = FIRST_LOOK_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, SLOWEST_LOOK_SECONDS)
