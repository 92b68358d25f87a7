"""Dead letters are looked at and sent again, to where they came from and nowhere else."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from unittest.mock import patch

import pytest

from release_management.adapters.nats import orders as orders_module
from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.dead_letters.model import DeadLetter
from release_management.adapters.nats.dead_letters.store import KEY
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.orders import ExecutorService, NatsOrderChannel
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.publishing import publish
from release_management.services.envelope import MAX_MESSAGE_BYTES
from release_management.services.ports.bus import QueryNotUnderstood
from tests.adapters.nats.fakes import (
    Bus,
    FakeExecutor,
    all_letters,
    connected,
    order,
    running,
    serving,
    watch,
)
from tests.adapters.nats.test_commands import event

ACKS = "$JS.ACK.>"


async def letters(client: BusClient, count: int) -> list[DeadLetter]:
    """The dead letters, once there are so many."""
    while len(found := await client.dead_letters()) < count:
        await asyncio.sleep(0.01)
    assert len(found) == count
    return found


async def gone(client: BusClient) -> None:
    assert await client.dead_letters() == []


async def test_a_command_at_which_the_gateway_failed_is_replayed_once_it_is_mended(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        answers = await watch(bus, "ci.answers")
        bus.gateway.plan = {"1": [RuntimeError("a bug")] * 5}
        headers = {"Relman-Actor": "zoë", "Relman-Reply-To": "ci.answers", "Nats-Msg-Id": "mine"}
        await publish(bus.connection, "relman.commands.release.create", event(), headers)
        (letter,) = await letters(client, 1)
        assert letter.code == "internal"
        again = await watch(bus, "relman.commands.>")

        shown = await client.dead_letter(letter.id)
        assert shown is not None
        assert (shown.payload, shown.encoding, shown.obstacle) == (event().decode(), "text", None)
        assert shown.headers["Relman-Actor"] == "zoë"
        (replay,) = await client.replay_dead_letters([letter.id])

        assert (replay.subject, replay.reason) == ("relman.commands.release.create", None)
        sent = await again.next_msg(timeout=5)
        assert sent.data == event()
        assert "Nats-Msg-Id" not in (sent.headers or {}), "a client that had used it would have it dropped"
        assert json.loads((await answers.next_msg(timeout=5)).data)["status"] == "accepted"
        assert bus.gateway.seen[-1].actor == "zoë"
        await gone(client)
        (twice,) = await client.replay_dead_letters([letter.id])
        assert (twice.subject, twice.reason) == ("relman.commands.release.create", None)
        assert bus.gateway.seen.count(bus.gateway.seen[-1]) == 6
        (never,) = await client.replay_dead_letters([99])
        assert never.subject is None
        assert "perhaps it was replayed before" in (never.reason or "")


async def test_an_asked_command_is_queued_and_a_report_goes_back_to_the_reports(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        await bus.connection.request("relman.ask.command.release.create", b"garbage")
        await publish(bus.connection, "relman.reports.local", b"garbage", {})
        found = await letters(client, 2)

        replays = await client.replay_dead_letters([letter.id for letter in found])

        assert [replay.subject for replay in replays] == ["relman.commands.release.create", "relman.reports.local"]
        new = await letters(client, 2)
        assert {letter.subject for letter in new} == {"relman.commands.release.create", "relman.reports.local"}
        assert {letter.id for letter in new}.isdisjoint(letter.id for letter in found)


async def test_twice_at_the_same_time_is_stored_once(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        await publish(bus.connection, "relman.commands.release.create", b"garbage", {})
        (letter,) = await letters(client, 1)
        js = bus.connection.jetstream()
        before = (await js.stream_info(streams.COMMANDS)).state.last_seq

        replays = await asyncio.gather(*(bus.dead_letters.replay([letter.id]) for _ in range(5)))

        assert {replay.subject for (replay,) in replays} == {"relman.commands.release.create"}
        assert (await js.stream_info(streams.COMMANDS)).state.last_seq == before + 1


async def test_many_are_replayed_with_a_question_each_and_the_server_s_words_on_them_are_no_letters(
    server: NatsServer,
) -> None:
    many = 40
    async with serving(server) as bus, BusClient(server.url) as client:
        js = bus.connection.jetstream()
        for _ in range(many):
            await publish(bus.connection, "relman.commands.release.create", b"garbage", {})
        found = await letters(client, many)
        while (await js.stream_info(streams.DEAD)).state.messages < 2 * many:
            await asyncio.sleep(0.01)
        assert len(await letters(client, many)) == many
        questions = await watch(bus, "$JS.API.STREAM.MSG.GET.>")

        replays = await bus.dead_letters.replay([letter.id for letter in found])

        assert [replay.subject for replay in replays] == ["relman.commands.release.create"] * many
        assert questions.pending_msgs == many
        new = await letters(client, many)
        assert {letter.id for letter in new}.isdisjoint(letter.id for letter in found), "it is garbage still"


async def test_an_order_that_was_given_up_is_sent_again_and_its_original_removed(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders_module, "ACK_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(orders_module, "MAX_DELIVERIES", 2)

    async def fail(_: object) -> None:
        raise RuntimeError("a bug")

    async with serving(server) as bus, BusClient(server.url) as client:
        async with running(ExecutorService(bus.connection, "local", FakeExecutor(fail)).run()):
            await NatsOrderChannel(bus.connection).send(order(), 0)
            (letter,) = await letters(client, 1)
        assert letter.reason == "given up by local after 2 deliveries without an answer"

        (replay,) = await client.replay_dead_letters([letter.id])
        assert replay.subject == "relman.orders.local.staging"
        state = (await bus.connection.jetstream().stream_info(streams.ORDERS)).state
        assert (state.messages, state.last_seq) == (1, 2)
        await gone(client)
        mended = FakeExecutor()
        settled = await watch(bus, ACKS)
        async with running(ExecutorService(bus.connection, "local", mended).run()):
            assert (await settled.next_msg(timeout=5)).data == b"+ACK"
        assert mended.done == [order()]
        await gone(client)


async def test_an_order_that_an_executor_buried_is_sent_again(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        async with running(ExecutorService(bus.connection, "local", FakeExecutor()).run()):
            await publish(bus.connection, "relman.orders.local.staging", b"garbage", {})
            (letter,) = await letters(client, 1)
        (replay,) = await client.replay_dead_letters([letter.id])
        assert replay.subject == "relman.orders.local.staging"
        await gone(client)


FORGED = [
    ("relman.dead.orders.edge", "relman.commands.deployment.deploy", "may not speak of relman.commands"),
    ("relman.dead.orders.edge", "relman.orders.local.staging", "may not speak of relman.orders.local"),
    ("relman.dead.letter", "relman.commands.deployment.deploy", "no dead letter of ours"),
    ("relman.dead.x", "relman.commands.deployment.deploy", "no dead letter of ours"),
]


@pytest.mark.parametrize(("subject", "goal", "reason"), FORGED)
async def test_a_forged_letter_is_not_sent_to_where_its_writer_may_not(
    server: NatsServer, subject: str, goal: str, reason: str
) -> None:
    content = {"reason": "x", "headers": {}, "payload": base64.b64encode(event()).decode(), "sha256": ""}
    letter = {"time": "2026-11-23T09:30:00Z", "subject": goal, "size": len(event()), "open": content}
    async with serving(server) as bus, BusClient(server.url) as client:
        await publish(bus.connection, subject, json.dumps(letter).encode(), {})
        (found,) = await letters(client, 1)

        (replay,) = await client.replay_dead_letters([found.id])

        assert replay.subject is None
        assert reason in (replay.reason or "")
        assert bus.gateway.seen == []
        await letters(client, 1)


async def letter_of(bus: Bus, subject: str, payload: bytes) -> str:
    await bus.dead_letters.store(subject, payload, None, "a reason")
    (newest, *_) = await all_letters(bus.dead_letters)
    (replay,) = await bus.dead_letters.replay([newest.id])
    return replay.reason or ""


async def test_a_letter_that_cannot_be_replayed_says_why(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        whole, cut = b"x" * MAX_MESSAGE_BYTES, b"x" * (MAX_MESSAGE_BYTES + 1)
        assert await letter_of(bus, "relman.commands.release.create", whole) == ""
        assert "of which 262,144 are kept" in await letter_of(bus, "relman.commands.release.create", cut)
        assert "asks again by itself" in await letter_of(bus, "relman.system.deployment.resume", b"x")
        await bus.dead_letters.store("relman.commands.release.create", b"x", None, "a reason")
        bus.keyring.erase("system:dead-letters")
        (newest, *_) = await client.dead_letters()
        (replay,) = await client.replay_dead_letters([newest.id])
        assert replay.reason == "it was erased: its key was destroyed"


@pytest.mark.parametrize("written", [{}, {"code": None}, {"code": "of_a_newer_version"}])
async def test_a_letter_without_a_code_of_ours_is_read_as_before(server: NatsServer, written: dict[str, Any]) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        content = {"reason": "no command", "headers": {}, "payload": "eA=="} | written
        sealed = bus.keyring.seal(KEY, json.dumps(content))
        letter = {"time": "2026-11-23T09:30:00Z", "subject": "a.b", "size": 1, "sealed": sealed}
        await publish(bus.connection, streams.DEAD_LETTER, json.dumps(letter).encode(), {})

        (listed,) = await letters(client, 1)
        opened = await client.dead_letter(listed.id)

        assert (listed.reason, listed.code, listed.excerpt) == ("no command", None, "x")
        assert opened is not None
        assert (opened.reason, opened.code, opened.payload) == ("no command", None, "x")


async def test_bytes_that_are_no_text_are_shown_as_base64(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        await bus.dead_letters.store("a.b", b"\xff\x00", {"H": "v"}, "a reason")
        shown = await client.dead_letter((await client.dead_letters())[0].id)
        assert shown is not None
        assert (base64.b64decode(shown.payload), shown.encoding) == (b"\xff\x00", "base64")
        assert await client.dead_letter(99) is None


@pytest.mark.parametrize(
    "question", [b"", b"{}", b'{"ids":[]}', b'{"ids":["1"]}', b'{"ids":[0]}', b'{"ids":[1],"x":1}']
)
async def test_a_wrong_question_is_answered_with_what_is_right(server: NatsServer, question: bytes) -> None:
    async with serving(server) as bus:
        answer: dict[str, Any] = json.loads((await bus.connection.request(streams.REPLAY_DEAD_LETTERS, question)).data)
        assert answer["status"] == "not_understood"
        assert 'ask with {"ids": [n, …]}' in answer["reason"]


async def test_a_failure_while_answering_is_said(server: NatsServer) -> None:
    async with connected(server) as bus, serving(server) as served, BusClient(server.url) as client:
        await served.dead_letters.store("a.b", b"x", {}, "no command")
        with (
            patch.object(served.keyring, "open", side_effect=RuntimeError("a bug")),
            pytest.raises(QueryNotUnderstood, match="a fault of ours"),
        ):
            await client.dead_letters()
        await bus.connection.jetstream().delete_stream(streams.DEAD)
        with pytest.raises(QueryNotUnderstood, match="the bus does not have the stream; it is made again"):
            await client.dead_letters()
