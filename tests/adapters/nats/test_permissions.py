"""The permissions of each user of the bus, enforced by the real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js import api
from nats.js.errors import BadRequestError

from release_management.adapters.nats.access.permissions import USERS, inbox_prefix, users
from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.connection import NatsConnection, connect
from release_management.adapters.nats.dead_letters.store import DeadLetters
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.events import NatsEventStream
from release_management.adapters.nats.gateway import BusGateway
from release_management.adapters.nats.orders import ExecutorService, NatsOrderChannel
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.commands import CommandService
from release_management.adapters.nats.requests.queries import QueryService
from release_management.services.ports.bus import BusAwayError
from tests.adapters.nats.fakes import (
    FakeExecutor,
    FakeGateway,
    FakeKeyring,
    WatchedServer,
    connected,
    envelope,
    order,
    record,
    running,
    watch,
)
from tests.adapters.nats.test_client import answer
from tests.adapters.nats.test_origins import machine_command

EXECUTORS = ("local", "edge")
EVERYBODY = tuple(users(EXECUTORS))
API = "$JS.API"

MAY_PUBLISH = {
    "relman.ask.command.release.create": {"client"},
    "relman.ask.outcome": {"client", "orchestrator", "timers"},
    "relman.ask.query.releases": {"client"},
    "relman.ask.dead_letters": {"client"},
    "relman.ask.dead_letters.replay": {"client"},
    "relman.commands.release.create": {"client", "gateway"},
    "relman.system.deployment.resume": {"orchestrator", "timers"},
    "relman.reports.local": {"executor-local", "gateway"},
    "relman.reports.edge": {"executor-edge", "gateway"},
    "relman.looks.local": {"executor-local"},
    "relman.looks.edge": {"executor-edge"},
    "relman.orders.local.staging": {"orchestrator", "gateway"},
    "relman.events.release.created": {"relay"},
    "relman.dead.letter": {"gateway"},
    "relman.dead.orders.local": {"executor-local"},
    "relman.dead.orders.edge": {"executor-edge"},
    "ci.answers": {"gateway"},
    "somewhere.else": set(),
    "$SYS.REQ.SERVER.PING": set(),
    "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.RELMAN_ORDERS.local": set(),
    f"{API}.INFO": set(EVERYBODY),
    f"{API}.STREAM.LIST": set(),
    f"{API}.CONSUMER.LIST.RELMAN_ORDERS": set(),
    f"{API}.STREAM.CREATE.RELMAN_EVENTS": {"relay"},
    f"{API}.STREAM.UPDATE.RELMAN_COMMANDS": {"gateway"},
    f"{API}.STREAM.CREATE.OTHER": set(),
    **{f"{API}.STREAM.{verb}.{name}": set() for verb in ("DELETE", "PURGE") for name in (streams.EVENTS, streams.DEAD)},
    f"{API}.STREAM.MSG.GET.RELMAN_EVENTS": {"client", "relay"},
    f"{API}.DIRECT.GET.RELMAN_EVENTS": {"client"},
    f"{API}.STREAM.MSG.GET.RELMAN_COMMANDS": {"gateway"},
    f"{API}.STREAM.MSG.GET.RELMAN_ORDERS": {"gateway"},
    f"{API}.STREAM.MSG.GET.RELMAN_DEAD": {"gateway"},
    f"{API}.STREAM.MSG.DELETE.RELMAN_EVENTS": set(),
    f"{API}.STREAM.MSG.DELETE.RELMAN_DEAD": {"gateway"},
    f"{API}.CONSUMER.CREATE.RELMAN_EVENTS": set(),
    f"{API}.CONSUMER.CREATE.RELMAN_EVENTS.mine": set(),
    f"{API}.CONSUMER.CREATE.RELMAN_EVENTS.client-1": {"client"},
    f"{API}.CONSUMER.CREATE.RELMAN_EVENTS.client-4.relman.events.>": {"client"},
    f"{API}.CONSUMER.CREATE.RELMAN_EVENTS.client-5": set(),
    f"{API}.CONSUMER.DURABLE.CREATE.RELMAN_EVENTS.mine": set(),
    f"{API}.CONSUMER.LIST.RELMAN_EVENTS": {"relay"},
    f"{API}.CONSUMER.DELETE.RELMAN_EVENTS.mine": {"relay"},
    f"{API}.CONSUMER.DELETE.RELMAN_EVENTS.client-1": {"client", "relay"},
    f"{API}.CONSUMER.CREATE.RELMAN_COMMANDS.gateway": {"gateway"},
    f"{API}.CONSUMER.CREATE.RELMAN_COMMANDS.other": set(),
    f"{API}.CONSUMER.CREATE.RELMAN_DEAD.mine": set(),
    f"{API}.CONSUMER.CREATE.RELMAN_ORDERS.local.relman.orders.local.*": {"executor-local"},
    f"{API}.CONSUMER.CREATE.RELMAN_ORDERS.edge.relman.orders.local.*": set(),
    f"{API}.CONSUMER.CREATE.RELMAN_ORDERS.local.relman.orders.edge.*": set(),
    f"{API}.CONSUMER.CREATE.RELMAN_ORDERS.local": set(),
    f"{API}.CONSUMER.CREATE.RELMAN_ORDERS": set(),
    f"{API}.CONSUMER.DURABLE.CREATE.RELMAN_ORDERS.local": set(),
    f"{API}.CONSUMER.MSG.NEXT.RELMAN_ORDERS.local": {"executor-local"},
    f"{API}.CONSUMER.MSG.NEXT.RELMAN_ORDERS.edge": {"executor-edge"},
    f"{API}.CONSUMER.MSG.NEXT.RELMAN_COMMANDS.gateway": {"gateway"},
    f"{API}.CONSUMER.DELETE.RELMAN_COMMANDS.gateway": {"gateway"},
    f"{API}.CONSUMER.MSG.NEXT.RELMAN_REPORTS.gateway": {"gateway"},
    f"{API}.CONSUMER.INFO.RELMAN_REPORTS.gateway": {"gateway", "orchestrator", "timers"},
    f"{API}.STREAM.INFO.RELMAN_REPORTS": {"gateway", "orchestrator", "timers"},
    f"{API}.STREAM.UPDATE.RELMAN_REPORTS": {"gateway"},
    f"{API}.STREAM.PURGE.RELMAN_REPORTS": set(),
    "$JS.ACK.RELMAN_ORDERS.local.1.1.1.1.0": {"executor-local"},
    "$JS.ACK.RELMAN_COMMANDS.gateway.1.1.1.1.0": {"gateway"},
}
MAY_SUBSCRIBE = {
    "relman.ask.command.>": {"gateway"},
    "relman.ask.outcome": {"gateway"},
    "relman.ask.query.>": {"projector"},
    "relman.ask.dead_letters": {"gateway"},
    "relman.ask.dead_letters.replay": {"gateway"},
    "relman.system.>": {"gateway"},
    "relman.events.>": {"client"},
    "relman.commands.>": set(),
    "relman.reports.*": set(),
    "relman.looks.*": {"projector"},
    "relman.orders.>": set(),
    "relman.orders.local.*": set(),
    "relman.dead.>": set(),
    ">": set(),
    "*.>": set(),
    "$JS.>": set(),
    "$SYS.>": set(),
    "_INBOX.>": {"client"},
    "ci.answers": {"client"},
    **{f"{inbox_prefix(user)}.>": {user} for user in EVERYBODY},
}


@contextlib.asynccontextmanager
async def user_of(server: NatsServer, user: str) -> AsyncIterator[tuple[NatsConnection, list[str]]]:
    """A user's connection, with what the server has told him that he may not."""
    connection = await connect(server.urls[user], f"test {user}")
    refusals: list[str] = []

    async def refused(error: Exception) -> None:
        refusals.append(str(error).lower())

    connection._error_cb = refused
    try:
        yield connection, refusals
    finally:
        await connection.close()


