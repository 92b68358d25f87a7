"""A command's sender follows from the subject that it came on; no client can pass for another."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.gateway import BusGateway
from release_management.adapters.nats.queues.acknowledging import BURIED
from release_management.adapters.nats.queues.commands import CommandService
from release_management.adapters.nats.queues.publishing import publish
from release_management.adapters.nats.requests.queries import QueryService
from release_management.kernel.types import Giver
from release_management.services.envelope import CommandEnvelope
from release_management.services.paging.pages import Page
from release_management.services.ports import DeposedError, LogUnavailableError
from release_management.services.ports.bus import (
    BusAwayError,
    GatewayFailed,
    OlderThanSenderError,
)
from release_management.services.use_cases import given_by
from tests.adapters.nats.fakes import (
    Bus,
    all_letters,
    connected,
    envelope,
    running,
    serving,
    watch,
)

ACKS = "$JS.ACK.*.gateway.>"


def machine_command(id: str = "1", command: str = "deployment.resume", **changes: Any) -> CommandEnvelope:
    sender = changes.pop("sender", "system:timers")
    return envelope(id, command, sender=sender, actor=sender, actorkind="system", actorauth="system", **changes)


def event(source: str, command: str, **changes: Any) -> bytes:
    about = {"specversion": "1.0", "id": "1", "source": source, "type": command, "data": {"a": 1}}
    return json.dumps(about | changes).encode()


async def queued(bus: Bus, subject: str, payload: bytes, headers: dict[str, str] | None = None) -> bytes:
    """Queue a message and return its outcome."""
    settled = await watch(bus, ACKS)
    await publish(bus.connection, subject, payload, headers or {})
    answer: bytes = (await settled.next_msg(timeout=5)).data
    await settled.unsubscribe()
    return answer


async def test_a_role_submits_over_the_bus_as_the_machinery(server: NatsServer) -> None:
    async with serving(server) as bus:
        gateway = BusGateway(bus.connection)
        asked = machine_command(correlationid="c", causationid="b")

        outcome = await gateway.submit(asked)

        assert (outcome.status, outcome.sender) == ("accepted", "system:timers")
        assert bus.gateway.seen == [asked]
        assert (await gateway.submit(asked)).status == "repeated"
        assert await gateway.outcome("system:timers", "1") == outcome
        assert await gateway.outcome("system:timers", "2") is None


async def test_a_role_asks_again_until_there_is_a_gateway_and_says_when_there_is_none(server: NatsServer) -> None:
    async with connected(server) as bus:
        with pytest.raises(BusAwayError, match=r"nobody listens on relman.system.deployment.resume within 0\.2 s"):
            await BusGateway(bus.connection, timeout=0.2).submit(machine_command())

        asking = asyncio.create_task(BusGateway(bus.connection).submit(machine_command()))
        service = CommandService(bus.connection, bus.gateway, bus.dead_letters)
        async with running(service.run(), service.ready):
            assert (await asking).status == "accepted"


async def test_a_command_of_a_newer_role_is_busy_not_refused_for_ever(server: NatsServer) -> None:
    async with serving(server) as bus:
        bus.gateway.plan = {"1": [OlderThanSenderError("this gateway is older than system:timers")]}
        outcome = await BusGateway(bus.connection).submit(machine_command(command="deployment.levitate"))

        assert outcome.status == "busy"
        assert "older" in (outcome.reason or "")


async def test_a_malformed_command_of_our_own_role_is_a_fault_of_ours(server: NatsServer) -> None:
    async with serving(server) as bus:
        with pytest.raises(GatewayFailed, match="must be one of system:orchestrator, system:timers"):
            await BusGateway(bus.connection).submit(machine_command(sender="system:nobody"))


@pytest.mark.parametrize(
    ("source", "command", "reason"),
    [
        ("system:timers", "release.create", "may not begin with 'system:'"),
        ("executor:local", "release.create", "may not begin with 'executor:'"),
        ("ci", "deployment.report_step", "taken on relman.reports.<executor> only"),
        *(("ci", command, "nobody else can") for command in sorted(given_by(Giver.ORCHESTRATOR, Giver.TIMERS))),
    ],
)
async def test_a_client_cannot_pass_for_a_role(server: NatsServer, source: str, command: str, reason: str) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        reply = await bus.connection.request(f"relman.ask.command.{command}", event(source, command))
        assert reason in json.loads(reply.data)["reason"]
        assert await queued(bus, f"relman.commands.{command}", event(source, command)) == BURIED

        assert [reason in letter.reason for letter in await client.dead_letters()] == [True, True]
        assert bus.gateway.seen == []


async def test_an_executors_report_is_from_whom_the_subject_names(server: NatsServer) -> None:
    async with serving(server) as bus:
        report = event("executor:local", "deployment.report_step")
        assert await queued(bus, "relman.reports.local", report) == b"+ACK"

        (seen,) = bus.gateway.seen
        assert (seen.sender, seen.actor, seen.actorkind) == ("executor:local", "executor:local", "service")


@pytest.mark.parametrize(
    ("source", "command", "headers", "reason"),
    [
        ("executor:other", "deployment.report_step", {}, "on this subject it must be 'executor:local'"),
        ("ci", "deployment.report_step", {}, "on this subject it must be 'executor:local'"),
        ("executor:local", "deployment.deploy", {}, "deployment.deploy is no report"),
        ("executor:local", "deployment.resume", {}, "deployment.resume is no report"),
        ("executor:local", "deployment.report_step", {"Relman-Actor": "alice"}, "have no actor"),
    ],
)
async def test_an_executor_can_only_report_and_only_as_itself(
    server: NatsServer, source: str, command: str, headers: dict[str, str], reason: str
) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        assert await queued(bus, "relman.reports.local", event(source, command), headers) == BURIED

        (letter,) = await client.dead_letters()
        assert reason in letter.reason
        assert bus.gateway.seen == []


async def test_reports_keep_their_order_and_commands_theirs(server: NatsServer) -> None:
    async with connected(server) as bus, BusClient(server.url) as client:
        for number in range(0, 40, 2):
            await client.send(envelope(str(number)))
            report = event("executor:local", "deployment.report_step", id=str(number + 1))
            await publish(bus.connection, "relman.reports.local", report, {})
        service = CommandService(bus.connection, bus.gateway, bus.dead_letters)
        async with running(service.run(), service.ready):
            calls = [int(await bus.gateway.calls.get()) for _ in range(40)]
            assert [number for number in calls if number % 2 == 0] == list(range(0, 40, 2))
            assert [number for number in calls if number % 2] == list(range(1, 40, 2))


async def test_a_deposed_gateway_leaves_everything_to_its_successor(server: NatsServer) -> None:
    async with connected(server) as bus, BusClient(server.url) as client:
        bus.gateway.plan = {id: [DeposedError("another holds it")] for id in ("asked", "queued")}
        deposed = CommandService(bus.connection, bus.gateway, bus.dead_letters)
        async with running(deposed.run(), deposed.ready):
            await client.send(envelope("queued"))
            assert await bus.gateway.calls.get() == "queued"
            asking = asyncio.create_task(client.ask(envelope("asked")))
            assert await bus.gateway.calls.get() == "asked"
        successor = CommandService(bus.connection, bus.gateway, bus.dead_letters)
        async with running(successor.run(), successor.ready):
            assert await bus.gateway.calls.get() == "queued"
            assert (await asking).status == "accepted"
        assert await all_letters(bus.dead_letters) == ()


async def test_a_log_that_does_not_answer_is_busy_and_costs_nothing(server: NatsServer) -> None:
    away = LogUnavailableError("the connection is refused")
    async with serving(server) as bus, BusClient(server.url) as client:
        bus.gateway.plan = {"asked": [away], "queued": [away] * 20}

        busy = await client.ask(envelope("asked"))
        assert (busy.status, "the connection is refused" in (busy.reason or "")) == ("busy", True)
        settled = await watch(bus, ACKS)
        await client.send(envelope("queued"))
        assert (await settled.next_msg(timeout=5)).data == b"+ACK"
        assert await all_letters(bus.dead_letters) == ()


async def test_several_projectors_share_the_queries(server: NatsServer) -> None:
    async with connected(server) as bus, connected(server) as other, BusClient(server.url) as client:
        answered = [0, 0]

        def answering(who: int) -> Any:
            async def answer(name: str, params: dict[str, Any], after: int) -> Page:
                answered[who] += 1
                return Page([{"who": who}])

            return answer

        one, two = QueryService(bus.connection, answering(0)), QueryService(other.connection, answering(1))
        async with running(one.run(), one.ready), running(two.run(), two.ready):
            for _ in range(100):
                await client.query("who")

        assert sum(answered) == 100
        assert min(answered) > 10


async def test_a_request_in_work_at_the_stop_is_still_answered(server: NatsServer) -> None:
    async with connected(server) as bus, BusClient(server.url) as client:
        gate = asyncio.Event()
        bus.gateway.plan = {"1": [gate]}
        service = CommandService(bus.connection, bus.gateway, bus.dead_letters)
        serving_ = asyncio.create_task(service.run())
        await service.ready.wait()
        asking = asyncio.create_task(client.ask(envelope("1")))
        await bus.gateway.calls.get()

        serving_.cancel()
        asyncio.get_running_loop().call_later(0.05, gate.set)
        assert (await asking).status == "accepted"
        await asyncio.wait([serving_])
        assert bus.gateway.calls.empty()
