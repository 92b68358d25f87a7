"""Reports of executors have a stream of their own: no client fills it, and no queue stands before them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StreamConfig

from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.connection import connect
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.commands import CommandService
from release_management.adapters.nats.queues.in_order import WINDOW
from release_management.adapters.nats.queues.publishing import publish
from release_management.runtime.roles.kit.report_backlog import QueuedReports
from release_management.services.ports.bus import BusFullError
from tests.adapters.nats.fakes import (
    Bus,
    all_letters,
    connected,
    envelope,
    running,
)


def report(id: str) -> bytes:
    about: dict[str, Any] = {"specversion": "1.0", "id": id, "source": "executor:local", "data": {"a": 1}}
    return json.dumps(about | {"type": "deployment.report_step"}).encode()


def service(bus: Bus) -> CommandService:
    return CommandService(bus.connection, bus.gateway, bus.dead_letters, bus.clients, retry_seconds=0.01)


async def messages(js: JetStreamContext, stream: str) -> int:
    return (await js.stream_info(stream)).state.messages


async def until_empty(js: JetStreamContext, stream: str) -> None:
    async with asyncio.timeout(30):
        while await messages(js, stream):
            await asyncio.sleep(0.01)


async def as_it_was(server: NatsServer) -> None:
    """The stream of an older version, which held the reports too, with one of them and a command."""
    connection = await connect(server.urls["tests"], "older")
    older = StreamConfig(
        name=streams.COMMANDS,
        subjects=["relman.commands.>", "relman.reports.*"],
        retention=RetentionPolicy.WORK_QUEUE,
        max_msgs=50_000,
    )
    await connection.jetstream().add_stream(older)
    await publish(connection, "relman.reports.local", report("old report"), {})
    await connection.close()


async def test_reports_are_decided_while_no_queued_command_is(server: NatsServer) -> None:
    async with connected(server) as bus, BusClient(server.url) as client:
        gate = asyncio.Event()
        for number in range(2 * WINDOW):
            bus.gateway.plan[str(number)] = [gate]
            await client.send(envelope(str(number)))
        async with running(service(bus).run()):
            async with asyncio.timeout(30):
                begun = {await bus.gateway.calls.get() for _ in range(WINDOW)}
                await publish(bus.connection, "relman.reports.local", report("report"), {})
                assert await bus.gateway.calls.get() == "report"
            assert begun == {str(number) for number in range(WINDOW)}
            await until_empty(bus.connection.jetstream(), streams.REPORTS)
            gate.set()
            await until_empty(bus.connection.jetstream(), streams.COMMANDS)


async def test_commands_are_decided_while_no_report_is(server: NatsServer) -> None:
    async with connected(server) as bus, BusClient(server.url) as client, asyncio.timeout(30):
        for number in range(WINDOW):
            bus.gateway.plan[str(number)] = [asyncio.Event()]
            await publish(bus.connection, "relman.reports.local", report(str(number)), {})
        async with running(service(bus).run()):
            for _ in range(WINDOW):
                await bus.gateway.calls.get()
            await client.send(envelope("command"))
            assert await bus.gateway.calls.get() == "command"


async def test_a_queue_that_clients_have_filled_takes_reports(server: NatsServer) -> None:
    async with connected(server) as bus, BusClient(server.url) as client:
        js = bus.connection.jetstream()
        config = next(each for each in streams.configurations() if each.name == streams.COMMANDS)
        await js.update_stream(config.evolve(max_msgs=1))
        await client.send(envelope("1"))
        with pytest.raises(BusFullError):
            await client.send(envelope("2"))

        await publish(bus.connection, "relman.reports.local", report("1"), {})
        assert await messages(js, streams.REPORTS) == 1


async def test_reports_that_an_older_version_has_queued_are_decided(server: NatsServer) -> None:
    await as_it_was(server)
    async with connected(server) as bus:
        js = bus.connection.jetstream()
        await publish(bus.connection, "relman.reports.local", report("new report"), {})
        assert [await messages(js, name) for name in (streams.COMMANDS, streams.REPORTS)] == [1, 1]

        async with running(service(bus).run()), asyncio.timeout(30):
            assert {await bus.gateway.calls.get() for _ in range(2)} == {"old report", "new report"}
            for name in (streams.COMMANDS, streams.REPORTS):
                await until_empty(js, name)
        assert await all_letters(bus.dead_letters) == ()


async def test_deadlines_wait_for_every_report_that_was_queued_and_for_no_command(server: NatsServer) -> None:
    await as_it_was(server)
    async with connected(server) as bus, BusClient(server.url) as client:
        acting = await connect(server.urls["timers"], "test")
        gates = {name: asyncio.Event() for name in ("old report", "new report", "command")}
        bus.gateway.plan = {name: [gate] for name, gate in gates.items()}
        queued = QueuedReports(acting)
        assert not await queued.are_decided(), "nobody takes them yet"

        await publish(bus.connection, "relman.reports.local", report("new report"), {})
        async with running(service(bus).run()), asyncio.timeout(30):
            await client.send(envelope("command"))
            for _ in gates:
                await bus.gateway.calls.get()
            assert not await QueuedReports(acting).are_decided()
            gates["new report"].set()
            await until_empty(bus.connection.jetstream(), streams.REPORTS)
            assert not await QueuedReports(acting).are_decided()
            gates["old report"].set()
            while not await QueuedReports(acting).are_decided():
                await asyncio.sleep(0.01)
            assert await messages(bus.connection.jetstream(), streams.COMMANDS) == 1, "the command waits still"
            gates["command"].set()
        await acting.close()