def refused(subjects: Iterable[str], refusals: Sequence[str]) -> set[str]:
    return {subject for subject in subjects if any(f'"{subject.lower()}"' in text for text in refusals)}


@pytest.mark.parametrize("user", EVERYBODY)
async def test_a_user_may_what_it_needs_and_nothing_else(tmp_path: Path, user: str) -> None:
    with NatsServer(tmp_path, executors=EXECUTORS) as server:
        async with user_of(server, user) as (connection, refusals):
            for subject in MAY_PUBLISH:
                await connection.publish(subject, b"{}")
            await connection.flush()
            assert refused(MAY_PUBLISH, refusals) == {each for each, who in MAY_PUBLISH.items() if user not in who}
            refusals.clear()
            for subject in MAY_SUBSCRIBE:
                await connection.subscribe(subject)
            await connection.flush()
            assert refused(MAY_SUBSCRIBE, refusals) == {each for each, who in MAY_SUBSCRIBE.items() if user not in who}


def test_every_permission_is_in_the_matrix_or_below_what_is() -> None:
    assert {user for who in (*MAY_PUBLISH.values(), *MAY_SUBSCRIBE.values()) for user in who} == set(EVERYBODY)
    assert not any(">" in each.publish or ">" in each.subscribe for each in USERS.values())


