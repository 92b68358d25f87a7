"""A message that fails, or cannot be stored as a dead letter, is reported, blocks no other, and ends."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.msg import Msg

from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.queues import in_order as module
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.commands import CommandService
from release_management.adapters.nats.queues.in_order import WINDOW
from release_management.adapters.nats.queues.publishing import publish
from release_management.services.ports.bus import BusFullError
from tests.adapters.nats.fakes import (
    Bus,
    all_letters,
    connected,
    envelope,
    running,
)


class FullOfLetters:
    """Dead letters that the bus takes none of, until `room`."""

    def __init__(self, bus: Bus) -> None:
        self.room = asyncio.Event()
        self._letters = bus.dead_letters

    warning = None

    async def store(self, *letter: object, **code: object) -> bool:
        if not self.room.is_set():
            raise BusFullError("busy: the bus has no room left")
        return await self._letters.store(*letter, **code)  # type: ignore[arg-type]  # as they came


def service(bus: Bus, letters: FullOfLetters) -> CommandService:
    return CommandService(bus.connection, bus.gateway, letters, retry_seconds=0.05)  # type: ignore[arg-type]  # so far


async def test_more_letters_than_places_that_cannot_be_kept_stop_no_command_and_are_kept_once_there_is_room(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.05)
    monkeypatch.setattr(module, "ASIDE_SECONDS", 0.2)
    count = WINDOW + 4
    async with connected(server) as bus, BusClient(server.url) as client:
        for _ in range(count):
            await publish(bus.connection, "relman.commands.release.create", b"garbage", {})
        await client.send(envelope("honest"))
        letters = FullOfLetters(bus)
        serving = service(bus, letters)
        async with running(serving.run(), serving.ready), asyncio.timeout(30):
            assert await bus.gateway.calls.get() == "honest"
            while f"dead letters that wait to be kept: {count}; busy: " not in (serving.trouble or ""):
                await asyncio.sleep(0.01)

            letters.room.set()
            while serving.trouble is not None:
                await asyncio.sleep(0.01)
            js = bus.connection.jetstream()
            while (await js.stream_info(streams.COMMANDS)).state.messages:
                await asyncio.sleep(0.01)
        assert len(await all_letters(bus.dead_letters)) == count


async def test_a_letter_that_can_never_be_kept_is_given_up_and_the_server_s_word_is_a_letter(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.02)
    monkeypatch.setattr(module, "ASIDE_SECONDS", 0.02)
    monkeypatch.setattr(module, "MAX_DELIVERIES", 3)
    async with connected(server) as bus:
        await publish(bus.connection, "relman.commands.release.create", b"garbage", {})
        serving = service(bus, FullOfLetters(bus))
        async with running(serving.run(), serving.ready), asyncio.timeout(30):
            while not (letters := await all_letters(bus.dead_letters)):
                await asyncio.sleep(0.05)
        assert letters[0].reason == "given up by gateway after 3 deliveries without an answer"
        assert letters[0].excerpt == "garbage"


async def test_a_message_that_a_fault_of_ours_prevents_becomes_a_letter_in_the_end(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, seen = module.Line.__dict__["_process"], 0

    async def fail(line: module.Line, message: Msg, previous: asyncio.Event) -> None:
        nonlocal seen
        if b"poison" in message.data:
            seen += 1
            raise RuntimeError("a fault of ours")
        await read(line, message, previous)

    monkeypatch.setattr(module.Line, "_process", fail)
    monkeypatch.setattr(module, "FAILED_SECONDS", 0.01)
    async with connected(server) as bus, BusClient(server.url) as client:
        await client.send(envelope("poison"))
        await client.send(envelope("honest"))
        serving = CommandService(bus.connection, bus.gateway, bus.dead_letters, attempts=3)
        async with running(serving.run(), serving.ready), asyncio.timeout(30):
            assert await bus.gateway.calls.get() == "honest"
            while not (letters := await all_letters(bus.dead_letters)):
                await asyncio.sleep(0.01)
        assert letters[0].reason == "processing it failed 3 times; the gateway's log says why"
        assert seen == 3
