"""What waits on the bus for a role."""

import asyncio
import contextlib
from typing import NoReturn

from nats.js.errors import NotFoundError

from release_management.adapters.nats.connection import AWAY, Connection
from release_management.adapters.roles.health import Health
from release_management.services import measures

LOOK_SECONDS = 1.0


async def watch_backlog(connection: Connection, stream: str, consumer: str, health: Health) -> NoReturn:
    """Have metrics and the health's details say how much waits for a consumer, until cancelled.

    While the bus does not say, it is what it was.
    """
    try:
        while True:
            with contextlib.suppress(NotFoundError, *AWAY):
                info = await connection.jetstream().consumer_info(stream, consumer)
                waiting = (info.num_pending or 0) + (info.num_ack_pending or 0)
                measures.BUS_BACKLOG.labels(stream, consumer).set(waiting)
                health.details[f"waiting in {stream} for {consumer}"] = waiting
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        measures.BUS_BACKLOG.labels(stream, consumer).set(0)
