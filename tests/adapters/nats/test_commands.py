"""Commands come by two roads and get their outcome; what is no command goes to the dead letters."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from release_management.adapters.nats.access.configuration import MAX_PAYLOAD_BYTES
from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.queues import in_order as module
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.acknowledging import BURIED
from release_management.adapters.nats.queues.commands import CommandService
from release_management.adapters.nats.queues.publishing import publish
from release_management.services.envelope import MAX_MESSAGE_BYTES, InvalidCommand
from release_management.services.ports.bus import OlderThanSenderError, QueryNotUnderstood
from tests.adapters.nats.fakes import (
    Bus,
    all_letters,
    connected,
    envelope,
    running,
    serving,
    watch,
)

ACKS = "$JS.ACK.*.gateway.>"


def event(**changes: Any) -> bytes:
    about = {"specversion": "1.0", "id": "1", "source": "ci", "type": "release.create", "data": {"a": 1}}
    return json.dumps(about | changes).encode()


async def ask(bus: Bus, payload: bytes, command: str = "release.create", **headers: str) -> dict[str, Any]:
    reply = await bus.connection.request(f"relman.ask.command.{command}", payload, headers=headers or None)
    answer: dict[str, Any] = json.loads(reply.data)
    return answer


async def test_an_asked_command_gets_its_outcome_and_a_repeated_one_the_first(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        first = await client.ask(envelope("1"))
        again = await client.ask(envelope("1"))

        assert (first.status, first.first, first.sender, first.id) == ("accepted", 1, "ci", "1")
        assert (again.status, again.first) == ("repeated", 1)
        assert await client.outcome("ci", "1") == first
        assert await client.outcome("ci", "unknown") is None
        assert bus.gateway.seen[0] == envelope("1")


async def test_a_refusal_and_a_busy_gateway_are_answers(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        bus.gateway.plan = {"1": ["refused"], "2": ["busy"], "3": [RuntimeError("a bug")]}

        refused = await client.ask(envelope("1"))
        busy = await client.ask(envelope("2"))
        failed = await client.ask(envelope("3"))

        assert (refused.status, refused.reason, refused.refused) == ("refused", "a freeze", True)
        assert (busy.status, busy.reason) == ("busy", "too much to do")
        assert (failed.status, failed.reason) == ("busy", "the gateway failed; ask again with the same id")
        assert (await client.ask(envelope("3"))).status == "accepted"


async def test_a_person_is_named_by_the_header_and_counts_as_asserted(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        await client.ask(envelope("1", actor="Zoë", actorkind="person", correlationid="c", causationid="b"))

        seen = bus.gateway.seen[0]
        assert (seen.actor, seen.actorkind, seen.actorauth) == ("Zoë", "person", "asserted")
        assert (seen.correlationid, seen.causationid) == ("c", "b")


@pytest.mark.parametrize(
    ("payload", "headers", "reason"),
    [
        (b"{", {}, "is not JSON"),
        (b"\xff\xfe", {}, "is not JSON"),
        (b"[" * 100_000, {}, "is not JSON"),
        (b"[]", {}, "is not a JSON object"),
        (b"{}", {}, "'specversion' is missing"),
        (event(type="release.delete"), {}, "they must agree"),
        (event(source="system:timers"), {}, "reserved"),
        (event(data=[]), {}, "data"),
        (event(id=7), {}, "id"),
        (event(), {"Relman-Actor": "system:timers"}, "reserved"),
        (event(data={"text": "x" * MAX_MESSAGE_BYTES}), {}, "at most 262,144 are taken"),
    ],
)
async def test_a_message_that_is_no_command_is_answered_and_kept_with_the_reason(
    server: NatsServer, payload: bytes, headers: dict[str, str], reason: str
) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        dead = await watch(bus, "relman.dead.>")
        answer = await ask(bus, payload, **headers)
        queued = await watch(bus, ACKS)
        await publish(bus.connection, "relman.commands.release.create", payload, headers)
        assert (await queued.next_msg(timeout=5)).data == BURIED

        assert answer["status"] == "not_understood"
        assert reason in answer["reason"]
        first, second = await client.dead_letters()
        assert reason in first.reason
        assert reason in second.reason
        assert (first.subject, first.size) == ("relman.commands.release.create", len(payload))
        assert second.subject == "relman.ask.command.release.create"
        assert first.excerpt == payload[:200].decode(errors="replace")
        letter = (await dead.next_msg(timeout=5)).data
        assert json.loads(letter).keys() == {"time", "subject", "size", "sealed"}
        assert len(letter) < MAX_PAYLOAD_BYTES

        assert (await client.ask(envelope("1"))).status == "accepted"
        assert [seen.id for seen in bus.gateway.seen] == ["1"]


async def test_the_client_raises_what_was_not_understood(server: NatsServer) -> None:
    async with serving(server), BusClient(server.url) as client:
        with pytest.raises(InvalidCommand, match="reserved"):
            await client.ask(envelope("1", sender="system:x"))


async def test_a_queued_command_is_decided_answered_and_settled(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        acks = await watch(bus, ACKS)
        answers = await watch(bus, "ci.answers")
        bus.gateway.plan = {"2": ["refused"]}

        await client.send(envelope("1"), reply_to="ci.answers")
        await client.send(envelope("2"), reply_to="ci.answers")

        outcomes = [json.loads((await answers.next_msg(timeout=5)).data) for _ in range(2)]
        assert [outcome["status"] for outcome in outcomes] == ["accepted", "refused"]
        for _ in range(2):
            await acks.next_msg(timeout=5)
        assert await all_letters(bus.dead_letters) == ()
    async with serving(server) as later, BusClient(server.url) as client:
        await client.ask(envelope("3"))
        assert [seen.id for seen in later.gateway.seen] == ["3"]


@pytest.mark.parametrize("reply_to", ["relman.commands.release.create", "$JS.API.STREAM.PURGE.X", "a.>", "_INBOX"])
async def test_an_answer_is_not_sent_to_where_it_could_do_harm(server: NatsServer, reply_to: str) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        acks = await watch(bus, ACKS)
        await client.send(envelope("1"), reply_to=reply_to)

        assert (await acks.next_msg(timeout=5)).data == BURIED
        assert "Relman-Reply-To" in (await client.dead_letters())[0].reason
        assert bus.gateway.seen == []

        harmed = await watch(bus, "relman.commands.>")
        await bus.connection.publish("relman.ask.command.release.create", event(), "relman.commands.x")
        assert await bus.gateway.calls.get() == "1"
        await client.ask(envelope("2"))
        assert harmed.pending_msgs == 0


async def test_queued_commands_are_submitted_in_their_order(server: NatsServer) -> None:
    ids = [str(number) for number in range(300)]
    async with connected(server) as bus, BusClient(server.url) as client:
        for id in ids:
            await client.send(envelope(id))
        service = CommandService(bus.connection, bus.gateway, bus.dead_letters)
        async with running(service.run(), service.ready):
            assert [await bus.gateway.calls.get() for _ in ids] == ids


async def test_while_the_gateway_is_busy_nothing_new_overtakes(server: NatsServer) -> None:
    async with connected(server) as bus, BusClient(server.url) as client:
        answers = await watch(bus, "ci.answers")
        bus.gateway.plan = {"create": ["busy"] * 5}
        for id in ("create", "deploy", "later"):
            await client.send(envelope(id), reply_to="ci.answers")
        service = CommandService(bus.connection, bus.gateway, bus.dead_letters, retry_seconds=0.01)
        async with running(service.run(), service.ready):
            outcomes = [json.loads((await answers.next_msg(timeout=5)).data) for _ in range(3)]

        decided = {outcome["id"]: outcome["first"] for outcome in outcomes}
        assert decided["create"] < decided["deploy"] < decided["later"]
        assert {outcome["status"] for outcome in outcomes} == {"accepted"}


async def test_a_report_that_only_a_newer_gateway_understands_is_left_to_it(server: NatsServer) -> None:
    async with serving(server) as bus:
        settled = await watch(bus, ACKS)
        bus.gateway.plan = {"1": [OlderThanSenderError("this gateway is older than executor:local")]}
        report = event(source="executor:local", type="deployment.report_step")
        await publish(bus.connection, "relman.reports.local", report, {})
        assert (await settled.next_msg(timeout=5)).data.startswith(b"-NAK")
        await publish(bus.connection, "relman.commands.release.create", event(id="2"), {})

        assert [(await settled.next_msg(timeout=5)).data for _ in range(2)] == [b"+ACK", b"+ACK"]
        assert [envelope.id for envelope in bus.gateway.seen] == ["1", "2", "1"], "nobody waits for it"
        assert await all_letters(bus.dead_letters) == ()


async def test_a_report_that_no_gateway_understands_is_a_dead_letter_in_the_end(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OLDER_SECONDS", 0.02)
    monkeypatch.setattr(module, "MAX_OLDER", 3)
    async with connected(server) as bus:
        service = CommandService(bus.connection, bus.gateway, bus.dead_letters)
        async with running(service.run(), service.ready):
            settled = await watch(bus, ACKS)
            bus.gateway.plan = {"1": [OlderThanSenderError("this gateway is older than executor:local")] * 3}
            report = event(source="executor:local", type="deployment.report_step")
            await publish(bus.connection, "relman.reports.local", report, {})
            for _ in range(2):
                assert (await settled.next_msg(timeout=5)).data.startswith(b"-NAK")
            assert service.older == "this gateway is older than executor:local"
            assert (await settled.next_msg(timeout=5)).data == BURIED

            (letter,) = await all_letters(bus.dead_letters)
            assert letter.reason.endswith("(delivered 3 times; no newer gateway took it)")


async def test_a_command_at_which_the_gateway_fails_is_tried_again_and_then_buried(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        acks = await watch(bus, ACKS)
        bus.gateway.plan = {
            "unlucky": [RuntimeError("once"), RuntimeError("twice")],
            "poison": [RuntimeError("always")] * 9,
        }
        for id in ("unlucky", "poison", "next"):
            await client.send(envelope(id))

        settled = sorted([(await acks.next_msg(timeout=5)).data for _ in range(3)])

        assert settled == [b"+ACK", b"+ACK", BURIED]
        (letter,) = await client.dead_letters()
        assert letter.reason == "the gateway failed 5 times; its log says why"
        assert '"poison"' in letter.excerpt


async def test_unsettled_messages_are_redelivered_first_and_in_order(server: NatsServer) -> None:
    async with connected(server) as bus, BusClient(server.url) as client:
        bus.gateway.plan = {"1": [asyncio.Event()], "2": [asyncio.Event()]}
        killed = CommandService(bus.connection, bus.gateway, bus.dead_letters)
        async with running(killed.run(), killed.ready):
            await client.send(envelope("1"))
            await client.send(envelope("2"))
            assert [await bus.gateway.calls.get() for _ in range(2)] == ["1", "2"]
        await client.send(envelope("3"))

        successor = CommandService(bus.connection, bus.gateway, bus.dead_letters)
        async with running(successor.run(), successor.ready):
            assert [await bus.gateway.calls.get() for _ in range(3)] == ["1", "2", "3"]


async def test_after_a_server_restart_what_was_under_way_comes_again_at_once(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        answers = await watch(bus, "ci.answers")
        gate = asyncio.Event()
        bus.gateway.plan = {"1": [gate]}
        await client.send(envelope("1"), reply_to="ci.answers")
        assert await bus.gateway.calls.get() == "1"

        server.stop()
        server.start()
        assert await bus.gateway.calls.get() == "1"
        gate.set()

        statuses = [json.loads((await answers.next_msg(timeout=5)).data)["status"] for _ in range(2)]
        assert sorted(statuses) == ["accepted", "repeated"]


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"sender":"ci"}', b'{"sender":"ci","id":1}'])
async def test_a_wrong_question_is_answered_with_what_is_right(server: NatsServer, payload: bytes) -> None:
    async with serving(server) as bus:
        reply = json.loads((await bus.connection.request(streams.ASK_OUTCOME, payload)).data)
        assert reply["status"] == "not_understood"
        assert '"sender"' in reply["reason"]


async def test_dead_letters_can_be_erased_and_are_bounded(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url) as client:
        for number in range(5):
            await bus.dead_letters.store("a.b", b"secret" * 20_000, {"H": "v"}, f"reason {number}")

        newest = await client.dead_letters(limit=2)
        assert [letter.reason for letter in newest] == ["reason 4", "reason 3"]
        assert newest[0].size == 120_000

        bus.keyring.erase("system:dead-letters")
        erased = (await client.dead_letters(limit=1))[0]
        assert (erased.reason, erased.excerpt) == ("erased: its key was destroyed", "")
        with pytest.raises(QueryNotUnderstood, match="n from 1 to 1,000"):
            await client.dead_letters(limit=0)
