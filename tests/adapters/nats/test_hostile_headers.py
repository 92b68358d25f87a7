"""Headers and subjects are a sender's words: none of them is taken for the server's, and none stops a reader."""

from __future__ import annotations

import asyncio
import json

import pytest

from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.commands import CommandService
from release_management.adapters.nats.wire.headers import MAX_BLOCK_BYTES, read_headers
from tests.adapters.nats.fakes import (
    Bus,
    all_letters,
    connected,
    envelope,
    running,
    serving,
)
from tests.adapters.nats.raw import RawClient, raw_client

TYPE = "release.create"
QUEUE = f"relman.commands.{TYPE}".encode()
ASK = f"relman.ask.command.{TYPE}".encode()

DECIDED = "decided"
LETTER = "kept as a dead letter"
NOT_STORED = "not stored by the server"


def lines(*headers: bytes) -> bytes:
    """A header block of these lines."""
    return b"\r\n".join((b"NATS/1.0", *headers, b"", b""))


BLOCKS: dict[str, tuple[bytes, str, str]] = {
    # What a server says in its own messages.
    "a status in the first line": (b"NATS/1.0 409 Consumer Deleted\r\n\r\n", DECIDED, DECIDED),
    "no more messages": (b"NATS/1.0 404 No Messages\r\n\r\n", DECIDED, DECIDED),
    "a pull that ended": (b"NATS/1.0 408 Request Timeout\r\n\r\n", DECIDED, DECIDED),
    "a heartbeat": (b"NATS/1.0 100 Idle Heartbeat\r\nNats-Consumer-Stalled: a.b\r\n\r\n", DECIDED, DECIDED),
    "flow control": (b"NATS/1.0 100 FlowControl Request\r\n\r\n", DECIDED, DECIDED),
    "no responders": (b"NATS/1.0 503\r\n\r\n", DECIDED, DECIDED),
    **{
        f"the header Status: {code}": (lines(b"Status: " + code.encode()), DECIDED, DECIDED)
        for code in ("100", "404", "408", "409", "503", "x")
    },
    "a header Status without a space": (lines(b"Status:409", b"Description:Leadership Change"), DECIDED, DECIDED),
    "a header status in small letters": (lines(b"status: 409"), DECIDED, DECIDED),
    # What ends nats-py's read loop.
    "a status that is no UTF-8": (b"NATS/1.0 \xff\r\n\r\n", DECIDED, DECIDED),
    "a description that is no UTF-8": (b"NATS/1.0 409 \xff\xfe\r\n\r\n", DECIDED, DECIDED),
    "a description before headers that is no UTF-8": (b"NATS/1.0 100 \xff\r\na: b\r\n\r\n", DECIDED, DECIDED),
    "a status of other digits": ("NATS/1.0 ４０９\r\n\r\n".encode(), DECIDED, DECIDED),
    "no end": (b"NATS/1.0", LETTER, LETTER),
    "no headers": (b"NATS/1.0\r\n\r\n", DECIDED, DECIDED),
    "one letter": (b"x", LETTER, LETTER),
    "another protocol": (b"HTTP/1.1 200 OK\r\n\r\n", LETTER, LETTER),
    "nothing but line ends": (b"\r\n\r\n\r\n", DECIDED, LETTER),
    "bytes": (bytes(range(256)), LETTER, LETTER),
    # What the server gives a meaning when it stores a message, or when somebody reads one.
    "delivered as another subject": (lines(b"Nats-Subject: relman.reports.local"), DECIDED, DECIDED),
    "delivered as another sequence": (lines(b"Nats-Sequence: 1", b"Nats-Last-Sequence: 0"), DECIDED, DECIDED),
    "delivered from another stream": (lines(b"Nats-Stream: RELMAN_ORDERS"), DECIDED, DECIDED),
    "sent at another time": (lines(b"Nats-Time-Stamp: 1970-01-01T00:00:00Z"), DECIDED, DECIDED),
    "a size": (lines(b"Nats-Msg-Size: 0", b"Nats-Pending-Messages: 9"), DECIDED, DECIDED),
    "sourced from elsewhere": (lines(b"Nats-Stream-Source: RELMAN_EVENTS 1 > > >"), NOT_STORED, DECIDED),
    "a marker": (lines(b"Nats-Marker-Reason: Purge", b"KV-Operation: DEL"), DECIDED, DECIDED),
    "a mark of the machine that carries accounts": (lines(b"Nats-Request-Info: {}"), DECIDED, DECIDED),
    "a newer server": (lines(b"Nats-Required-Api-Level: 999"), DECIDED, DECIDED),
    "a message id": (lines(b"Nats-Msg-Id: one"), DECIDED, DECIDED),
    "a name with white space": (lines(b"Nats Msg-Id: 1", b" Status: 409", b"\tfolded"), DECIDED, DECIDED),
    "names that are no ASCII": (lines(b"\xff: 1", "ＳＴＡＴＵＳ: 409".encode()), DECIDED, DECIDED),
    # What we give a meaning.
    "an actor": (lines(b"Relman-Actor: alice"), DECIDED, DECIDED),
    "an actor of ours": (lines(b"Relman-Actor: system:timers"), LETTER, LETTER),
    "an executor": (lines(b"Relman-Actor: executor:local"), LETTER, LETTER),
    "an actor that is no UTF-8": (lines(b"Relman-Actor: \xff"), LETTER, LETTER),
    "an actor with a NUL": (lines(b"Relman-Actor: a\x00b"), LETTER, LETTER),
    "an actor of a thousand letters": (lines(b"Relman-Actor: " + b"a" * 1000), LETTER, LETTER),
    "two actors": (lines(b"Relman-Actor: alice", b"Relman-Actor: bob"), LETTER, LETTER),
    "an actor in small letters": (lines(b"relman-actor: alice"), LETTER, LETTER),
    "an actor before a space": (lines(b"Relman-Actor : alice"), LETTER, LETTER),
    "an actor after a space": (lines(b" Relman-Actor: alice"), LETTER, LETTER),
    "an actor without a colon": (lines(b"Relman-Actor alice"), LETTER, LETTER),
    "a header of ours that does not exist": (lines(b"Relman-Sender: system:timers"), LETTER, LETTER),
    "a patience that is no number": (lines(b"Relman-Patience: soon"), DECIDED, DECIDED),
    "an endless patience": (lines(b"Relman-Patience: 1e999"), DECIDED, DECIDED),
    "a patience of less than nothing": (lines(b"Relman-Patience: -1"), DECIDED, DECIDED),
    "no patience at all": (lines(b"Relman-Patience: nan"), DECIDED, DECIDED),
    "two patiences": (lines(b"Relman-Patience: 1", b"Relman-Patience: 2"), LETTER, LETTER),
    "somebody else's mark": (
        lines(b'Nats-Request-Info: {"acc":"x","id":1}', b"Nats-Request-Info: ["),
        DECIDED,
        DECIDED,
    ),
    "a position": (lines(b"Relman-Position: 1"), LETTER, LETTER),
    "an answer to the events": (lines(b"Relman-Reply-To: relman.events.a.b"), LETTER, DECIDED),
    "an answer to the server": (lines(b"Relman-Reply-To: $JS.API.STREAM.DELETE.RELMAN_COMMANDS"), LETTER, DECIDED),
    "an answer to a role's inbox": (lines(b"Relman-Reply-To: _INBOX_gateway.a"), LETTER, DECIDED),
    "an answer to two lines": (lines(b"Relman-Reply-To: ci.answers\nPUB relman.events.a 0"), LETTER, DECIDED),
    "more than anybody reads": (lines(*[b"a%d: b" % n for n in range(20_000)]), NOT_STORED, LETTER),
}

