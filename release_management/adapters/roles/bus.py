"""A role's connection to the bus, watched."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from release_management.adapters.home import Home
from release_management.adapters.nats.connection import AWAY, Connection, connect
from release_management.adapters.roles.health import Health
from release_management.services import measures
from release_management.services.bus import BusAwayError

LOOK_SECONDS = 0.5


@contextlib.asynccontextmanager
async def on_bus(home: Home, user: str, health: Health) -> AsyncIterator[Connection]:
    """Connect as a user of the bus, and have the health say how the connection stands.

    Raises `BusAwayError`; the body is cancelled, and the error raised, where the bus closes the connection for good.
    """
    url = home.bus_url(user)
    if url is None:
        raise BusAwayError(f"no message bus was started in {home.folder} yet; start it with relman up, or name one")
    connection = await connect(url, f"relman {health.role}")
    try:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(_watch(connection, health))
            yield connection
            watching.cancel()
    finally:
        measures.BUS_CONNECTED.set(0)
        with contextlib.suppress(*AWAY):
            await connection.close()


async def _watch(connection: Connection, health: Health) -> None:
    while not connection.is_closed:
        measures.BUS_CONNECTED.set(connection.is_connected)
        if connection.is_connected:
            health.clear("bus")
        else:
            health.trouble("bus", "the message bus does not answer; connecting again")
        await asyncio.sleep(LOOK_SECONDS)
    raise BusAwayError("the bus has closed our connection for good; what it said stands before this in the log")
