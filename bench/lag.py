"""How far the projector and the relay of a `relman up` are behind the log."""

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
    """Records of the log that the projection which is furthest behind, and the relay, have still to take in."""

    projector: int
    relay: int

    def exceeds(self, records: int) -> bool:
        """Whether both lack more than that."""
        return min(self.projector, self.relay) > records

    def __str__(self) -> str:
        """For a note."""
        return f"{self.projector:,} and {self.relay:,}"


def labelled(way: str, before: Lag, after: Lag, written: int) -> tuple[str, str]:
    """The name of a measurement, "busy" where a backlog outlasted it, and a note on how much was left.

    What the measurement itself has `written` is no backlog.
    """
    said = f"projector and relay were {before} records behind before it, {after} at its end"
    if after.exceeds(written):
        return f"{way}, busy", f"{way}, busy: {said}, a backlog all the time"
    return way, f"{way}: {said}, so that a backlog of one or both did not last"


class Behind:
    """Looks at the log, the read models and the event stream, each where it is, without the roles."""

    def __init__(self, log: EventLog, models: ReadStore, connection: Client) -> None:
        self._log = log
        self._models = models
        self._js = connection.jetstream()

    async def now(self) -> Lag:
        """As it is now. The log's end is read first, so that no backlog is found where there is none."""
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
            return min(max(it.position, it.building or 0) for it in self._models.standing())
        except NotAnsweringError:
            return 0


@contextlib.contextmanager
def watching(store: Store, connection: Client) -> Iterator[Behind]:
    """Of a store's installation, which runs."""
    with (
        contextlib.closing(store.home.open_log(Registry())) as log,
        contextlib.closing(ReadStore(store.home.read_models)) as models,
    ):
        yield Behind(log, models, connection)
