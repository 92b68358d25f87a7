"""The relay as a role: it publishes the log's records on the bus."""

import asyncio
import contextlib

from release_management.adapters.nats.events import NatsEventStream
from release_management.adapters.nats.queues.streams import EVENTS
from release_management.domain.registry import Registry
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.roles.kit.bus import on_bus, with_streams
from release_management.runtime.roles.kit.health import Health
from release_management.runtime.roles.kit.lease import serve_in_turn
from release_management.runtime.roles.kit.store import on_store
from release_management.services import telemetry
from release_management.services.ports import EventLog, Lease
from release_management.services.threads import in_thread
from release_management.services.workers.relay import Relay, RelayMismatchError

LOOK_SECONDS = 1.0
ACTIVE = ("events", "history", "lag")
"""The parts of the health that only the active relay has."""
MISMATCH_SECONDS = 30.0
FAR_BEHIND = 10_000
"""The number of unpublished records from which on there is a warning."""


class RelayRole:
    """Publishes the log while it holds the lease of its role; otherwise it stands by."""

    def __init__(self, home: DataDirectory, health: Health) -> None:
        self._home = home
        self._health = health

    async def serve(self) -> None:
        """Serve until cancelled."""
        log = await asyncio.to_thread(self._home.open_log, Registry())
        with contextlib.closing(log):
            async with (
                on_store(log, self._health),
                on_bus(self._home, "relay", self._health) as connection,
                with_streams(connection, self._home.replicas, (EVENTS,), self._health),
            ):
                stream = NatsEventStream(connection, log.store_id)
                relay = Relay(log, stream)

                async def publish(_: Lease) -> None:
                    self._health.set_status("active")
                    try:
                        await publish_while_it_can(relay, log, self._health)
                    finally:
                        for part in ACTIVE:
                            self._health.clear(part)

                await serve_in_turn(log, self._health, publish)


async def publish_while_it_can(relay: Relay, log: EventLog, health: Health) -> None:
    """Publish the log until cancelled.

    If the stream holds another history, publishing stops, and the health says so: the log is the source of truth.
    """
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_watch(relay, log, health))
        while True:
            try:
                await relay.run()
            except RelayMismatchError as error:
                health.trouble("history", f"events are not published: {error}")
                await asyncio.sleep(MISMATCH_SECONDS)


async def _watch(relay: Relay, log: EventLog, health: Health) -> None:
    published: int | None = None
    while True:
        health.show("events", None if relay.trouble is None else f"events are not published: {relay.trouble}")
        end = await in_thread(log.last_position)
        telemetry.LOG_POSITION.set(end)
        if relay.position is not None:
            health.clear("history")
            published = relay.position
            telemetry.RELAY_POSITION.set(published)
        if published is not None:
            behind = end - published
            health.details.update(position=published, behind=behind)
            if behind > FAR_BEHIND:
                health.warn("lag", f"{behind:,} records are not published yet")
            else:
                health.clear("lag")
        await asyncio.sleep(LOOK_SECONDS)
