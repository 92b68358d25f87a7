"""Measure how far the projector and the relay of a `relman up` are behind the log."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from bench.conditions import Store
from release_management.adapters.nats.queues import streams
from release_management.adapters.read_model import NotAnsweringError, ReadStore
from release_management.domain.registry import Registry
from release_management.services.ports import EventLog


@dataclass(frozen=True, slots=True)
class Lag:
    """The number of records that the slowest projection, and the relay, are behind the log."""

    projector: int
    relay: int

    def exceeds(self, records: int) -> bool:
        """Return True if both are further behind."""
        return min(self.projector, self.relay) > records

    def __str__(self) -> str:
        """Return the numbers for a note."""
        return f"{self.projector:,} and {self.relay:,}"


def labelled(way: str, before: Lag, after: Lag, written: int) -> tuple[str, str]:
    """Return a measurement's name, with "busy" if a backlog outlasted it, and a note on the rest.

    Records that the measurement itself has `written` are no backlog.
    """
    said = f"projector and relay were {before} records behind before it, {after} at its end"
    if after.exceeds(written):
        return f"{way}, busy", f"{way}, busy: {said}, a backlog all the time"
    return way, f"{way}: {said}, so that a backlog of one or both did not last"


class Behind:
    """Reads the positions of the log, the read models and the event stream directly, without the roles."""

    def __init__(self, log: EventLog, models: ReadStore, connection: Client) -> None:
        self._log = log
        self._models = models
        self._js = connection.jetstream()

    async def now(self) -> Lag:
        """Return the present lag. The log's end is read first, so that no backlog is found if there is none."""
        end = await asyncio.to_thread(self._log.last_position)
        taken_in = await asyncio.to_thread(self._taken_in)
        try:
            published = (await self._js.stream_info(streams.EVENTS)).state.last_seq
        except NotFoundError:
            published = 0
        return Lag(max(0, end - taken_in), max(0, end - published))

    async def until_none(self, seconds: float = 300.0) -> None:
        """Wait until neither is behind."""
        async with asyncio.timeout(seconds):
            while await self.now() != Lag(0, 0):
                await asyncio.sleep(0.1)

    def _taken_in(self) -> int:
        try:
            return min(max(it.position, it.building or 0) for it in self._models.statuses())
        except NotAnsweringError:
            return 0


@contextlib.contextmanager
def watching(store: Store, connection: Client) -> Iterator[Behind]:
    """Watch the running installation of a store."""
    with (
        contextlib.closing(store.home.open_log(Registry())) as log,
        contextlib.closing(ReadStore(store.home.read_models)) as models,
    ):
        yield Behind(log, models, connection)
