"""A connection that survives its server, and consumers that survive anything."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from pathlib import Path

import pytest
from nats.aio.msg import Msg
from nats.js import api
from nats.js.errors import APIError
from structlog.testing import capture_logs

from release_management.adapters.nats.access.permissions import inbox_prefix
from release_management.adapters.nats.connection import Interrupted, connect
from release_management.adapters.nats.embedded import server as server_module
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.acknowledging import Ticker, settle
from release_management.adapters.nats.queues.publishing import (
    publish,
    publish_patiently,
    publish_together,
)
from release_management.adapters.nats.queues.pulling import Puller
from release_management.adapters.nats.wire.error_mapping import understood
from release_management.services.ports.bus import (
    BusAwayError,
    BusFullError,
    BusUnfitError,
    OutOfStepError,
)
from tests.adapters.nats.fakes import (
    WatchedServer,
    connected,
    watch,
)


def consumer() -> api.ConsumerConfig:
    return api.ConsumerConfig(durable_name="test", name="test", ack_wait=0.5)


async def test_without_a_server_connecting_says_so_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    with pytest.raises(BusAwayError, match=r"no connection to the bus within 0\.3 s"):
        await connect(f"nats://127.0.0.1:{port}", "test", timeout=0.3)


async def test_a_question_fails_at_once_when_the_connection_is_lost(server: NatsServer) -> None:
    async with connected(server) as bus:
        asked = await watch(bus, "silent")
        question = asyncio.create_task(bus.connection.request("silent", b"?", timeout=10))
        await asked.next_msg(timeout=5)

        began = time.monotonic()
        server.stop()
        with pytest.raises(Interrupted):
            await question
        assert time.monotonic() - began < 4.0


async def test_a_cancelled_question_is_cancelled_not_interrupted(server: NatsServer) -> None:
    async with connected(server) as bus:
        asked = await watch(bus, "silent")
        question = asyncio.create_task(bus.connection.request("silent", b"?", timeout=10))
        await asked.next_msg(timeout=5)

        question.cancel()
        with pytest.raises(asyncio.CancelledError):
            await question


@pytest.mark.parametrize("fresh", [True, False])
async def test_a_waiting_consumer_gets_a_message_at_once_after_a_server_restart(
    server: NatsServer, fresh: bool
) -> None:
    async with connected(server) as bus:
        pulls = await watch(bus, "$JS.API.CONSUMER.MSG.NEXT.>")
        puller = Puller(bus.connection, streams.COMMANDS, consumer, fresh=fresh)
        async with contextlib.aclosing(puller.messages()) as messages:
            waiting = asyncio.ensure_future(anext(messages))
            await pulls.next_msg(timeout=5)
            back = asyncio.Event()
            bus.connection.found.add(back.set)
            server.stop()
            server.start()
            await back.wait()

            began = time.monotonic()
            await publish(bus.connection, "relman.commands.a.b", b"hello", {})
            message = await waiting
            took = time.monotonic() - began

            assert message.data == b"hello"
            assert took < 4.0  # a pull lasts 5 s
            assert await settle(bus.connection, message)


async def test_a_consumer_that_vanished_is_made_again(server: NatsServer) -> None:
    async with connected(server) as bus:
        js = bus.connection.jetstream()
        pulls = await watch(bus, "$JS.API.CONSUMER.MSG.NEXT.>")
        puller = Puller(bus.connection, streams.COMMANDS, consumer)
        async with contextlib.aclosing(puller.messages()) as messages:
            waiting = asyncio.ensure_future(anext(messages))
            await pulls.next_msg(timeout=5)
            await js.delete_consumer(streams.COMMANDS, "test")
            await publish(bus.connection, "relman.commands.a.b", b"hello", {})

            began = time.monotonic()
            assert (await waiting).data == b"hello"
            assert time.monotonic() - began < 4.0


async def test_a_message_that_is_worked_on_does_not_come_again(server: NatsServer) -> None:
    async with connected(server) as bus:
        ticker = Ticker(0.1)
        ticking = asyncio.create_task(ticker.run())
        ticks = await watch(bus, "$JS.ACK.>")
        await publish(bus.connection, "relman.commands.a.b", b"slow", {})
        puller = Puller(bus.connection, streams.COMMANDS, consumer)
        async with contextlib.aclosing(puller.messages()) as messages:
            message = await anext(messages)
            again: asyncio.Future[Msg] = asyncio.ensure_future(anext(messages))
            with ticker.working(message):
                for _ in range(8):
                    assert (await ticks.next_msg(timeout=1)).data == b"+WPI"
                assert not again.done()
            assert (await again).metadata.num_delivered == 2
        ticking.cancel()


async def test_messages_published_together_are_stored_all_or_none(server: NatsServer) -> None:
    async with connected(server) as bus:
        header = api.Header.EXPECTED_LAST_SEQUENCE.value
        subject = "relman.events.a.b"

        await publish_together(bus.events, [(subject, b"1", {header: "0"}), (subject, b"2", {})])
        with pytest.raises(OutOfStepError, match="wrong last sequence: 2"):
            await publish_together(bus.events, [(subject, b"3", {header: "1"}), (subject, b"4", {})])

        state = (await bus.events.jetstream().stream_info(streams.EVENTS)).state
        assert (state.first_seq, state.last_seq) == (1, 2)


async def test_a_subject_without_a_stream_is_an_error_not_a_wait(server: NatsServer) -> None:
    async with connected(server) as bus:
        with pytest.raises(BusAwayError, match="no response from stream"):
            await publish(bus.connection, "relman.nowhere", b"", {})


async def test_a_full_stream_says_busy(server: NatsServer) -> None:
    async with connected(server) as bus:
        js = bus.connection.jetstream()
        commands = next(each for each in streams.configurations() if each.name == streams.COMMANDS)
        await js.update_stream(commands.evolve(max_msgs=1))
        await publish(bus.connection, "relman.commands.a.b", b"1", {})

        with pytest.raises(BusFullError, match="busy"):
            await publish(bus.connection, "relman.commands.a.b", b"2", {})


async def test_a_bus_without_room_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "store_bytes", lambda _clients: 300 * streams.MEBIBYTE)
    with WatchedServer(tmp_path) as server:
        connection = await connect(server.urls["gateway"], "test")
        with pytest.raises(BusFullError, match=r"no room left \(.*storage.*\); give its JetStream more"):
            await streams.ensure_streams(connection.jetstream())
        await connection.close()


@pytest.mark.parametrize(
    ("code", "description", "kind", "said"),
    [
        (10077, "maximum messages exceeded", BusFullError, "the queue is full"),
        (10077, "write: no space left on device", BusFullError, "is its disk full"),
        (10023, "insufficient resources", BusFullError, "more storage or memory"),
        (10028, "insufficient memory resources available", BusFullError, "more storage or memory"),
        (10008, "JetStream system temporarily unavailable", BusAwayError, "does not answer"),
    ],
)
def test_an_error_of_the_bus_becomes_a_sentence(code: int, description: str, kind: type[Exception], said: str) -> None:
    error = understood(APIError(503, description, code))
    assert type(error) is kind
    assert said in str(error)


async def test_replicas_without_a_cluster_are_an_error_at_once(server: NatsServer) -> None:
    connection = await connect(server.urls["gateway"], "test")
    with pytest.raises(BusUnfitError, match="no cluster"):
        await streams.ensure_streams(connection.jetstream(), 3)
    await connection.close()


async def test_a_puller_says_why_it_cannot_pull_and_that_it_can_again(server: NatsServer) -> None:
    async with connected(server) as bus:
        js = bus.connection.jetstream()
        puller = Puller(bus.connection, streams.COMMANDS, consumer)
        async with contextlib.aclosing(puller.messages()) as messages:
            waiting = asyncio.ensure_future(anext(messages))
            await puller.ready.wait()
            await js.delete_stream(streams.COMMANDS)
            while "does not have the stream" not in (puller.trouble or ""):
                await asyncio.sleep(0.01)
            await streams.ensure_streams(js)
            await publish(bus.connection, "relman.commands.a.b", b"hello", {})
            assert (await waiting).data == b"hello"
            assert puller.trouble is None


async def test_a_message_is_stored_once_however_often_its_publisher_has_to_try(server: NatsServer) -> None:
    async with connected(server) as bus:
        js = bus.connection.jetstream()
        await js.delete_stream(streams.COMMANDS)
        sending = asyncio.create_task(
            publish_patiently(bus.connection, "relman.commands.a.b", b"1", {api.Header.MSG_ID.value: "1"}, 10)
        )
        tries = await watch(bus, "relman.commands.a.b")
        await tries.next_msg(timeout=5)
        await streams.ensure_streams(js)

        assert await sending == 1
        assert await publish(bus.connection, "relman.commands.a.b", b"1", {api.Header.MSG_ID.value: "1"}) == 1
        assert (await js.stream_info(streams.COMMANDS)).state.messages == 1


@pytest.mark.parametrize(
    ("user", "prefix"),
    [
        ("gateway", "_INBOX_gateway"),
        ("executor-local", "_INBOX_executor-local"),
        ("client", "_INBOX"),
        ("somebody", "_INBOX"),
        (None, "_INBOX"),
    ],
)
def test_a_role_has_answers_sent_to_where_only_it_may_listen(user: str | None, prefix: str) -> None:
    assert inbox_prefix(user) == prefix


async def test_ensuring_the_streams_twice_changes_nothing_and_repairs_what_drifted(server: NatsServer) -> None:
    async with connected(server) as bus:
        js = bus.connection.jetstream()
        commands = next(each for each in streams.configurations() if each.name == streams.COMMANDS)
        await js.update_stream(commands.evolve(max_msgs=1))

        await streams.ensure_streams(js)
        await streams.ensure_streams(js)

        config = (await js.stream_info(streams.COMMANDS)).config
        assert config.max_msgs == commands.max_msgs
        assert config.discard == api.DiscardPolicy.NEW


async def test_a_refusal_of_the_server_is_logged_once_whatever_the_subject(server: NatsServer) -> None:
    connection = await connect(server.urls["projector"], "test")
    try:
        with capture_logs() as logs:
            for number in range(20):
                await connection.publish(f"_R_.somebody.{number}", b"")
            await connection.flush()
    finally:
        await connection.close()

    assert [line["event"] for line in logs] == ["bus trouble"]
    assert "_r_.somebody.0" in logs[0]["error"].lower()
