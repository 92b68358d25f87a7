"""Clients with names of their own: nobody hears, sends as, or uses up what belongs to another."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import api

from release_management.adapters.nats.client import BusClient, UnavailableError
from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.dead_letters.model import DeadLetter
from release_management.adapters.nats.dead_letters.store import DeadLetters
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.events import NatsEventStream
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.publishing import publish
from release_management.adapters.nats.requests.queries import QueryService
from release_management.adapters.nats.requests.responder import asker
from release_management.services.envelope import InvalidCommand
from release_management.services.paging.pages import Page
from tests.adapters.nats.fakes import (
    WatchedServer,
    connected,
    envelope,
    record,
    running,
    serving,
)
from tests.adapters.nats.test_client import answer
from tests.adapters.nats.test_consumers import heard
from tests.adapters.nats.test_permissions import refused, user_of

CI, BOT = "client-ci", "client-bot"
API = "$JS.API"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server that knows the clients `ci` and `bot`."""
    with WatchedServer(tmp_path, clients=("ci", "bot")) as running:
        yield running


@contextlib.asynccontextmanager
async def everybody(server: NatsServer) -> AsyncIterator[dict[str, NatsConnection]]:
    async with contextlib.AsyncExitStack() as stack:
        yield {user: (await stack.enter_async_context(user_of(server, user)))[0] for user in (CI, BOT, "client")}


async def test_a_client_with_a_name_does_all_that_clients_do(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.urls[CI]) as ci:
        queries = QueryService(bus.connection, answer)
        await NatsEventStream(bus.events, "store").publish([record(1)])
        async with running(queries.run(), queries.ready):
            first = await ci.ask(envelope("1"))
            assert (first.status, first.sender) == ("accepted", "client:ci:ci")
            assert bus.gateway.seen[0].actor == "client:ci:ci"
            assert await ci.outcome("ci", "1") == await ci.outcome("client:ci:ci", "1") == first
            assert await ci.query("echo", {"n": 1}) == [{"params": {"n": 1}, "after": 0}]
            assert await ci.dead_letters() == []
            async with contextlib.aclosing(ci.events()) as events:
                assert await anext(events) == record(1)


async def test_the_ids_of_one_cannot_be_taken_by_another_beforehand(server: NatsServer) -> None:
    async with serving(server) as bus, contextlib.AsyncExitStack() as stack:
        urls = [server.urls[user] for user in (CI, BOT, "client")]
        ci, bot, anybody = [await stack.enter_async_context(BusClient(url)) for url in urls]
        for thief in (bot, anybody):
            assert (await thief.ask(envelope("1", data={"version": "6.6.6"}))).status == "accepted"

        assert (await ci.ask(envelope("1"))).status == "accepted"
        assert [each.sender for each in bus.gateway.seen] == ["client:bot:ci", "ci", "client:ci:ci"]
        assert await bot.outcome("ci", "1") != await ci.outcome("ci", "1")
        for thief in (bot, anybody):
            with pytest.raises(InvalidCommand, match="the source may not begin with 'client:', which is reserved"):
                await thief.ask(envelope("2", sender="client:ci:ci"))


async def test_a_message_id_that_another_wrote_first_drops_no_command(server: NatsServer) -> None:
    async with serving(server) as bus, everybody(server) as users, BusClient(server.urls[CI]) as ci:
        for thief in (BOT, "client"):
            await publish(users[thief], "relman.commands.release.create", b"{}", {"Nats-Msg-Id": "ci 1"})
        await ci.send(envelope("1"))
        async with asyncio.timeout(30):
            while await ci.outcome("ci", "1") is None:
                await asyncio.sleep(0.01)
        assert [each.id for each in bus.gateway.seen] == ["1"]


async def test_no_client_overhears_another_or_sends_to_it(server: NatsServer) -> None:
    async with serving(server), everybody(server) as users, BusClient(server.urls[CI]) as ci:
        inboxes = {user: await users[user].subscribe("_INBOX.>") for user in users}
        answers = {user: await users[user].subscribe("*.answers") for user in users}
        for user in users:
            await users[user].flush()

        for n, reply_to in enumerate(("_INBOX.mine.1", "ci.answers", "bot.answers", "_INBOX_client-bot.x")):
            await ci.send(envelope(f"{n}"), reply_to=reply_to)
        await users[CI].publish(streams.ASK_OUTCOME, b'{"sender": "ci", "id": "0"}', reply="_INBOX.bot.1")
        await users["client"].publish(streams.ASK_OUTCOME, b'{"sender": "ci", "id": "0"}', reply="_INBOX.bot.2")
        while (message := await inboxes[CI].next_msg(timeout=5)).subject != "_INBOX.mine.1":
            pass
        assert json.loads(message.data)["sender"] == "client:ci:ci"
        assert {(await answers[CI].next_msg(timeout=5)).subject for _ in range(2)} == {"ci.answers", "bot.answers"}
        await asyncio.sleep(0.3)

        assert [message.subject for message in await heard(inboxes[BOT])] == []
        assert [message.subject for message in await heard(answers[BOT])] == []
        # The tests' own user listens on _INBOX as well, on the gateway's side.
        shared = {message.subject for message in await heard(inboxes["client"])}
        assert {each for each in shared if each.startswith(("_INBOX.mine", "_INBOX.bot"))} == {"_INBOX.bot.2"}
        assert await heard(answers["client"]) == []


