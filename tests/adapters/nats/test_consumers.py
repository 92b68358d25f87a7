"""Consumers of the events: few and named, so that no client's keep another from following."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from nats.js import api
from nats.js.errors import BadRequestError

from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.connection import connect
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.events import NatsEventStream
from release_management.adapters.nats.queues import streams
from tests.adapters.nats.fakes import (
    FakeLog,
    connected,
    record,
)
from tests.adapters.nats.test_permissions import user_of

ATTEMPTS = 1_000
DAY = 86_400.0


async def test_a_thousand_attempts_leave_everybody_able_to_follow(server: NatsServer) -> None:
    log = FakeLog(600)
    async with connected(server) as bus, user_of(server, "client") as (attacker, _):
        await NatsEventStream(bus.events, "store").publish(log.records)
        for n in range(ATTEMPTS):
            name = f"client-{n}"
            config = {"name": name, "durable_name": name, "ack_policy": "explicit"}
            wanted = json.dumps({"stream_name": streams.EVENTS, "config": config}).encode()
            for subject in (f"CREATE.{streams.EVENTS}.{name}", f"DURABLE.CREATE.{streams.EVENTS}.{name}"):
                await attacker.publish(f"$JS.API.CONSUMER.{subject}", wanted, reply=attacker.new_inbox())
        await attacker.publish(f"$JS.API.CONSUMER.CREATE.{streams.EVENTS}", wanted, reply=attacker.new_inbox())
        await attacker.flush()

        async with BusClient(server.url) as follower, contextlib.aclosing(follower.events(after=3)) as events:
            assert [await anext(events) for _ in range(597)] == log.records[3:]
        info = await bus.events.jetstream().stream_info(streams.EVENTS)
        assert info.state.consumer_count <= streams.EVENT_CONSUMERS


async def test_following_the_events_leaves_nothing_at_the_server(server: NatsServer) -> None:
    log = FakeLog(3)
    async with connected(server) as bus:
        await NatsEventStream(bus.events, "store").publish(log.records)
        for _ in range(5):
            async with BusClient(server.url) as follower, contextlib.aclosing(follower.events()) as events:
                assert [await anext(events) for _ in range(3)] == log.records
        assert (await bus.events.jetstream().stream_info(streams.EVENTS)).state.consumer_count == 0


async def test_a_new_event_is_seen_at_once_and_not_at_the_next_look(server: NatsServer) -> None:
    async with connected(server) as bus, BusClient(server.url) as client:
        stream = NatsEventStream(bus.events, "store")
        await stream.publish([record(1)])
        async with contextlib.aclosing(client.events()) as events:
            await anext(events)
            took = []
            for position in range(2, 12):
                waiting = asyncio.ensure_future(anext(events))
                await asyncio.sleep(0.2)
                begun = asyncio.get_running_loop().time()
                await stream.publish([record(position)])
                assert (await waiting).position == position
                took.append(asyncio.get_running_loop().time() - begun)
        assert sorted(took)[5] < 0.5


async def test_a_consumer_that_nobody_uses_is_removed_whatever_its_maker_configured(server: NatsServer) -> None:
    async with connected(server), user_of(server, "client") as (client, _):
        js = client.jetstream()
        for durable in (None, "client-1"):
            config = api.ConsumerConfig(name="client-1", durable_name=durable, ack_policy=api.AckPolicy.EXPLICIT)
            made = await js.add_consumer(streams.EVENTS, config)
            assert made.config.inactive_threshold == streams.CONSUMER_IDLE_SECONDS
            await js.delete_consumer(streams.EVENTS, "client-1")
            with pytest.raises(BadRequestError, match="inactive threshold"):
                await js.add_consumer(streams.EVENTS, config.evolve(inactive_threshold=365 * DAY))
        brief = config.evolve(inactive_threshold=0.2)
        await js.add_consumer(streams.EVENTS, brief)
        async with asyncio.timeout(30):
            while (await js.stream_info(streams.EVENTS)).state.consumer_count:
                await asyncio.sleep(0.05)


async def test_no_consumer_pushes_into_an_inbox(server: NatsServer) -> None:
    async with connected(server) as bus, user_of(server, "client") as (attacker, _):
        await NatsEventStream(bus.events, "store").publish([record(1)])
        victim = await connect(server.url, "victim")
        inbox = await victim.subscribe("_INBOX.>")
        await victim.flush()
        config = api.ConsumerConfig(name="client-1", deliver_subject="_INBOX.victim", ack_policy=api.AckPolicy.NONE)
        await attacker.jetstream().add_consumer(streams.EVENTS, config)
        await asyncio.sleep(0.3)
        assert [message.subject for message in await heard(inbox) if message.headers] == []
        await victim.close()


async def test_consumers_from_before_there_were_limits_are_removed_when_limits_come(server: NatsServer) -> None:
    async with connected(server) as bus:
        js = bus.events.jetstream(timeout=30)
        limited = next(each for each in streams.configurations() if each.name == streams.EVENTS)
        await js.delete_stream(streams.EVENTS)
        await js.add_stream(limited.evolve(consumer_limits=None, allow_direct=None))
        old = api.ConsumerConfig(ack_policy=api.AckPolicy.NONE, inactive_threshold=365 * DAY)
        await asyncio.gather(*(js.add_consumer(streams.EVENTS, old, durable_name=f"old-{n}") for n in range(300)))
        relay = await connect(server.urls["relay"], "relay")

        for _ in range(2):
            await streams.ensure_streams(relay.jetstream(timeout=30), names=[streams.EVENTS])
        info = await js.stream_info(streams.EVENTS)
        assert info.state.consumer_count == 0
        assert info.config.allow_direct

        await js.add_consumer(streams.EVENTS, api.ConsumerConfig(name="client-1"))
        await streams.ensure_streams(relay.jetstream(), names=[streams.EVENTS])
        assert (await js.stream_info(streams.EVENTS)).state.consumer_count == 1, "those of today stay"
        await relay.close()


async def heard(subscription: Any) -> list[Any]:
    messages = []
    while subscription.pending_msgs:
        messages.append(await subscription.next_msg(timeout=1))
    return messages
