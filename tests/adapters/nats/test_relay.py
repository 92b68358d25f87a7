"""Every record goes out once, in order, byte for byte, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from nats.aio.msg import Msg
from nats.js import api

from release_management.adapters.nats.connection import header
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.events import NatsEventStream
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.publishing import publish
from release_management.adapters.nats.queues.pulling import Puller
from release_management.services.ports.bus import BusError, OutOfStepError
from release_management.services.workers.relay import Relay, RelayMismatchError
from tests.adapters.nats.fakes import (
    Bus,
    FakeLog,
    connected,
    record,
    running,
)

ROOT = Path(__file__).parents[3]
RELAY_PROCESS = """
import asyncio, sys
from release_management.adapters.nats.connection import connect
from release_management.adapters.nats.events import NatsEventStream
from release_management.services.workers.relay import Relay
from tests.adapters.nats.fakes import FakeLog

async def main():
    connection = await connect(sys.argv[1], "relay")
    await Relay(FakeLog(20_000), NatsEventStream(connection, "store")).run()

asyncio.run(main())
"""


def relay(bus: Bus, log: FakeLog) -> Relay:
    return Relay(log, NatsEventStream(bus.events, log.store_id))


async def until(bus: Bus, position: int) -> list[Msg]:
    """Return the stream's messages, once it holds the given position."""
    everything = api.ConsumerConfig(ack_policy=api.AckPolicy.NONE, mem_storage=True)
    puller = Puller(bus.events, streams.EVENTS, lambda: everything, batch=lambda: 256, fresh=True)
    seen: list[Msg] = []
    async with contextlib.aclosing(puller.messages()) as messages:
        async for message in messages:
            seen.append(message)
            if header(message, streams.POSITION) == str(position):
                break
    return seen


async def stored(bus: Bus, last: int) -> list[bytes]:
    js = bus.events.jetstream()
    assert (await js.stream_info(streams.EVENTS)).state.last_seq == last
    messages = [await js.get_msg(streams.EVENTS, sequence) for sequence in range(1, last + 1)]
    return [message.data or b"" for message in messages]


async def test_records_are_published_byte_for_byte_with_their_position(server: NatsServer) -> None:
    log = FakeLog(3)
    async with connected(server) as bus:
        async with running(relay(bus, log).run()):
            await until(bus, 3)
            log.grow(record(4))
            seen = await until(bus, 4)

        assert [message.data for message in seen] == [each.record for each in log.records]
        assert {message.subject for message in seen} == {"relman.events.deployment.step_succeeded"}
        assert {header(message, "content-type") for message in seen} == {"application/cloudevents+json"}
        assert [header(message, "Nats-Msg-Id") for message in seen] == [f"store:{n}" for n in (1, 2, 3, 4)]
        assert await stored(bus, 4) == [each.record for each in log.records]


async def test_more_than_one_page_goes_out_in_order(server: NatsServer) -> None:
    log = FakeLog(1_000)
    async with connected(server) as bus:
        async with running(relay(bus, log).run()):
            seen = await until(bus, 1_000)

        assert [message.data for message in seen] == [each.record for each in log.records]


async def test_a_relay_that_is_killed_is_followed_by_one_that_goes_on(server: NatsServer) -> None:
    async with connected(server) as bus:
        with subprocess.Popen([sys.executable, "-c", RELAY_PROCESS, server.urls["relay"]], cwd=ROOT) as killed:
            await until(bus, 257)
            killed.kill()
            killed.wait()
        # What the killed one had already sent may still be arriving: `reached` is where it was at least.
        reached = await NatsEventStream(bus.events, "store").last_position()
        log = FakeLog(20_000)

        async with running(relay(bus, log).run()):
            await until(bus, reached + 1_500)

        assert 257 <= reached < 18_000
        js = bus.events.jetstream()
        assert (await js.stream_info(streams.EVENTS)).state.last_seq >= reached + 1_500
        for position in (1, 256, 257, reached, reached + 1, reached + 1_500):
            assert (await js.get_msg(streams.EVENTS, position)).data == log.records[position - 1].record