async def test_a_client_reaches_nothing_that_is_anothers(server: NatsServer) -> None:
    forbidden = (
        "relman.from.bot.ask.command.release.create",
        "relman.from.ci.commands.release.create",
        "relman.to.bot._INBOX.x",
        "_INBOX.x",
        "bot.answers",
        f"{API}.CONSUMER.CREATE.RELMAN_EVENTS",
        f"{API}.CONSUMER.CREATE.RELMAN_EVENTS.client-bot-1",
        f"{API}.CONSUMER.CREATE.RELMAN_EVENTS.client-1",
        f"{API}.CONSUMER.DELETE.RELMAN_EVENTS.client-bot-1",
        f"{API}.CONSUMER.MSG.NEXT.RELMAN_EVENTS.client-bot-1",
        "$JS.ACK.RELMAN_EVENTS.client-bot-1.1.1.1.1.0",
    )
    async with serving(server), user_of(server, CI) as (ci, refusals), user_of(server, BOT) as (bot, _):
        await bot.jetstream().add_consumer(streams.EVENTS, api.ConsumerConfig(name=f"{BOT}-1", durable_name=f"{BOT}-1"))
        for subject in forbidden:
            await ci.publish(subject, b"{}")
        for subject in ("relman.to.>", "relman.from.>", ">"):
            await ci.subscribe(subject)
        await ci.flush()
        assert refused(forbidden, refusals) == set(forbidden)
        assert refused(("relman.to.>", "relman.from.>", ">"), refusals) == {"relman.to.>", "relman.from.>", ">"}
        assert (await bot.jetstream().consumer_info(streams.EVENTS, f"{BOT}-1")).name == f"{BOT}-1"


async def test_a_dead_letter_of_a_client_is_sent_again_as_his(server: NatsServer) -> None:
    async with serving(server) as bus, BusClient(server.urls[CI]) as ci:
        event = {"specversion": "1.0", "id": "7", "source": "ci", "type": "release.create", "data": {}}
        old = json.dumps(event).encode()
        await bus.dead_letters.store("relman.from.ci.ask.command.release.create", old, None, "not known then")
        (letter,) = await ci.dead_letters()
        (replay,) = await DeadLetters(bus.connection, bus.keyring).replay([letter.id])
        assert replay.subject == "relman.from.ci.commands.release.create"
        async with asyncio.timeout(30):
            while await ci.outcome("ci", "7") is None:
                await asyncio.sleep(0.01)
        assert bus.gateway.seen[-1].sender == "client:ci:ci"


def test_a_client_with_a_name_has_turns_of_his_own() -> None:
    def of(subject: str, info: str) -> tuple[str, str]:
        who = asker(Msg(Client(), subject=subject, headers={"Nats-Request-Info": info}))
        return who.client, who.connection

    info = '{"acc": "CLIENT_bot", "server": "S", "id": 7}'
    assert of("relman.from.ci.ask.query.releases", info) == ("ci", "S 7")
    assert of("relman.ask.query.releases", info) == ("", "S 7")
    assert of("relman.ask.query.releases", "[1]") == ("", "")


def test_a_server_remembers_the_clients_that_it_had(tmp_path: Path) -> None:
    with NatsServer(tmp_path, clients=["ci"]) as server:
        url = server.urls[CI]
    with NatsServer(tmp_path, clients=["bot"]) as server:
        assert server.urls[CI].partition("@")[0] == url.partition("@")[0]
        assert BOT in server.urls


async def test_one_client_on_many_connections_leaves_the_others_slots_for_their_questions(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = DeadLetters.page

    async def slow_where_many_are_asked_for(
        self: DeadLetters, limit: int, below: int | None = None
    ) -> tuple[list[DeadLetter], int | None]:
        if limit == 1000:
            await asyncio.sleep(60)
        return await whole(self, limit, below)

    async def slow(name: str, params: dict[str, Any], after: int) -> Page:
        if params.get("many"):
            await asyncio.sleep(60)
        return Page([{"is": name}])

    monkeypatch.setattr(DeadLetters, "page", slow_where_many_are_asked_for)
    many = {
        streams.ASK_DEAD_LETTERS: b'{"limit": 1000}',
        f"{streams.ASK_QUERY}.place": b'{"params": {"many": true}}',
    }
    async with serving(server) as bus, BusClient(server.urls[CI], timeout=20.0) as ci, contextlib.AsyncExitStack() as s:
        queries = QueryService(bus.connection, slow)
        await s.enter_async_context(running(queries.run(), queries.ready))
        for _ in range(12):
            crowd, _ = await s.enter_async_context(user_of(server, "client"))
            for subject, question in many.items():
                for _ in range(20):
                    await crowd.publish(subject, question, reply=crowd.new_inbox(), headers={streams.PATIENCE: "60"})
            await crowd.flush()

        assert await ci.dead_letters(limit=5) == []
        assert await ci.query("place") == [{"is": "place"}]


async def test_a_silent_listener_is_told_apart_from_none(server: NatsServer) -> None:
    async def hangs(name: str, params: dict[str, Any], after: int) -> Page:
        await asyncio.sleep(60)
        return Page([])

    async with connected(server) as bus, BusClient(server.urls[CI], timeout=0.3) as ci:
        with pytest.raises(UnavailableError, match=r"nobody listens on relman.ask.query.place .*`relman up` running"):
            await ci.query("place")
        queries = QueryService(bus.connection, hangs)
        async with running(queries.run(), queries.ready):
            with pytest.raises(
                UnavailableError, match=r"no answer on relman.ask.query.place .*busy, or hangs: `relman h"
            ):
                await ci.query("place")