REFUSED_BY_THE_STREAM: dict[str, bytes] = {
    "another stream expected": lines(b"Nats-Expected-Stream: RELMAN_EVENTS"),
    "another sequence expected": lines(b"Nats-Expected-Last-Sequence: 999999"),
    "another message id expected": lines(b"Nats-Expected-Last-Msg-Id: none"),
    "another sequence of the subject expected": lines(b"Nats-Expected-Last-Subject-Sequence: 999999"),
    "a request that the stream forget all others": lines(b"Nats-Rollup: all"),
    "a request that the stream forget others of the subject": lines(b"Nats-Rollup: sub"),
    "a request to vanish": lines(b"Nats-TTL: 1s"),
    "a request to come later": lines(
        b"Nats-Schedule: @at 2030-01-01T00:00:00Z", b"Nats-Schedule-Target: relman.orders.a.b"
    ),
    "a request to come repeatedly": lines(b"Nats-Schedule: @every 1s", b"Nats-Schedule-Target: relman.commands.a.b"),
    "a counter": lines(b"Nats-Incr: +1"),
    "a part of a batch": lines(b"Nats-Batch-Id: b", b"Nats-Batch-Sequence: 1", b"Nats-Batch-Commit: 1"),
}

SUBJECTS = {
    "bytes that are no UTF-8": b"\xff\xfe",
    "what nats-py takes for a space": b"a\x0bb.c\x0cd",
    "a NUL": b"a\x00b",
    "letters of all kinds": "ü.漢\u202e.\x85".encode(),
    "three thousand letters": b"a" * 3000,
    "nothing known": b"a.b.c",
}


def command(id: str) -> bytes:
    event = {"specversion": "1.0", "id": id, "source": "evil", "type": TYPE, "data": {"a": 1}}
    return json.dumps(event).encode()


async def fates(bus: Bus, ids: dict[str, str]) -> dict[str, str]:
    """Return the outcomes of the commands of these ids, once an honest one after them was decided."""
    async with asyncio.timeout(30):
        while await bus.gateway.calls.get() != "honest":
            pass
        while (await bus.connection.jetstream().stream_info(streams.COMMANDS)).state.messages:
            await asyncio.sleep(0.01)
    letters = [letter.excerpt for letter in await all_letters(bus.dead_letters)]
    decided = [each.id for each in bus.gateway.seen]
    found = {}
    for name, id in ids.items():
        times = decided.count(id), sum(f'"{id}"' in letter for letter in letters)
        found[name] = {(1, 0): DECIDED, (0, 1): LETTER, (0, 0): NOT_STORED}.get(
            times, f"decided and kept {times} times"
        )
    return found