async def test_every_role_does_its_work_as_its_own_user(server: NatsServer) -> None:
    """A command is asked, queued and given by a role; an order is carried out and reported; records are published."""
    async with contextlib.AsyncExitStack() as stack:
        names = ("gateway", "projector", "orchestrator", "relay", "executor-local")
        users = {name: await stack.enter_async_context(user_of(server, name)) for name in names}
        bus = {name: connection for name, (connection, _) in users.items()}
        await streams.ensure_streams(bus["gateway"].jetstream())
        await streams.ensure_streams(bus["relay"].jetstream(), names=[streams.EVENTS])
        letters, gateway = DeadLetters(bus["gateway"], FakeKeyring()), FakeGateway()
        commands, queries = CommandService(bus["gateway"], gateway, letters), QueryService(bus["projector"], answer)
        await stack.enter_async_context(running(commands.run(), commands.ready))
        await stack.enter_async_context(running(queries.run(), queries.ready))
        executor = FakeExecutor()
        await stack.enter_async_context(running(ExecutorService(bus["executor-local"], "local", executor).run()))
        client = await stack.enter_async_context(BusClient(server.url))
        foreign = await nats.connect(server.url)
        stack.push_async_callback(foreign.close)

        assert (await client.ask(envelope("asked"))).status == "accepted"
        answers = await foreign.subscribe("ci.answers")
        inbox = await foreign.subscribe(foreign.new_inbox())
        for reply_to in (answers.subject, inbox.subject):
            await client.send(envelope(reply_to), reply_to=reply_to)
        for subscription in (answers, inbox):
            assert json.loads((await subscription.next_msg(timeout=5)).data)["status"] == "accepted"
        assert (await BusGateway(bus["orchestrator"]).submit(machine_command("given"))).status == "accepted"
        assert await client.query("echo") == [{"params": {}, "after": 0}]

        await NatsOrderChannel(bus["orchestrator"]).send(order(), 0)
        while (seen := await gateway.calls.get()) in ("asked", "given", answers.subject, inbox.subject):
            pass
        assert gateway.seen[-1].id == seen
        assert gateway.seen[-1].sender == "executor:local"

        stream = NatsEventStream(bus["relay"], "store")
        await stream.publish([record(position) for position in range(1, 21)])
        assert (await stream.last_position(), await stream.event_at(20)) == (20, "event-20")
        async with contextlib.aclosing(client.events()) as events:
            assert [(await anext(events)).position for _ in range(20)] == list(range(1, 21))
        pulled = await foreign.jetstream().pull_subscribe("relman.events.>", "client-1", stream=streams.EVENTS)
        fetched = await pulled.fetch(20, timeout=5)
        assert [message.metadata.sequence.stream for message in fetched] == list(range(1, 21))
        for message in fetched:
            await message.ack_sync()

        await foreign.jetstream().publish("relman.commands.release.create", b"no command")
        while not (found := await client.dead_letters()):
            await asyncio.sleep(0.01)
        assert "not JSON" in found[0].reason
        assert [said for _, refusals in users.values() for said in refusals] == []


STREAM_SUBJECTS = (
    "relman.events.release.created",
    "relman.orders.edge.staging",
    "relman.reports.edge",
    "relman.dead.letter",
    "relman.dead.orders.edge",
    "relman.system.deployment.resume",
)


