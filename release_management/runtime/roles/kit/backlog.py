"""The number of messages that wait on the bus for a role."""

import asyncio
import contextlib
from collections.abc import Collection
from typing import NoReturn

from nats.js.errors import NotFoundError

from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.wire.error_mapping import AWAY
from release_management.runtime.roles.kit.health import Health
from release_management.services import telemetry

LOOK_SECONDS = 1.0


async def watch_queues(connection: NatsConnection, clients: Collection[str], health: Health) -> None:
    """Run `watch_backlog` for all queues of the gateway, including those of the named `clients`."""
    async with asyncio.TaskGroup() as tasks:
        for stream in (*streams.queues(clients), streams.REPORTS):
            tasks.create_task(watch_backlog(connection, stream, streams.GATEWAY, health))


async def watch_backlog(connection: NatsConnection, stream: str, consumer: str, health: Health) -> NoReturn:
    """Show in metrics and health how many messages wait for a consumer, until cancelled.

    While the bus does not answer, the last number stays.
    """
    try:
        while True:
            with contextlib.suppress(NotFoundError, *AWAY):
                info = await connection.jetstream().consumer_info(stream, consumer)
                waiting = (info.num_pending or 0) + (info.num_ack_pending or 0)
                telemetry.BUS_BACKLOG.labels(stream, consumer).set(waiting)
                health.details[f"waiting in {stream} for {consumer}"] = waiting
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        telemetry.BUS_BACKLOG.labels(stream, consumer).set(0)
