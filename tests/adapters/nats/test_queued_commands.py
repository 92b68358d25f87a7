"""Queued commands make room for all else that comes on the bus, and each client has a queue of its own."""

from __future__ import annotations

import asyncio

from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.gateway import BusGateway
from release_management.adapters.nats.lines import WINDOW, YIELDING_WINDOW
from release_management.adapters.nats.publishing import publish
from release_management.adapters.nats.server import NatsServer
from tests.adapters.nats.fakes import connected, running, serving, wish
from tests.adapters.nats.test_origins import machine_wish
from tests.adapters.nats.test_reports import report, service


async def test_queued_commands_yield_and_nothing_else_does(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client, asyncio.timeout(30):
        bus.gateway.plan = {"queued": ["busy"]}
        await client.send(wish("queued"))
        await publish(bus.connection, "relman.reports.local", report("report"), {})
        await client.ask(wish("asked"))
        await BusGateway(bus.connection).submit(machine_wish("machine"))
        while await client.outcome("ci", "queued") is None:
            await asyncio.sleep(0.01)
        assert {each.id for each in bus.gateway.seen} == {"queued", "report", "asked", "machine"}
        assert bus.gateway.yielding == ["queued", "queued"], "also when it is tried again"


async def test_few_queued_commands_are_worked_on_while_others_come(server: NatsServer) -> None:
    async with connected(server) as bus, BusClient(server.url) as client, asyncio.timeout(30):
        gate = asyncio.Event()
        for number in range(WINDOW):
            bus.gateway.plan[str(number)] = [gate]
            await client.send(wish(str(number)))
        bus.gateway.others_come = True
        async with running(service(bus).run()):
            begun = [await bus.gateway.calls.get() for _ in range(YIELDING_WINDOW)]
            await publish(bus.connection, "relman.reports.local", report("report"), {})
            assert await bus.gateway.calls.get() == "report", "no further queued command came before it"
            gate.set()
            begun += [await bus.gateway.calls.get() for _ in range(WINDOW - YIELDING_WINDOW)]
    assert begun == [str(number) for number in range(WINDOW)]
