"""Queued commands make room for all else that comes on the bus, and each client has a queue of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.js.api import RetentionPolicy, StreamConfig

from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.connection import connect
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.gateway import BusGateway
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.client_queues import named_clients
from release_management.adapters.nats.queues.in_order import WINDOW, YIELDING_WINDOW
from release_management.adapters.nats.queues.publishing import publish
from release_management.adapters.nats.requests.requester import cloudevent
from release_management.services.ports.bus import BusAwayError, BusFullError
from tests.adapters.nats.fakes import (
    WatchedServer,
    all_letters,
    connected,
    envelope,
    running,
    serving,
)
from tests.adapters.nats.test_origins import machine_command
from tests.adapters.nats.test_reports import (
    report,
    service,
    until_empty,
)


async def test_queued_commands_yield_and_nothing_else_does(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client, asyncio.timeout(30):
        bus.gateway.plan = {"queued": ["busy"]}
        await client.send(envelope("queued"))
        await publish(bus.connection, "relman.reports.local", report("report"), {})
        await client.ask(envelope("asked"))
        await BusGateway(bus.connection).submit(machine_command("machine"))
        while await client.outcome("ci", "queued") is None:
            await asyncio.sleep(0.01)
        assert {each.id for each in bus.gateway.seen} == {"queued", "report", "asked", "machine"}
        assert bus.gateway.yielding == ["queued", "queued"], "also when it is tried again"


async def test_few_queued_commands_are_worked_on_while_others_come(server: NatsServer) -> None:
    async with connected(server) as bus, BusClient(server.url) as client, asyncio.timeout(30):
        gate = asyncio.Event()
        for number in range(WINDOW):
            bus.gateway.plan[str(number)] = [gate]
            await client.send(envelope(str(number)))
        bus.gateway.others_come = True
        async with running(service(bus).run()):
            begun = [await bus.gateway.calls.get() for _ in range(YIELDING_WINDOW)]
            await publish(bus.connection, "relman.reports.local", report("report"), {})
            assert await bus.gateway.calls.get() == "report", "no further queued command came before it"
            gate.set()
            begun += [await bus.gateway.calls.get() for _ in range(WINDOW - YIELDING_WINDOW)]
    assert begun == [str(number) for number in range(WINDOW)]


@pytest.fixture
def named(tmp_path: Path) -> Iterator[NatsServer]:
    """A server that knows the clients `ci` and `bot`."""
    with WatchedServer(tmp_path, clients=("ci", "bot")) as running_one:
        yield running_one


async def test_a_client_that_fills_its_queue_neither_blocks_nor_delays_others(named: NatsServer) -> None:
    async with (
        connected(named) as bus,
        BusClient(named.urls["client-bot"]) as bot,
        BusClient(named.urls["client-ci"]) as ci,
        BusClient(named.url) as others,
        asyncio.timeout(30),
    ):
        js = bus.connection.jetstream()
        full = (await js.stream_info(streams.queue_of("bot"))).config.evolve(max_msgs=2 * WINDOW)
        await js.update_stream(full)
        gate = asyncio.Event()
        for number in range(2 * WINDOW):
            bus.gateway.plan[f"bot {number}"] = [gate]
            await bot.send(envelope(f"bot {number}"))
        with pytest.raises(BusFullError):
            await bot.send(envelope("one more"))

        async with running(service(bus).run()):
            begun = [await bus.gateway.calls.get() for _ in range(WINDOW)]
            for number in range(3):
                await ci.send(envelope(f"ci {number}"))
                await others.send(envelope(f"others {number}"))
            sent = [await bus.gateway.calls.get() for _ in range(6)]
            for who in ("ci", "others"):
                assert [id for id in sent if id.startswith(who)] == [f"{who} {number}" for number in range(3)]
            for stream in (streams.COMMANDS, streams.queue_of("ci")):
                await until_empty(js, stream)
            gate.set()
            begun += [await bus.gateway.calls.get() for _ in range(WINDOW)]
    assert begun == [f"bot {number}" for number in range(2 * WINDOW)]
    assert {each.sender for each in bus.gateway.seen} == {"client:bot:ci", "client:ci:ci", "ci"}


async def test_a_message_id_that_another_client_took_beforehand_drops_no_command(named: NatsServer) -> None:
    taken = {"Nats-Msg-Id": "guessed"}
    async with serving(named) as bus, asyncio.timeout(30):
        for user in ("client", "client-bot", "client-ci"):
            connection = await connect(named.urls[user], user)
            await publish(connection, "relman.commands.release.create", cloudevent(envelope(user)), taken)
            await connection.close()
        assert {await bus.gateway.calls.get() for _ in range(3)} == {"client", "client-bot", "client-ci"}


async def test_commands_queued_under_an_older_version_are_decided(named: NatsServer) -> None:
    before = await connect(named.urls["tests"], "older")
    older = StreamConfig(
        name=streams.COMMANDS,
        subjects=["relman.commands.>", "relman.from.*.commands.>"],
        retention=RetentionPolicy.WORK_QUEUE,
        max_msgs=50_000,
    )
    await before.jetstream().add_stream(older)
    await before.close()
    async with BusClient(named.urls["client-ci"]) as ci, asyncio.timeout(30):
        await ci.send(envelope("old"))
        async with serving(named) as bus:
            assert await bus.gateway.calls.get() == "old"
            await ci.send(envelope("new"))
            assert await bus.gateway.calls.get() == "new"
            assert {each.sender for each in bus.gateway.seen} == {"client:ci:ci"}
            for stream in (streams.COMMANDS, streams.queue_of("ci")):
                await until_empty(bus.connection.jetstream(), stream)
            assert await all_letters(bus.dead_letters) == ()


async def test_the_gateway_learns_from_its_server_which_clients_have_names(named: NatsServer) -> None:
    gateway, client = await connect(named.urls["gateway"], "test"), await connect(named.url, "test")
    assert await named_clients(gateway) == ("bot", "ci")
    with pytest.raises(BusAwayError, match="give it the configuration that relman nats-config prints"):
        await named_clients(client, timeout=0.2)
    await gateway.close()
    await client.close()


async def test_a_dead_letter_of_a_clients_own_queue_is_kept_and_sent_again(named: NatsServer) -> None:
    async with serving(named) as bus, BusClient(named.urls["client-ci"]) as ci, asyncio.timeout(30):
        raw = await connect(named.urls["client-ci"], "raw")
        await publish(raw, "relman.commands.release.create", b"{}", {})
        await raw.close()
        while not (letters := await ci.dead_letters()):
            await asyncio.sleep(0.01)
        assert [letter.subject for letter in letters] == ["relman.from.ci.commands.release.create"]
        await until_empty(bus.connection.jetstream(), streams.queue_of("ci"))
        (replay,) = await ci.replay_dead_letters([letters[0].id])
        assert replay.subject == "relman.from.ci.commands.release.create"