@pytest.mark.parametrize("user", ["client", "executor-local"])
async def test_no_user_has_an_answer_sent_to_where_it_may_not_publish(tmp_path: Path, user: str) -> None:
    """The server checks where a question goes, not where its answer goes to."""
    with WatchedServer(tmp_path, executors=EXECUTORS) as server:
        async with connected(server) as bus, user_of(server, user) as (attacker, refusals):
            ours = await watch(bus, "relman.system.>")
            stream = NatsEventStream(bus.events, "store")
            await stream.publish([record(1)])
            config = api.ConsumerConfig(durable_name="client-1", ack_policy=api.AckPolicy.NONE)
            await bus.events.jetstream().add_consumer(streams.EVENTS, config)
            asked = [subject for subject in users(EXECUTORS)[user].publish if not subject.startswith(f"{API}.CONSUMER")]
            questions = [subject.replace("*", "mine").replace(">", "mine") for subject in asked]
            questions.append(f"{API}.CONSUMER.MSG.NEXT.{streams.EVENTS}.client-1" if user == "client" else questions[0])

            for reply in STREAM_SUBJECTS:
                for question in questions:
                    await attacker.publish(question, b'{"seq":1}' if "MSG.GET" in question else b"", reply=reply)
            await attacker.flush()
            queue = streams.COMMANDS if user == "client" else streams.REPORTS
            while (await state(bus.connection, queue)).messages < len(STREAM_SUBJECTS):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)

            stored = {
                name: list((await state(bus.connection, name, subjects=True)).subjects or {}) for name in streams.WORK
            }
            assert stored == {
                streams.COMMANDS: ["relman.commands.mine"] if user == "client" else [],
                streams.REPORTS: [] if user == "client" else ["relman.reports.local"],
                streams.ORDERS: [],
                streams.DEAD: [] if user == "client" else ["relman.dead.orders.local"],
            }
            assert (await state(bus.events, streams.EVENTS)).last_seq == 1
            assert ours.pending_msgs == 0
            assert refusals == []
            await stream.publish([record(2)])


async def test_messages_delivered_to_a_client_cannot_reach_a_stream(server: NatsServer) -> None:
    """A consumer delivers to any subject of the account that its stream is in; nothing else is in that one."""
    async with connected(server) as bus, user_of(server, "client") as (attacker, _):
        await NatsEventStream(bus.events, "store").publish([record(1)])
        for goal in STREAM_SUBJECTS:
            pushed = api.ConsumerConfig(name="client-1", deliver_subject=goal, ack_policy=api.AckPolicy.NONE)
            with contextlib.suppress(BadRequestError):
                await attacker.jetstream().add_consumer(streams.EVENTS, pushed)
        await asyncio.sleep(0.2)
        for name in streams.WORK:
            assert (await state(bus.connection, name)).last_seq == 0
        assert (await state(bus.events, streams.EVENTS)).last_seq == 1


async def test_an_executor_has_its_orders_delivered_to_no_stream_of_events(server: NatsServer) -> None:
    async with connected(server) as bus, user_of(server, "executor-local") as (attacker, _):
        await NatsOrderChannel(bus.connection).send(order(), 0)
        pushed = api.ConsumerConfig(
            name="local",
            durable_name="local",
            filter_subject="relman.orders.local.*",
            deliver_subject="relman.events.release.created",
        )
        await attacker.jetstream().add_consumer(streams.ORDERS, pushed)
        await asyncio.sleep(0.2)
        assert (await state(bus.events, streams.EVENTS)).last_seq == 0


async def state(connection: NatsConnection, stream: str, *, subjects: bool = False) -> api.StreamState:
    js = connection.jetstream()
    return (await js.stream_info(stream, subjects_filter=">" if subjects else None)).state


async def test_an_executor_cannot_take_the_orders_of_another(server: NatsServer) -> None:
    async with connected(server) as bus, user_of(server, "executor-command") as (thief, _):
        await NatsOrderChannel(bus.connection).send(order(), 0)
        js = thief.jetstream(timeout=0.3)
        for name, wanted in (("local", "relman.orders.local.*"), ("command", "relman.orders.local.*"), ("command", "")):
            config = api.ConsumerConfig(durable_name=name, name=name, filter_subject=wanted or None)
            with pytest.raises(TimeoutError):
                await js.add_consumer(streams.ORDERS, config)
        # The subject of the request may be his own; what stands in it may not differ.
        own = f"{API}.CONSUMER.CREATE.{streams.ORDERS}.command.relman.orders.command.*"
        others: tuple[dict[str, Any], ...] = (
            {"filter_subject": "relman.orders.>"},
            {"filter_subjects": ["relman.orders.local.*"]},
        )
        for other in others:
            made = {"durable_name": "command", "name": "command", "ack_policy": "explicit", **other}
            request = json.dumps({"stream_name": streams.ORDERS, "config": made}).encode()
            assert "error" in json.loads((await thief.request(own, request, timeout=1)).data)


async def test_a_strangers_connection_is_refused(server: NatsServer) -> None:
    with pytest.raises(BusAwayError):
        await connect(server.url.replace("client:", "stranger:"), "test", timeout=0.3)
    with pytest.raises(BusAwayError):
        await connect(f"nats://127.0.0.1:{server.url.rpartition(':')[2]}", "test", timeout=0.3)
