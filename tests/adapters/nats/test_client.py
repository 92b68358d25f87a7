"""Callers ask, query and follow the events, across restarts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from release_management.adapters.nats.access.configuration import MAX_PAYLOAD_BYTES
from release_management.adapters.nats.client import (
    BusClient,
    NotReachableError,
    UnavailableError,
)
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.events import NatsEventStream
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.commands import CommandService
from release_management.adapters.nats.queues.publishing import publish
from release_management.adapters.nats.requests.queries import QueryService
from release_management.kernel.record import dataref
from release_management.services.envelope import MAX_MESSAGE_BYTES, InvalidCommand
from release_management.services.paging.pages import Page
from release_management.services.ports.bus import (
    BusError,
    BusFullError,
    NotAnsweredNow,
    QueryNotUnderstood,
)
from tests.adapters.nats.fakes import (
    FakeLog,
    connected,
    envelope,
    record,
    running,
    serving,
)

ROOT = Path(__file__).parents[3]
CALLER = """
import asyncio, sys
from pathlib import Path
from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.wire.urls import read_url
from release_management.services.envelope import CommandEnvelope

async def main():
    async with BusClient(read_url(Path(sys.argv[1]))) as client:
        envelope = CommandEnvelope(sender="other", id="1", command="release.create", data={}, actor="Ann",
                                   actorkind="person", actorauth="os")
        print((await client.ask(envelope)).status)