async def test_the_relay_goes_on_when_the_bus_was_away(server: NatsServer) -> None:
    log = FakeLog(2)
    async with connected(server) as bus:
        async with running(relay(bus, log).run()):
            await until(bus, 2)
            server.stop()
            log.grow(record(3))
            server.start()
            await until(bus, 3)

        assert await stored(bus, 3) == [each.record for each in log.records]


async def test_two_relays_publish_everything_once(server: NatsServer) -> None:
    log = FakeLog(600)
    async with connected(server) as bus, connected(server) as other:
        async with running(relay(bus, log).run()), running(relay(other, log).run()):
            await until(bus, 600)
            log.grow(record(601))
            await until(bus, 601)

        assert await stored(bus, 601) == [each.record for each in log.records]


async def test_a_stale_relay_is_refused(server: NatsServer) -> None:
    log = FakeLog(10)
    async with connected(server) as bus:
        stream = NatsEventStream(bus.events, "store")
        await stream.publish(log.records)

        for late in (log.records[4:6], log.records[9:], [record(12)]):
            with pytest.raises(OutOfStepError):
                await stream.publish(late)
        with pytest.raises(OutOfStepError, match="do not follow"):
            await stream.publish([record(11), record(13)])

        assert await stored(bus, 10) == [each.record for each in log.records]


async def test_a_log_that_lost_records_stops_the_relay_loudly(server: NatsServer) -> None:
    async with connected(server) as bus:
        await NatsEventStream(bus.events, "store").publish(FakeLog(5).records)

        with pytest.raises(RelayMismatchError, match="ends at position 5, but the log ends at 3"):
            await relay(bus, FakeLog(3)).run()


async def test_a_log_that_went_on_differently_stops_the_relay_loudly(server: NatsServer) -> None:
    log = FakeLog(4)
    log.grow(record(5, id="another"), record(6))
    async with connected(server) as bus:
        await NatsEventStream(bus.events, "store").publish(FakeLog(5).records)

        with pytest.raises(RelayMismatchError, match="holds the event event-5, but the log holds another"):
            await relay(bus, log).run()


@pytest.mark.parametrize("payload", [b"x", b'{"id":"forged"}'])
async def test_a_message_that_is_no_record_stops_the_relay_and_is_not_called_a_backup(
    server: NatsServer, payload: bytes
) -> None:
    log = FakeLog(5)
    async with connected(server) as bus:
        await NatsEventStream(bus.events, "store").publish(log.records)
        await publish(bus.events, "relman.events.foreign", payload, {})

        with pytest.raises(RelayMismatchError, match="ends at 6 with a message that is no record: somebody") as said:
            await relay(bus, log).run()
        assert "backup" not in str(said.value)


async def test_when_old_events_have_aged_out_the_sequence_goes_on(server: NatsServer) -> None:
    log = FakeLog(5)
    async with connected(server) as bus:
        stream = NatsEventStream(bus.events, "store")
        await stream.publish(log.records)
        await bus.events.jetstream().purge_stream(streams.EVENTS)
        log.grow(record(6))

        async with running(relay(bus, log).run()):
            assert [message.data for message in await until(bus, 6)] == [log.records[5].record]
        assert await stream.event_at(5) is None
        assert await stream.last_position() == 6


async def test_a_cancelled_relay_leaves_the_log_alone(server: NatsServer) -> None:
    log = FakeLog(1)
    async with connected(server) as bus, running(relay(bus, log).run()):
        await until(bus, 1)

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_without_a_stream_publishing_is_an_error(server: NatsServer) -> None:
    async with connected(server) as bus:
        await bus.events.jetstream().delete_stream(streams.EVENTS)
        with pytest.raises(BusError):
            await NatsEventStream(bus.events, "store").publish(FakeLog(1).records)
