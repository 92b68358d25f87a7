"""No letter is too large for the bus, whatever its message says, and no flood of them pushes the others out."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest

from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.connection import connect
from release_management.adapters.nats.dead_letters import rate
from release_management.adapters.nats.dead_letters.content import (
    MAX_HEADERS,
    MAX_REASON,
    ONLY_DIGEST,
    contents,
    fits,
)
from release_management.adapters.nats.dead_letters.rate import Allowance
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.publishing import publish
from release_management.kernel.errors import ErrorCode
from release_management.services.envelope import MAX_MESSAGE_BYTES
from tests.adapters.nats.fakes import (
    Bus,
    all_letters,
    connected,
    envelope,
    serving,
)
from tests.adapters.nats.raw import raw_client
from tests.adapters.nats.test_commands import event

LONG = "\x01" * 43_000  # JSON writes six characters for each
WIDE = "\U0001f600" * 60_000
QUEUE = "relman.commands.release.create"

HOSTILE: dict[str, dict[str, Any]] = {
    "specversion": {"specversion": LONG},
    "specversion of many values": {"specversion": [LONG[:100]] * 400},
    "type": {"type": LONG},
    "source": {"source": LONG},
    "a reserved source": {"source": f"system:{LONG}"},
    "id": {"id": LONG},
    "a key": {"data": "no object", LONG: 1},
    "data": {"data": WIDE[:50_000]},
    "onbehalfof": {"onbehalfof": LONG},
    "correlationid": {"correlationid": LONG},
}


async def letters_of(bus: Bus, count: int) -> list[Any]:
    async with asyncio.timeout(30):
        while len(found := await all_letters(bus.dead_letters)) < count:
            await asyncio.sleep(0.01)
    return list(found)


async def test_a_quotation_in_a_reason_is_cut_and_the_letter_stored_at_once(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        for changes in HOSTILE.values():
            await publish(bus.connection, QUEUE, event(**changes), {})
        await publish(bus.connection, "relman.reports.local", event(source=LONG, type="deployment.report_step"), {})
        await publish(bus.connection, "relman.reports.local", event(source="executor:local", type=LONG), {})
        await client.send(envelope("honest"))

        found = await letters_of(bus, len(HOSTILE) + 2)
        assert max(len(letter.reason) for letter in found) < MAX_REASON / 2
        assert "honest" in [each.id for each in bus.gateway.seen]


async def test_a_twice_named_key_and_no_json_at_all_are_cut(server: NatsServer) -> None:
    async with serving(server) as bus:
        key = json.dumps(LONG[:20_000])
        for payload in (f"{{{key}:1,{key}:2}}".encode(), b"[" * 200_000, b"\xff" * 200_000, b"9" * 200_000):
            await publish(bus.connection, QUEUE, payload, {})
        assert max(len(letter.reason) for letter in await letters_of(bus, 4)) < MAX_REASON / 2


async def test_a_message_as_large_as_the_bus_takes_is_kept_with_its_size_and_digest(server: NatsServer) -> None:
    payload = b'{"a":"' + b"\x01" * 900_000
    block = b"NATS/1.0\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"\x01" * 1800) for n in range(32)) + b"\r\n"
    async with serving(server) as bus, raw_client(server.urls["client"]) as hostile:
        await hostile.publish(QUEUE.encode(), payload, block)
        (letter,) = await letters_of(bus, 1)
        assert letter.size == len(payload)
        opened = await bus.dead_letters.open(letter.id)
        assert opened is not None
        assert opened.obstacle is not None


@pytest.mark.parametrize("size", [64 * 1024, MAX_MESSAGE_BYTES])
async def test_a_letter_that_is_larger_than_the_bus_takes_is_kept_as_digest_size_and_reason(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    payload = b"x" * size
    async with serving(server) as bus:
        monkeypatch.setattr(bus.connection, "_max_payload", 32 * 1024)
        await bus.dead_letters.store(QUEUE, payload, {"Relman-Actor": "zoe"}, "it is wrong")
        (letter,) = await letters_of(bus, 1)
        assert (letter.reason, letter.size, letter.excerpt) == ("it is wrong", size, "")
        opened = await bus.dead_letters.open(letter.id)
        assert opened is not None
        assert opened.obstacle == ONLY_DIGEST
        (replay,) = await bus.dead_letters.replay([letter.id])
        assert replay.reason == ONLY_DIGEST


def test_the_largest_content_fits_when_it_was_sealed() -> None:
    headers = {f"h{n}": "\x01" * 900 for n in range(100)}
    whole, digest = contents(b"\xff" * 2 * MAX_MESSAGE_BYTES, headers, "\x01" * 1_000_000, ErrorCode.INVALID)
    sealed = b"x" * (len(json.dumps(whole)) * 4 // 3 + 40_000)  # base64, and a subject of 4 kB in JSON
    assert fits(sealed, 1024 * 1024)
    assert sum(map(len, whole["headers"].values())) <= MAX_HEADERS
    assert digest["sha256"] == whole["sha256"] == hashlib.sha256(b"\xff" * 2 * MAX_MESSAGE_BYTES).hexdigest()


async def test_a_letter_whose_headers_say_two_things_is_not_sent_again_as_if_they_said_one(server: NatsServer) -> None:
    two = b"NATS/1.0\r\nRelman-Actor: alice\r\nRelman-Actor: bob\r\n\r\n"
    small = b"NATS/1.0\r\nrelman-actor: alice\r\n\r\n"
    async with serving(server) as bus, raw_client(server.urls["client"]) as hostile:
        for block in (two, small):
            await hostile.publish(QUEUE.encode(), event(), block)
        for letter in await letters_of(bus, 2):
            (replay,) = await bus.dead_letters.replay([letter.id])
            assert replay.subject is None
            assert "Relman-Actor" in (replay.reason or "")
        assert bus.gateway.seen == []


async def test_letters_beyond_the_rate_are_counted_in_one_and_those_before_stay(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate, "LETTERS", 10)
    async with serving(server) as bus, BusClient(server.url) as client:
        js = bus.connection.jetstream()
        for number in range(300):
            await bus.connection.publish(QUEUE, b"garbage %d" % number)
        await client.send(envelope("honest"))
        async with asyncio.timeout(30):
            while await bus.gateway.calls.get() != "honest":
                pass
            while (await js.stream_info(streams.COMMANDS)).state.messages:
                await asyncio.sleep(0.01)
        assert {(await client.ask(envelope(str(n)))).status for n in range(3)} == {"accepted"}

        count, *kept = await all_letters(bus.dead_letters)
        assert count.reason.startswith("290 messages since ")
        assert "the message is not JSON" in count.reason
        assert sorted(letter.excerpt for letter in kept) == sorted(f"garbage {number}" for number in range(10))
        assert "290 dead letters since" in (bus.dead_letters.warning or "")
        stored = (await js.stream_info(streams.DEAD)).state.messages
        assert stored <= 1 + 2 * 10, "the server's words on what was only counted would push letters out"
        (replay,) = await bus.dead_letters.replay([count.id])
        assert replay.reason == "these messages were counted, not kept"


async def test_a_flood_of_clients_does_not_use_up_what_reports_may_have(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate, "LETTERS", 2)
    async with connected(server) as bus:
        kept = [await bus.dead_letters.store(QUEUE, b"", None, "no") for _ in range(4)]
        assert kept == [True, True, False, False]
        assert await bus.dead_letters.store("relman.reports.local", b"", None, "no")


def test_an_allowance_is_used_up_by_number_and_by_bytes_and_fills_with_the_time() -> None:
    now = 0.0
    allowance = Allowance(lambda: now)
    assert all(allowance.take(0) for _ in range(rate.LETTERS))
    assert not allowance.take(0)
    now = rate.REFILL_SECONDS / rate.LETTERS * 1.5
    assert allowance.take(0)
    assert not allowance.take(0)
    allowance.give_back(0)
    assert allowance.take(0)
    now = 10 * rate.REFILL_SECONDS
    assert not allowance.take(rate.LETTER_BYTES + 1)
    assert allowance.take(rate.LETTER_BYTES)
    assert not allowance.take(1)


async def test_a_client_that_uses_guessed_ids_of_letters_has_none_dropped(server: NatsServer) -> None:
    async with serving(server) as bus:
        executor = await connect(server.urls["executor-local"], "test")
        for number in range(1, 4):
            for id in (f"relman.dead.letter RELMAN_COMMANDS:{number}", f"RELMAN_COMMANDS:{number}"):
                await publish(executor, "relman.dead.orders.local", b"{}", {"Nats-Msg-Id": id})
        await publish(bus.connection, QUEUE, b"garbage", {})
        found = await letters_of(bus, 7)
        assert [letter.excerpt for letter in found].count("garbage") == 1
        await executor.close()


async def test_the_same_letter_is_kept_once_and_another_of_the_same_number_too(server: NatsServer) -> None:
    async with connected(server) as bus:
        for payload in (b"one", b"one", b"two"):
            await bus.dead_letters.store(QUEUE, payload, None, "no", "RELMAN_COMMANDS:1")
        assert [letter.excerpt for letter in await all_letters(bus.dead_letters)] == ["two", "one"]