asyncio.run(main())
"""


async def answer(name: str, params: dict[str, Any], after: int) -> Page:
    if name == "echo":
        return Page([{"params": params, "after": after}])
    if name == "big":
        return Page([{"text": "x" * MAX_PAYLOAD_BYTES}])
    if name == "bug":
        raise RuntimeError("a bug")
    raise QueryNotUnderstood(f"there is no query {name!r}")


async def test_another_process_asks_with_nothing_but_the_folder(server: NatsServer, tmp_path: Path) -> None:
    async with serving(server) as bus:
        caller = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CALLER, str(tmp_path), cwd=ROOT, stdout=subprocess.PIPE
        )
        output, _ = await caller.communicate()

        assert output == b"accepted\n"
        assert (bus.gateway.seen[0].actor, bus.gateway.seen[0].sender) == ("Ann", "other")


async def test_an_absent_server_is_reported_in_a_sentence(server: NatsServer) -> None:
    async with BusClient(server.url, timeout=0.3) as client:
        with pytest.raises(NotReachableError, match=r"nobody listens .* within 0\.3 s; is `relman up` running"):
            await client.ask(envelope())
        server.stop()
    async with BusClient(server.url, timeout=0.3) as client:
        with pytest.raises(NotReachableError, match="is `relman up` running"):
            await client.ask(envelope())


async def test_a_question_outlives_the_service_and_the_server(server: NatsServer) -> None:
    async with connected(server) as bus, BusClient(server.url) as client:
        gate = asyncio.Event()
        bus.gateway.plan = {"1": [gate]}
        killed = CommandService(bus.connection, bus.gateway, bus.dead_letters)
        async with running(killed.run(), killed.ready):
            asking = asyncio.create_task(client.ask(envelope("1")))
            await bus.gateway.calls.get()
            server.stop()
        server.start()
        successor = CommandService(bus.connection, bus.gateway, bus.dead_letters)
        async with running(successor.run(), successor.ready):
            outcome = await asking

    assert (outcome.status, outcome.first) == ("accepted", 1)


async def test_a_full_queue_says_busy_to_who_sends(server: NatsServer) -> None:
    async with connected(server) as bus, BusClient(server.url) as client:
        config = next(each for each in streams.configurations() if each.name == streams.COMMANDS)
        await bus.connection.jetstream().update_stream(config.evolve(max_msgs=1))
        await client.send(envelope("1"))

        with pytest.raises(BusFullError, match="busy: the queue is full; try again later"):
            await client.send(envelope("2"))


async def test_a_message_too_long_for_the_bus_is_refused_before_it_is_sent(server: NatsServer) -> None:
    async with BusClient(server.url) as client:
        with pytest.raises(InvalidCommand, match="more than the bus carries"):
            await client.ask(envelope(data={"text": "x" * MAX_PAYLOAD_BYTES}))


async def test_queries_are_answered_or_say_what_is_wrong(server: NatsServer) -> None:
    async with connected(server) as bus, BusClient(server.url) as client:
        service = QueryService(bus.connection, answer)
        async with running(service.run(), service.ready):
            assert await client.query("echo", {"n": 1}, after=3) == [{"params": {"n": 1}, "after": 3}]
            assert await client.query("echo") == [{"params": {}, "after": 0}]
            for name, reason in {
                "nothing": "there is no query 'nothing'",
                "bug": "the query 'bug' failed; the log says why",
            }.items():
                with pytest.raises(QueryNotUnderstood, match=reason):
                    await client.query(name)
            for wrong in (-1, True, "1"):
                with pytest.raises(QueryNotUnderstood, match="after"):
                    await client.query("echo", after=wrong)  # type: ignore[arg-type]  # wrong on purpose


async def test_a_query_that_cannot_be_answered_now_is_asked_again(server: NatsServer) -> None:
    said = ["the read models are still being built"] * 3

    async def later(name: str, params: dict[str, Any], after: int) -> Page:
        if name == "never" or said:
            raise NotAnsweredNow(said.pop() if said else "they are not there")
        return Page([{"is": "there"}])

    patient, hurried = BusClient(server.url, timeout=30.0), BusClient(server.url, timeout=2.0)
    async with connected(server) as bus, patient, hurried:
        service = QueryService(bus.connection, later)
        async with running(service.run(), service.ready):
            assert await patient.query("anything") == [{"is": "there"}]
            with pytest.raises(UnavailableError, match="they are not there"):
                await hurried.query("never")
            raw = await bus.connection.request(f"{streams.ASK_QUERY}.never", b"{}")
            assert json.loads(raw.data) == {
                "error": "they are not there",
                "code": "unavailable",
                "retry": True,
            }


async def test_the_last_reason_is_told_where_the_time_is_over_before_another_answer(server: NatsServer) -> None:
    said = ["they are not there"]

    async def once(name: str, params: dict[str, Any], after: int) -> Page:
        if said:
            raise NotAnsweredNow(said.pop())
        await asyncio.sleep(60)
        return Page([])

    async with connected(server) as bus, BusClient(server.url, timeout=1.0) as hurried:
        service = QueryService(bus.connection, once)
        async with running(service.run(), service.ready):
            with pytest.raises(UnavailableError, match="they are not there"):
                await hurried.query("anything")
            with pytest.raises(UnavailableError, match=r"no answer on relman.ask.query.anything within 1 s"):
                await hurried.query("anything")


async def test_a_caller_that_retries_itself_learns_of_a_silence_at_once(server: NatsServer) -> None:
    async with BusClient(server.url, timeout=None) as client:
        with pytest.raises(UnavailableError, match="nobody listens on relman"):
            await client.query("anything")
        server.stop()
        await asyncio.sleep(0.2)
        with pytest.raises(UnavailableError, match="the connection to the bus is lost"):
            await client.query("anything")


async def test_a_wrong_password_is_no_silence(server: NatsServer) -> None:
    user, _, rest = server.url.partition("@")
    async with BusClient(f"{user}x@{rest}") as client:
        with pytest.raises(NotReachableError, match="does not take this user and password"):
            await client.query("anything")


async def test_an_answer_comes_page_by_page_and_a_row_may_go_on_in_the_next(server: NatsServer) -> None:
    pages = {
        None: Page([{"n": 1}, {"n": 2, "of": ["a"]}], "two", unfinished=True),
        "two": Page([{"of": ["b"], "more": {"c": 1}}, {"n": 3}], "three"),
        "three": Page([{"n": 4}]),
    }
    asked: list[dict[str, Any]] = []

    async def paged(name: str, params: dict[str, Any], after: int) -> Page:
        asked.append(params)
        return pages[params.get("cursor")]

    whole = [{"n": 1}, {"n": 2, "of": ["a", "b"], "more": {"c": 1}}, {"n": 3}, {"n": 4}]
    async with connected(server) as bus, BusClient(server.url) as client:
        service = QueryService(bus.connection, paged)
        async with running(service.run(), service.ready):
            assert await client.query("anything", {"x": 1}) == whole
            assert asked == [{"x": 1}, {"x": 1, "cursor": "two"}, {"x": 1, "cursor": "three"}]
            assert await client.query("anything", {"limit": 2}) == whole[:2]
            assert await client.query("anything", {"limit": 3}) == whole[:3]
            raw = await bus.connection.request(f"{streams.ASK_QUERY}.anything", b"{}")
            assert json.loads(raw.data) == {
                "answer": [{"n": 1}, {"n": 2, "of": ["a"]}],
                "next_cursor": "two",
                "unfinished": True,
            }


async def test_an_answer_that_no_message_can_carry_is_said_to_be_too_long(server: NatsServer) -> None:
    async with connected(server) as bus, BusClient(server.url) as client:
        service = QueryService(bus.connection, answer)
        async with running(service.run(), service.ready):
            with pytest.raises(QueryNotUnderstood, match=r"the answer has 1,048,\d+ bytes; at most 1,048,576"):
                await client.query("big")


async def test_the_data_beside_a_record_are_read_in_parts_and_checked(server: NatsServer) -> None:
    content = json.dumps({"text": 'ünï"code\n' * 60_000}, ensure_ascii=False).encode()
    name = dataref(content)
    async with serving(server) as bus, BusClient(server.url) as client:
        bus.gateway.contents = {name: content, dataref(b"other"): content}

        assert await client.content(name) == content
        part = await bus.connection.request(streams.ASK_CONTENT, json.dumps({"dataref": name}).encode())
        assert len(part.data) <= MAX_MESSAGE_BYTES
        with pytest.raises(BusError, match="are other data; read the log itself"):
            await client.content(dataref(b"other"))
        with pytest.raises(BusError, match="are missing"):
            await client.content(dataref(b"missing"))
        with pytest.raises(BusError, match=r'ask with \{"dataref": "sha256:…", "offset": n\}: dataref'):
            await client.content("md5:00")


async def test_events_are_followed_from_a_position_across_a_restart(server: NatsServer) -> None:
    log = FakeLog(600)
    async with connected(server) as bus, BusClient(server.url) as client:
        stream = NatsEventStream(bus.events, "store")
        await stream.publish(log.records)

        async with contextlib.aclosing(client.events(after=3)) as events:
            seen = [await anext(events) for _ in range(597)]
            waiting = asyncio.ensure_future(anext(events))
            back = asyncio.Event()
            bus.events.found.add(back.set)
            server.stop()
            server.start()
            await back.wait()
            log.grow(record(601))
            await stream.publish(log.records[600:])
            seen.append(await waiting)

        assert seen == log.records[3:]


async def test_following_begins_at_what_the_stream_still_holds(server: NatsServer) -> None:
    log = FakeLog(5)
    async with connected(server) as bus, BusClient(server.url) as client:
        await NatsEventStream(bus.events, "store").publish(log.records)
        await bus.events.jetstream().purge_stream(streams.EVENTS, seq=4)

        async with contextlib.aclosing(client.events()) as events:
            assert [(await anext(events)).position for _ in range(2)] == [4, 5]


async def test_a_message_that_is_no_record_is_skipped_and_logged(
    server: NatsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    log = FakeLog(4)
    async with connected(server) as bus, BusClient(server.url) as client:
        stream = NatsEventStream(bus.events, "store")
        await stream.publish(log.records[:1])
        await publish(bus.events, "relman.events.foreign", b'{"stream":"RELMAN_COMMANDS","seq":7}', {})
        await publish(bus.events, "relman.events.other", b"no JSON", {"Relman-Position": "3"})
        await stream.publish(log.records[3:])

        async with contextlib.aclosing(client.events()) as events:
            assert [await anext(events) for _ in range(2)] == [log.records[0], log.records[3]]
    said = capsys.readouterr().out
    for position, subject in ((2, "relman.events.foreign"), (3, "relman.events.other")):
        assert f"position={position}" in said
        assert subject in said


async def test_a_client_can_be_closed_twice_and_used_again(server: NatsServer) -> None:
    async with serving(server):
        client = BusClient(server.url)
        assert (await client.ask(envelope("1"))).status == "accepted"
        await client.close()
        await client.close()
        assert (await client.ask(envelope("2"))).status == "accepted"
        await client.close()
