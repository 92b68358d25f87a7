"""Dead letters come in pages, and none of them is longer than a message, nor is one letter."""

import base64
import json
from typing import Any

import pytest

from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.dead_letters import store
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.publishing import publish
from release_management.services.envelope import MAX_MESSAGE_BYTES
from tests.adapters.nats.fakes import Bus, serving

CONTROLS = "\x01" * MAX_MESSAGE_BYTES
"""JSON writes each of them with six bytes."""


async def bury(bus: Bus, payload: bytes, reason: str = "no command", times: int = 1) -> None:
    """Put letters where the gateway puts its own."""
    content = {"reason": reason, "headers": {"H": "v"}, "payload": base64.b64encode(payload).decode()}
    sealed = bus.keyring.seal("system:dead-letters", json.dumps(content))
    about = {"time": "2026-11-23T09:30:00Z", "subject": "relman.commands.release.create", "size": len(payload)}
    letter = json.dumps(about | {"sealed": sealed}).encode()
    for _ in range(times):
        await publish(bus.connection, streams.DEAD_LETTER, letter, {})


async def ask(bus: Bus, **question: Any) -> dict[str, Any]:
    reply = await bus.connection.request(streams.ASK_DEAD_LETTERS, json.dumps(question).encode(), timeout=10)
    assert len(reply.data) < MAX_MESSAGE_BYTES
    told: dict[str, Any] = json.loads(reply.data)
    return told


async def test_100_letters_of_200_kb_are_listed(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        await bury(bus, b"x" * 200_000, times=100)

        assert [letter.id for letter in await client.dead_letters(limit=1000)] == list(range(100, 0, -1))
        assert len((await ask(bus, limit=1000))["dead_letters"]) < 100


async def test_long_reasons_are_cut_in_the_list_and_fill_no_page(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        await bury(bus, b"\x01" * 1000, "\x01" * 20_000, times=50)

        await ask(bus, limit=1000)
        listed = await client.dead_letters()
        assert [letter.id for letter in listed] == list(range(50, 0, -1))
        assert {len(letter.reason) for letter in listed} == {1000}


async def test_a_page_ends_where_reading_takes_long(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PAGE_SECONDS", 0.0)
    async with serving(server) as bus, BusClient(server.url) as client:
        await bury(bus, b"x", times=5)

        assert [letter["id"] for letter in (await ask(bus, limit=100))["dead_letters"]] == [5]
        assert [letter.id for letter in await client.dead_letters()] == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    "payload", [CONTROLS.encode(), b"\xff" * MAX_MESSAGE_BYTES, b""], ids=["text", "bytes", "none"]
)
async def test_a_letter_of_any_content_is_opened_whole(server: NatsServer, payload: bytes) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        await bury(bus, payload)

        first = await ask(bus, id=1)
        assert first.get("unfinished", False) == bool(payload)
        letter = await client.dead_letter(1)

        assert letter is not None
        opened = letter.payload.encode() if letter.encoding == "text" else base64.b64decode(letter.payload)
        assert opened == payload
        assert (letter.reason, letter.headers, letter.obstacle) == ("no command", {"H": "v"}, None)


async def test_letters_that_come_meanwhile_skip_and_double_nothing(server: NatsServer) -> None:
    async with serving(server) as bus:
        for _ in range(6):
            await bury(bus, b"x")
        seen: list[int] = []
        question: dict[str, Any] | None = {"limit": 2}
        while question is not None:
            answer = await ask(bus, **question)
            seen += [letter["id"] for letter in answer["dead_letters"]]
            question = {"limit": 2, "cursor": answer["next_cursor"]} if "next_cursor" in answer else None
            await bury(bus, b"y")
        assert seen == [6, 5, 4, 3, 2, 1]


async def test_a_cursor_that_is_not_ours_is_refused_with_the_reason(server: NatsServer) -> None:
    async with serving(server) as bus:
        for _ in range(2):
            await bury(bus, CONTROLS.encode())
        of_list, of_letter = (await ask(bus, limit=1))["next_cursor"], (await ask(bus, id=1))["next_cursor"]
        for question in (
            {"cursor": "abc"},
            {"cursor": of_letter},
            {"id": 1, "cursor": of_list},
            {"id": 2, "cursor": of_letter},
        ):
            answer = await ask(bus, **question)
            assert answer["status"] == "not_understood"
            assert "cursor: it is none of the query dead_letters with these parameters" in answer["reason"]
        assert "cursor: " in (await ask(bus, cursor="ü"))["reason"]
