"""Queries that wait for the projections, without a thread each: waiting keeps nobody from being answered."""

import asyncio
from typing import Any

from release_management.adapters.stack.reading import WAIT_SECONDS, NotThereYet, Reading
from release_management.projections.queries import QUERIES
from release_management.services.bus import QueryNotUnderstood
from release_management.services.ports import EventLog
from release_management.services.threads import in_thread

FIRST_LOOK_SECONDS = 0.001
SLOWEST_LOOK_SECONDS = 0.025


class PatientReading:
    """Answers the questions of one event loop. However many wait, one look at the projections serves them all."""

    def __init__(self, reading: Reading, log: EventLog, seconds: float = WAIT_SECONDS) -> None:
        """`seconds`: how long a question may wait for the projections."""
        self._reading = reading
        self._log = log
        self._seconds = seconds
        self._looking: asyncio.Task[dict[str, int]] | None = None

    async def ask(self, name: str, params: dict[str, Any], after: int) -> list[dict[str, Any]]:
        """A query's rows once the log was folded up to `after`. Raises `QueryNotUnderstood` as `Reading.ask` does.

        A position beyond the log's end is refused at once.
        """
        deadline = asyncio.get_running_loop().time() + self._seconds
        try:
            return await in_thread(self._reading.ask, name, params, after, 0)
        except NotThereYet:
            if after > (end := await in_thread(self._log.last_position)):
                raise QueryNotUnderstood(
                    f"the log ends at position {end:,}, and the answer is wanted after {after:,}; "
                    "name the position that a command's outcome gave"
                ) from None
        await self._reached(name, after, deadline)
        return await in_thread(self._reading.ask, name, params, after, 0)

    async def _reached(self, name: str, after: int, deadline: float) -> None:
        """Wait until the query's projections are at `after`, or the time is over."""
        needed = [projection.name for projection in QUERIES[name].projections]
        pause = FIRST_LOOK_SECONDS
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(pause, left))
            positions = await self._positions()
            if all(positions.get(projection, 0) >= after for projection in needed):
                return
            pause = min(2 * pause, SLOWEST_LOOK_SECONDS)

    async def _positions(self) -> dict[str, int]:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> dict[str, int]:
        standing = await in_thread(self._reading.standing)
        return {each.name: each.position for each in standing}