async def answered(client: RawClient, subject: bytes, payload: bytes, block: bytes | None = None) -> str:
    answer = await client.ask(subject, payload, block)
    return {"accepted": DECIDED, "not_understood": LETTER}[json.loads(answer)["status"]]


async def test_no_header_of_a_queued_command_is_taken_for_the_server_s_or_stops_the_queue(server: NatsServer) -> None:
    async with connected(server) as bus, raw_client(server.urls["client"]) as hostile, BusClient(server.url) as honest:
        ids = {name: f"id-{number}." for number, name in enumerate(BLOCKS)}
        for name, (block, _, _) in BLOCKS.items():
            await hostile.publish(QUEUE, command(ids[name]), block)
        service = CommandService(bus.connection, bus.gateway, bus.dead_letters)
        async with running(service.run(), service.ready):
            await honest.send(envelope("honest"))

            assert await fates(bus, ids) == {name: queued for name, (_, queued, _) in BLOCKS.items()}
            assert (service.trouble, bus.connection.disturbed, bus.connection.stats["reconnects"]) == (None, None, 0)


async def test_every_header_of_a_request_is_answered_and_none_stops_the_next(server: NatsServer) -> None:
    async with serving(server) as bus, raw_client(server.urls["client"]) as hostile:
        found = {
            name: await answered(hostile, ASK, command(f"id-{number}."), block)
            for number, (name, (block, _, _)) in enumerate(BLOCKS.items())
        }

        assert found == {name: asked for name, (_, _, asked) in BLOCKS.items()}
        assert (bus.connection.disturbed, bus.connection.stats["reconnects"]) == (None, 0)


async def test_headers_on_which_a_stream_itself_would_act_are_refused(server: NatsServer) -> None:
    async with connected(server) as bus, raw_client(server.urls["client"]) as hostile:
        await hostile.publish(QUEUE, command("before"))
        answers = {
            name: json.loads((await hostile.ask(QUEUE, command("1"), block)).rpartition(b"\r\n\r\n")[2] or b"{}")
            for name, block in REFUSED_BY_THE_STREAM.items()
        }

        assert {name for name, answer in answers.items() if "error" not in answer} == set()
        state = (await bus.connection.jetstream().stream_info(streams.COMMANDS)).state
        assert (state.messages, state.last_seq) == (1, 1)


async def test_a_subject_of_any_bytes_is_a_letter_and_stops_nothing(server: NatsServer) -> None:
    async with connected(server) as bus, raw_client(server.urls["client"]) as hostile, BusClient(server.url) as honest:
        ids = {name: f"id-{number}." for number, name in enumerate(SUBJECTS)}
        for name, end in SUBJECTS.items():
            await hostile.publish(b"relman.commands." + end, command(ids[name]))
        service = CommandService(bus.connection, bus.gateway, bus.dead_letters)
        async with running(service.run(), service.ready):
            await honest.send(envelope("honest"))
            assert await fates(bus, ids) == dict.fromkeys(SUBJECTS, LETTER)
            asked = {
                name: await answered(hostile, b"relman.ask.command." + end, command("1"))
                for name, end in SUBJECTS.items()
            }
            assert asked == dict.fromkeys(SUBJECTS, LETTER)
            assert (bus.connection.disturbed, bus.connection.stats["reconnects"]) == (None, 0)


@pytest.mark.parametrize(
    ("block", "headers", "fault"),
    [
        (b"NATS/1.0\r\na: b\r\n\r\n", {"a": "b"}, None),
        (b"NATS/1.0\r\na:b:c\r\nd:\r\n\r\n", {"a": "b:c", "d": ""}, None),
        (b"NATS/1.0 404 No Messages\r\n\r\n", {"Status": "404", "Description": "No Messages"}, None),
        (b"NATS/1.0 100\r\nA: b\r\nStatus: 1\r\n\r\n", {"A": "b", "Status": "100"}, None),
        (b"", {}, "begin with b''"),
        (b"NATS/1.0\r\nRelman-Actor: a\r\nRelman-Actor: a\r\n\r\n", {"Relman-Actor": "a"}, "stands there twice"),
        (b"NATS/1.0\r\nRelman-Actor: \xff\r\n\r\n", {"Relman-Actor": "\ufffd"}, "is not UTF-8"),
        (b"NATS/1.0\r\nRelman-Actor\r\n\r\n", {}, "not of the form name: value"),
    ],
)
def test_a_header_block_is_read_or_says_why_not(block: bytes, headers: dict[str, str], fault: str | None) -> None:
    read = read_headers(block)
    assert read == headers
    assert fault is None if read.fault is None else fault is not None and fault in read.fault


def test_a_block_that_is_too_long_is_read_only_so_far() -> None:
    read = read_headers(lines(*[b"a%d: b" % number for number in range(1_000_000)]))
    assert read.fault is not None
    assert "at most 65,536 are taken" in read.fault
    assert len(read) < MAX_BLOCK_BYTES / 7
