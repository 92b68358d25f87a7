"""A role's connection to the bus, and the streams that it creates there, watched."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping

from release_management.adapters.nats.access.senders import ANYBODY
from release_management.adapters.nats.connection import NatsConnection, connect
from release_management.adapters.nats.queues.client_queues import named_clients
from release_management.adapters.nats.queues.streams import (
    ensure_streams,
    missing,
    work,
)
from release_management.adapters.nats.wire.error_mapping import AWAY
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.roles.kit.background_task import beside
from release_management.runtime.roles.kit.health import Health
from release_management.services import telemetry
from release_management.services.ports.bus import BusAwayError, BusError

LOOK_SECONDS = 0.5
STREAMS_SECONDS = 5.0
"""Seconds between checks that no stream is missing."""
CLIENTS_SECONDS = 5.0
"""Seconds between checks that the server still has the same named clients."""
_CONNECTIONS: set[NatsConnection] = set()
"""All connections of this process: a process that runs several roles has one for each."""


@contextlib.asynccontextmanager
async def on_bus(home: DataDirectory, user: str, health: Health, purpose: str = "") -> AsyncIterator[NatsConnection]:
    """Connect as a user of the bus, and show the connection's state in the health.

    `purpose` tells the connection from others of the same user. Raises `BusAwayError`. If the bus closes the connection
    for good, the body is cancelled, and the error raised.
    """
    url = home.bus_url(user)
    if url is None:
        raise BusAwayError(f"no message bus was started in {home.folder} yet; start it with relman up, or name one")
    connection = await connect(url, f"relman {health.role}")
    _CONNECTIONS.add(connection)
    try:
        async with beside(_watch(connection, f"{user}{purpose}", health)):
            yield connection
    finally:
        _CONNECTIONS.discard(connection)
        _measure()
        with contextlib.suppress(*AWAY):
            await connection.close()


@contextlib.asynccontextmanager
async def with_queues(connection: NatsConnection, replicas: int, health: Health) -> AsyncIterator[tuple[str, ...]]:
    """Create all streams of the gateway, as `with_streams` does; yield the names of the clients with queues of their
    own.

    If the server has other clients later, the body is cancelled, and `BusAwayError` raised, to begin again.
    """
    clients = await named_clients(connection)
    async with with_streams(connection, replicas, work(clients), health), beside(_see_clients(connection, clients)):
        yield clients


@contextlib.asynccontextmanager
async def with_doors(
    home: DataDirectory, user: str, clients: Collection[str], health: Health
) -> AsyncIterator[Mapping[str, NatsConnection]]:
    """Open a connection for the requests of each client, and one (`""`) for those of all unnamed clients.

    A flood of one client is then read beside the requests of the others. `ANYBODY` stands for all named clients.
    """
    whose = {"": "clients without a name", ANYBODY: "clients with a name"}
    async with contextlib.AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(
                on_bus(home, user, health, f" for {whose.get(name, f'the client {name}')}")
            )
            for name in ("", *clients)
        }


@contextlib.asynccontextmanager
async def with_streams(
    connection: NatsConnection, replicas: int, names: Collection[str], health: Health
) -> AsyncIterator[None]:
    """Create streams, and create them again if they vanish; the health says if that fails."""
    await ensure_streams(connection.jetstream(), replicas, names)
    async with beside(_keep(connection, replicas, names, health)):
        yield


async def _see_clients(connection: NatsConnection, clients: tuple[str, ...]) -> None:
    back = asyncio.Event()
    connection.found.add(back.set)
    try:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLIENTS_SECONDS):
                    await back.wait()
            back.clear()
            with contextlib.suppress(BusAwayError):
                if await named_clients(connection) != clients:
                    break
    finally:
        connection.found.discard(back.set)
    raise BusAwayError("the nats-server has other clients now; serving begins again with their queues")


async def _watch(connection: NatsConnection, user: str, health: Health) -> None:
    part = f"bus {user}"
    while not connection.is_closed:
        _measure()
        if not connection.is_connected:
            health.trouble(part, "the message bus does not answer; connecting again")
        elif connection.disturbed is not None:
            health.warn(part, connection.disturbed)
        else:
            health.clear(part)
        await asyncio.sleep(LOOK_SECONDS)
    raise BusAwayError("the bus has closed our connection for good; what it said stands before this in the log")


def _measure() -> None:
    telemetry.BUS_CONNECTED.set(bool(_CONNECTIONS) and all(each.is_connected for each in _CONNECTIONS))


async def _keep(connection: NatsConnection, replicas: int, names: Collection[str], health: Health) -> None:
    part = f"streams {', '.join(sorted(names))}"
    js = connection.jetstream()
    back = asyncio.Event()
    connection.found.add(back.set)
    try:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STREAMS_SECONDS):  # wait_for loses a cancellation that comes with the event
                    await back.wait()
            back.clear()
            try:
                if await missing(js, names):
                    await ensure_streams(js, replicas, names, patience=0)
                health.clear(part)
            except BusError as error:
                health.trouble(part, str(error))
    finally:
        connection.found.discard(back.set)
        health.clear(part)  # the next streams may be others
