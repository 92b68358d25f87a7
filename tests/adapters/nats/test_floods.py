"""A flood of small questions stops no command, not the machinery, and not the questions of others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from structlog.testing import capture_logs

from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.connection import NatsConnection, connect
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.gateway import BusGateway
from release_management.adapters.nats.queues import commands, streams
from release_management.adapters.nats.requests.queries import QueryService
from release_management.adapters.nats.requests.requester import cloudevent
from release_management.adapters.nats.requests.responder import PATIENCE_SECONDS, patience
from release_management.services.paging.pages import Page
from tests.adapters.nats.fakes import (
    connected,
    envelope,
    running,
    serving,
)
from tests.adapters.nats.test_origins import machine_command

FLOOD = 1_500


@contextlib.asynccontextmanager
async def attacking(server: NatsServer) -> AsyncIterator[NatsConnection]:
    connection = await connect(server.url, "attacker")
    try:
        yield connection
    finally:
        await connection.close()


async def flood(
    connection: NatsConnection, subject: str, question: Callable[[int], bytes], **headers: str
) -> list[Msg]:
    """Ask so many questions that nobody waits for one by one; the answers, as they come."""
    answers: list[Msg] = []

    async def take(message: Msg) -> None:
        answers.append(message)

    inbox = connection.new_inbox()
    await connection.subscribe(inbox, cb=take)
    for n in range(FLOOD):
        await connection.publish(subject, question(n), reply=inbox, headers=headers or None)
    await connection.flush()
    return answers


async def test_commands_and_the_machinery_go_on_while_dead_letters_are_asked_for(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.url, timeout=10.0) as honest, attacking(server) as attacker:
        for n in range(60):
            await bus.dead_letters.store("relman.commands.x", b"{}" * 500, None, f"reason {n}")
        await flood(attacker, streams.ASK_DEAD_LETTERS, lambda n: b'{"limit": 1000}')

        begun = time.monotonic()
        for n in range(20):
            assert (await honest.ask(envelope(f"{n}"))).status == "accepted"
            assert (await BusGateway(bus.connection, timeout=10.0).submit(machine_command(f"{n}"))).status == "accepted"
            assert await honest.outcome("ci", f"{n}") is not None
        assert time.monotonic() - begun < 40


async def test_a_flood_of_queries_leaves_others_theirs_and_is_dropped_when_it_is_stale(server: NatsServer) -> None:
    asked: list[str] = []

    async def slow(name: str, params: dict[str, Any], after: int) -> Page:
        asked.append(name)
        await asyncio.sleep(0.2 if name == "big" else 0)
        return Page([{"is": name}])

    async with connected(server) as bus, BusClient(server.url, timeout=5.0) as honest, attacking(server) as attacker:
        service = QueryService(bus.connection, slow)
        async with running(service.run(), service.ready):
            answers = await flood(
                attacker, f"{streams.ASK_QUERY}.big", lambda n: b'{"params": {"n": %d}}' % n, **{streams.PATIENCE: "1"}
            )
            for n in range(20):
                assert await honest.query("small", {"n": n}) == [{"is": "small"}]
            while asked.count("big") < 8:
                await asyncio.sleep(0.01)
            await asyncio.sleep(1.5)
            assert await honest.query("small") == [{"is": "small"}]
            assert len(answers) < 400, "those that nobody waits for any more are not answered"
            assert asked.count("big") < 400, "nor worked on"
            assert "were dropped unanswered" in str(service.pressure["queries"])
            again = await attacker.request(f"{streams.ASK_QUERY}.small", b"{}")
            assert json.loads(again.data) == {"answer": [{"is": "small"}]}


async def test_a_command_that_its_asker_gave_up_is_not_decided_later(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "COMMANDS_AT_ONCE", 1)
    async with serving(server) as bus, attacking(server) as impatient, BusClient(server.url) as client:
        gate = asyncio.Event()
        bus.gateway.plan = {"first": [gate]}
        first = asyncio.create_task(client.ask(envelope("first")))
        await bus.gateway.calls.get()
        late = cloudevent(envelope("late"))
        subject, said = f"{streams.ASK_COMMAND}.release.create", {streams.PATIENCE: "0.2"}
        await impatient.publish(subject, late, reply=impatient.new_inbox(), headers=said)
        await impatient.flush()
        await asyncio.sleep(0.5)
        gate.set()

        assert (await first).status == "accepted"
        assert await client.outcome("ci", "late") is None
        assert (await client.ask(envelope("late"))).status == "accepted"
        assert [each.id for each in bus.gateway.seen] == ["first", "late"]


async def test_the_log_says_once_a_minute_that_answers_may_not_go_where_they_were_asked_for(server: NatsServer) -> None:
    async with serving(server) as bus, attacking(server) as attacker, BusClient(server.url) as honest:
        with capture_logs() as logs:
            for _ in range(30):
                await attacker.publish(streams.ASK_OUTCOME, b'{"sender": "ci", "id": "1"}', reply="$JS.ACK.")
            await attacker.flush()
            assert await honest.outcome("ci", "1") is None
            await bus.connection.flush()

    assert [(line["reply"], line["number"]) for line in logs if line["event"] == "reply refused"] == [("$JS.ACK.", 1)]


def test_a_sender_that_states_no_patience_has_the_default() -> None:
    def said(text: str | None) -> float:
        return patience(Msg(Client(), headers=None if text is None else {streams.PATIENCE: text}))

    assert said("2.5") == 2.5
    assert said("1e9") == 60.0
    assert {said(text) for text in (None, "", "soon", "nan", "inf", "-1", "0")} == {PATIENCE_SECONDS}
