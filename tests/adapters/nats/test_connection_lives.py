"""A connection lives on: whatever ends one of the tasks that nats-py works with, it connects again at once."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ProtocolError

from release_management.adapters.nats import connection as module
from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.connection import NatsConnection, connect
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.events import NatsEventStream
from release_management.adapters.nats.queues.commands import CommandService
from release_management.adapters.nats.wire.protocol import Parser
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.roles.kit.bus import on_bus
from release_management.runtime.roles.kit.health import Health
from release_management.runtime.roles.kit.transient_errors import causes
from tests.adapters.nats.fakes import (
    connected,
    envelope,
    record,
    serving,
)

SOON = 10.0  # a silent connection is noticed after 15 s, by its pings


class Received:
    """Collects what a parser passes on."""

    def __init__(self) -> None:
        self.all: list[object] = []

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self.all.append((sid, subject, reply, data, headers))

    async def _process_err(self, err_msg: str) -> None:
        self.all.append(err_msg)

    async def _process_ping(self) -> None:
        self.all.append("ping")

    async def _process_pong(self) -> None:
        self.all.append("pong")

    async def _process_info(self, info: dict[str, object], initial_connection: bool = False) -> None:
        self.all.append(info)


STREAM = (
    b'INFO {"max_payload":1}\r\nPING\r\nPONG\r\n+OK\r\nMSG a.b 1 5\r\nhello\r\nMSG a\x0bb 2 r.\xff 2\r\n\r\n\r\n'
    b"HMSG \xff 3 12 14\r\nNATS/1.0\r\n\r\nhi\r\nHMSG a 4 r 12 12\r\nNATS/1.0\r\n\r\n\r\n"
    b"-ERR 'Permissions Violation for \"A\xff\"'\r\n"
)
EVERYTHING = [
    {"max_payload": 1},
    "ping",
    "pong",
    (1, b"a.b", b"", b"hello", b""),
    (2, b"a\x0bb", b"r.\xff", b"\r\n", b""),
    (3, b"\xff", b"", b"hi", b"NATS/1.0\r\n\r\n"),
    (4, b"a", b"r", b"", b"NATS/1.0\r\n\r\n"),
    "'permissions violation for \"a\ufffd\"'",
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_a_servers_bytes_are_parsed_in_pieces_of_any_size(size: int) -> None:
    received = Received()
    parser = Parser(received)
    for start in range(0, len(STREAM), size):
        await parser.parse(STREAM[start : start + size])
    assert received.all == EVERYTHING


@pytest.mark.parametrize(
    "line",
    [b"HELLO", b"MSG", b"MSG a 1", b"MSG a b 1", b"MSG a 1 x", b"MSG a 1 b 2 3", b"HMSG a 1 9 3", b"MSG a 1 -1", b""],
)
async def test_bytes_that_no_server_sends_are_an_error(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        await Parser(Received()).parse(line + b"\r\n")


async def end_reading(connection: NatsConnection) -> None:
    async def fail(data: bytes) -> None:
        raise RuntimeError("a fault of ours")

    plain = connection._ps
    connection._ps = type("Broken", (), {"parse": staticmethod(fail), "reset": plain.reset})()
    await connection.publish("any", b"")
    connection.lost.add(lambda: setattr(connection, "_ps", plain))
    connection._transport.write(b"PING\r\n")  # type: ignore[union-attr]  # it is connected


async def end_flushing(connection: NatsConnection) -> None:
    connection._flush_queue.put_nowait(None)  # type: ignore[union-attr,arg-type]  # it is connected, and stumbles


async def end_pinging(connection: NatsConnection) -> None:
    async def fail() -> None:
        raise RuntimeError("a fault of ours")

    connection._send_ping = fail  # type: ignore[method-assign,assignment]  # until it is connected again
    connection.lost.add(lambda: connection.__dict__.pop("_send_ping", None))


@pytest.mark.parametrize("end", [end_reading, end_flushing, end_pinging])
async def test_a_task_that_ends_is_begun_again_at_once_and_said(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch, end: Callable[[NatsConnection], Awaitable[None]]
) -> None:
    monkeypatch.setattr(module, "PING_SECONDS", 0.1)
    async with serving(server) as bus, BusClient(server.url) as client:
        found = asyncio.Event()
        bus.connection.found.add(found.set)
        began = time.monotonic()
        await end(bus.connection)

        async with asyncio.timeout(30):
            await found.wait()
            assert (await client.ask(envelope("1"))).status == "accepted"

        assert time.monotonic() - began < SOON
        assert "by a fault of ours" in (bus.connection.disturbed or "")


async def test_a_subscription_whose_task_ended_is_called_back_on(server: NatsServer) -> None:
    async with connected(server) as bus, asyncio.timeout(30):
        seen: asyncio.Queue[bytes] = asyncio.Queue()

        async def take(message: Msg) -> None:
            if message.data == b"poison":
                raise asyncio.CancelledError
            await seen.put(message.data)

        subscription = await bus.connection.subscribe("a", cb=take)
        for data in (b"1", b"poison", b"2"):
            await bus.connection.publish("a", data)

        assert [await seen.get() for _ in range(2)] == [b"1", b"2"]
        assert "the subscription to a ended" in (bus.connection.disturbed or "")
        await subscription.unsubscribe()


async def _nothing(_: Msg) -> None:
    return None


async def test_tasks_that_are_ended_on_purpose_are_no_disturbance(server: NatsServer) -> None:
    async with serving(server) as bus:
        await bus.connection.force_reconnect()
        async with asyncio.timeout(30):
            while not bus.connection.is_connected:
                await asyncio.sleep(0.01)
        subscription = await bus.connection.subscribe("a", cb=_nothing)
        await subscription.unsubscribe()
        await asyncio.sleep(0.05)
        assert bus.connection.disturbed is None


async def test_a_message_that_cannot_be_taken_in_ends_nothing(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(server) as bus:
        plain = bus.connection._build_message

        def fail(sid: int, subject: bytes, *rest: object) -> object:
            if subject == b"poison":
                raise RuntimeError("a fault of ours")
            return plain(sid, subject, *rest)  # type: ignore[arg-type]  # as they came

        subscription = await bus.connection.subscribe(">")
        await bus.connection.flush()
        monkeypatch.setattr(bus.connection, "_build_message", fail)
        await bus.events.flush()
        for subject in ("poison", "next"):
            await bus.connection.publish(subject, b"")

        assert (await subscription.next_msg(timeout=5)).subject == "next"
        assert "b'poison' could not be taken in (RuntimeError: a fault of ours)" in (bus.connection.disturbed or "")
        assert bus.connection.stats["reconnects"] == 0


async def test_an_error_that_nobody_expects_does_not_end_connecting_again(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        plain, failures = NatsConnection._process_connect_init, [EOFError("half a line"), ValueError("no JSON")]

        async def fail_twice(connection: NatsConnection) -> None:
            if connection is bus.connection and failures:
                raise failures.pop()
            await plain(connection)

        monkeypatch.setattr(NatsConnection, "_process_connect_init", fail_twice)
        await bus.connection.force_reconnect()
        async with asyncio.timeout(30):
            assert (await client.ask(envelope("1"))).status == "accepted"
        assert not failures


async def test_the_health_says_that_a_connection_was_disturbed_though_it_is_there_again(
    server: NatsServer, tmp_path: Path
) -> None:
    home = DataDirectory(folder=tmp_path, bus=server.urls["gateway"])
    health = Health("gateway")
    async with on_bus(home, "gateway", health) as connection:
        await end_reading(connection)
        async with asyncio.timeout(30):
            while not (warnings := health.document()["warnings"]):
                await asyncio.sleep(0.01)
        assert warnings[0]["part"] == "bus gateway"
        assert "_read_loop ended" in warnings[0]["says"]


async def test_following_the_events_continues_when_the_bus_has_closed_the_connection_for_good(
    server: NatsServer,
) -> None:
    async with connected(server) as bus, BusClient(server.url) as client, asyncio.timeout(30):
        stream = NatsEventStream(bus.events, "store")
        await stream.publish([record(1)])
        async with contextlib.aclosing(client.events()) as events:
            assert (await anext(events)).position == 1
            assert client._connection is not None
            await client._connection._process_err("'maximum connections exceeded'")
            await stream.publish([record(2)])
            assert (await anext(events)).position == 2


async def test_pulling_messages_raises_when_the_bus_has_closed_the_connection_for_good(
    server: NatsServer,
) -> None:
    async with connected(server) as bus, asyncio.timeout(30):
        connection = await connect(server.urls["tests"], "test")
        service = CommandService(connection, bus.gateway, bus.dead_letters)
        serving_ = asyncio.create_task(service.run())
        await service.ready.wait()
        await connection.close()
        with pytest.raises(ExceptionGroup) as ended:
            await serving_
        assert {str(each) for each in causes(ended.value)} == {"the bus has closed our connection for good"}


def test_nats_py_still_has_what_the_connection_stands_in_for() -> None:
    private = [name for name in vars(NatsConnection) if name.startswith("_") and name in vars(Client)]
    assert {"_process_headers", "_build_message", "_process_msg", "_process_connect_init"} <= set(private)
    for name in ("_process_headers", "_build_message", "_process_msg", "_process_connect_init", "_attempt_reconnect"):
        ours, theirs = getattr(NatsConnection, name), getattr(Client, name)
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)
