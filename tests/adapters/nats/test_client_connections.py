"""Each client is heard at a door of its own: what another one floods is read beside it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from release_management.adapters.nats.access.senders import ANYBODY
from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.connection import NatsConnection, connect
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.queues.commands import CommandService
from release_management.adapters.nats.requests.queries import QueryService
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.roles.kit.bus import with_doors
from release_management.runtime.roles.kit.health import Health
from tests.adapters.nats.fakes import (
    Bus,
    WatchedServer,
    connected,
    envelope,
    running,
)
from tests.adapters.nats.test_client import answer

CLIENTS = {"": "client", "ci": "client-ci", "bot": "client-bot"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server that knows the clients `ci` and `bot`."""
    with WatchedServer(tmp_path, clients=("ci", "bot")) as running:
        yield running


@contextlib.asynccontextmanager
async def doors(server: NatsServer, user: str, *clients: str) -> AsyncIterator[Mapping[str, NatsConnection]]:
    async with contextlib.AsyncExitStack() as stack:
        opened = {}
        for client in ("", *clients):
            opened[client] = await connect(server.urls[user], f"door of {client}")
            stack.push_async_callback(opened[client].close)
        yield opened


@contextlib.asynccontextmanager
async def answering(server: NatsServer) -> AsyncIterator[tuple[Bus, dict[str, list[NatsConnection]]]]:
    """Commands and queries are answered at doors; those of each client."""
    async with (
        connected(server) as bus,
        doors(server, "gateway", "ci", "bot") as deciding,
        doors(server, "projector", ANYBODY) as reading,
    ):
        commands = CommandService(bus.connection, bus.gateway, bus.dead_letters, ("ci", "bot"), doors=deciding)
        queries = QueryService(bus.connection, answer, reading)
        async with running(commands.run(), commands.ready), running(queries.run(), queries.ready):
            yield bus, {name: [deciding[name], reading[ANYBODY if name else ""]] for name in CLIENTS}


async def test_every_client_is_answered_once_on_its_connection(server: NatsServer) -> None:
    async with answering(server) as (bus, _):
        for name, user in CLIENTS.items():
            async with BusClient(server.urls[user]) as client:
                outcome = await client.ask(envelope(f"command-{name}"))
                assert outcome.status == "accepted"
                assert await client.outcome("ci", f"command-{name}") == outcome
                assert await client.query("echo", {"n": 1}) == [{"params": {"n": 1}, "after": 0}]
    assert [each.id for each in bus.gateway.seen] == ["command-", "command-ci", "command-bot"]


@pytest.mark.parametrize("flooded", CLIENTS)
async def test_a_connection_that_is_not_read_does_not_block_the_others(
    server: NatsServer, flooded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read_nothing(data: bytes = b"") -> None:
        await asyncio.Event().wait()

    async with answering(server) as (_, at):
        for door in at[flooded]:
            monkeypatch.setattr(door._ps, "parse", read_nothing)
        others = [name for name in CLIENTS if name != flooded]
        for name in others:
            async with BusClient(server.urls[CLIENTS[name]], timeout=5) as client:
                assert (await client.ask(envelope(f"command-{name}"))).status == "accepted"
                if not (name and flooded):  # those with names share the door of the projector
                    assert await client.query("echo", {"n": 1})


async def test_the_health_says_at_which_door_nobody_can_be_heard(tmp_path: Path) -> None:
    health = Health("gateway")
    with WatchedServer(tmp_path, clients=("ci",)) as server:
        async with with_doors(DataDirectory(tmp_path), "gateway", ("ci",), health) as opened:
            assert set(opened) == {"", "ci"}
            server.stop()
            async with asyncio.timeout(20):
                while len(health.document()["troubles"]) < 2:
                    await asyncio.sleep(0.05)
            assert [each["part"] for each in health.document()["troubles"]] == [
                "bus gateway for clients without a name",
                "bus gateway for the client ci",
            ]
