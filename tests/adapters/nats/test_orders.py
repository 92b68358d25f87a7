"""Orders reach their executor, are carried out in order per component, and are reported once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from nats.aio.msg import Msg

from release_management.adapters.nats import orders as module
from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.orders import ExecutorService, NatsOrderChannel
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.acknowledging import BURIED
from release_management.adapters.nats.queues.acknowledging import settle as really_settle
from release_management.adapters.nats.queues.publishing import publish
from release_management.domain.orders import Order
from release_management.services.envelope import read_cloudevent
from release_management.services.ports.bus import BusFullError
from tests.adapters.nats.fakes import (
    Bus,
    FakeExecutor,
    all_letters,
    connected,
    first_letter,
    order,
    running,
    serving,
    watch,
)

REPORTS = "relman.reports.local"
ACKS = "$JS.ACK.RELMAN_ORDERS.>"


def service(bus: Bus, executor: FakeExecutor) -> ExecutorService:
    return ExecutorService(bus.connection, "local", executor)


async def unsettled(bus: Bus) -> int:
    """Return the number of orders that the bus still holds."""
    return (await bus.connection.jetstream().stream_info(streams.ORDERS)).state.messages


async def test_an_order_is_carried_out_reported_and_settled(server: NatsServer) -> None:
    executor = FakeExecutor()
    async with serving(server) as bus, running(service(bus, executor).run()):
        settled = await watch(bus, ACKS)
        reports = await watch(bus, REPORTS)
        await NatsOrderChannel(bus.connection).send(order(), 0)

        report = read_cloudevent((await reports.next_msg(timeout=5)).data, actor=None, origin="executor:local")
        assert (await settled.next_msg(timeout=5)).data == b"+ACK"

        assert executor.done == [order()]
        assert report.sender == "executor:local"
        assert report.command == "deployment.report_step"
        assert (report.data["deployment"], report.data["result"]) == ("d1", "succeeded")
        assert await bus.gateway.calls.get() == report.id


async def test_an_order_that_comes_again_while_worked_on_is_carried_out_once(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ACK_WAIT_SECONDS", 0.2)
    monkeypatch.setattr(module, "TICK_SECONDS", 30.0)
    delivered, finish = asyncio.Event(), asyncio.Event()

    async def work(order: Order) -> None:
        delivered.set()
        await finish.wait()

    executor = FakeExecutor(work)
    async with serving(server) as bus:
        deliveries = await watch(bus, "_INBOX.>")
        async with running(service(bus, executor).run()):
            reports = await watch(bus, REPORTS)
            settled = await watch(bus, ACKS)
            await NatsOrderChannel(bus.connection).send(order(), 0)
            times = 0
            while times < 3:
                times += (await deliveries.next_msg(timeout=5)).reply.startswith("$JS.ACK.RELMAN_ORDERS")
            finish.set()
            await reports.next_msg(timeout=5)
            assert (await settled.next_msg(timeout=5)).data == b"+ACK"

    assert len(executor.done) == 1
    assert len(bus.gateway.seen) == 1


async def test_an_order_that_is_sent_again_is_reported_once(server: NatsServer) -> None:
    executor = FakeExecutor()
    async with serving(server) as bus:
        channel = NatsOrderChannel(bus.connection)
        for again in (0, 0, 1):
            await channel.send(order(), again)
        state = (await bus.connection.jetstream().stream_info(streams.ORDERS)).state
        assert state.messages == 2
        settled = await watch(bus, ACKS)
        async with running(service(bus, executor).run()):
            for _ in range(2):
                assert (await settled.next_msg(timeout=5)).data == b"+ACK"
        assert set(map(Order.model_dump_json, executor.done)) == {order().model_dump_json()}
        assert [await bus.gateway.calls.get()] == [bus.gateway.seen[0].id]
        assert len(bus.gateway.seen) == 1


async def test_an_order_sent_again_and_again_while_worked_on_keeps_no_other_waiting(server: NatsServer) -> None:
    started: asyncio.Queue[int] = asyncio.Queue()
    finish = asyncio.Event()

    async def work(order: Order) -> None:
        started.put_nowait(order.fence)
        if order.fence == 7:
            await finish.wait()

    executor = FakeExecutor(work)
    async with serving(server) as bus, running(service(bus, executor).run()):
        channel = NatsOrderChannel(bus.connection)
        for again in range(71):
            await channel.send(order(), again)
        await channel.send(order(fence=9), 0)
        assert (await started.get(), await started.get()) == (7, 9)

        async with asyncio.timeout(30):
            while await unsettled(bus) > 1:
                await asyncio.sleep(0.01)
        finish.set()
        async with asyncio.timeout(30):
            while await unsettled(bus) > 0:
                await asyncio.sleep(0.01)

    assert [each.fence for each in executor.done] == [9, 7]
    assert len(bus.gateway.seen) == 2


async def test_an_order_whose_worker_dies_comes_again_though_its_copies_were_settled(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ACK_WAIT_SECONDS", 0.3)
    monkeypatch.setattr(module, "TICK_SECONDS", 0.1)
    started = asyncio.Event()

    async def never(order: Order) -> None:
        started.set()
        await asyncio.Event().wait()

    successor = FakeExecutor()
    async with serving(server) as bus:
        channel = NatsOrderChannel(bus.connection)
        async with running(service(bus, FakeExecutor(never)).run()):
            await channel.send(order(), 0)
            await started.wait()
            settled = await watch(bus, ACKS)
            await channel.send(order(), 1)
            while (await settled.next_msg(timeout=5)).data != b"+ACK":
                pass
        assert await unsettled(bus) == 1

        async with running(service(bus, successor).run()):
            assert await bus.gateway.calls.get() == bus.gateway.seen[0].id
    assert successor.done == [order()]


async def test_an_order_whose_settling_got_lost_comes_again_and_is_reported_once(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = FakeExecutor()
    lost = ["the first"]

    async def lose(connection: NatsConnection, message: Msg, answer: bytes = b"+ACK") -> bool:
        return False if lost and lost.pop() else await really_settle(connection, message, answer)

    monkeypatch.setattr(module, "ACK_WAIT_SECONDS", 0.2)
    monkeypatch.setattr(module, "settle", lose)
    async with serving(server) as bus, running(service(bus, executor).run()):
        settled = await watch(bus, ACKS)
        await NatsOrderChannel(bus.connection).send(order(), 0)
        assert (await settled.next_msg(timeout=5)).data == b"+ACK"

        assert executor.done == [order(), order()]
        assert await bus.gateway.calls.get() == bus.gateway.seen[0].id
        await bus.gateway.calls.get()
        assert len({report.id for report in bus.gateway.seen}) == 1, "it is the same report, which is decided once"


async def test_a_newer_order_of_a_component_does_not_wait_for_the_older_one(server: NatsServer) -> None:
    started: asyncio.Queue[int] = asyncio.Queue()
    overtaken = asyncio.Event()

    async def work(order: Order) -> None:
        started.put_nowait(order.fence)
        if order.fence == 3:
            await overtaken.wait()

    executor = FakeExecutor(work)
    async with serving(server) as bus, running(service(bus, executor).run()):
        settled = await watch(bus, ACKS)
        channel = NatsOrderChannel(bus.connection)
        await channel.send(order(fence=3), 0)
        assert await started.get() == 3
        await channel.send(order(fence=9), 0)
        assert await started.get() == 9
        assert (await settled.next_msg(timeout=5)).data == b"+ACK"
        overtaken.set()
        assert (await settled.next_msg(timeout=5)).data == b"+ACK"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"[]", "the message is no order: it is no JSON object"),
        (b'{"fence": 1, "fence": 2}', "the message is no order: the key 'fence' stands twice"),
        (b"\xff", "the message is no order"),
        (order(environment="production").model_dump_json().encode(), "the order belongs on"),
    ],
)
async def test_a_malformed_order_is_kept_and_the_next_one_carried_out(
    server: NatsServer, payload: bytes, reason: str
) -> None:
    executor = FakeExecutor()
    async with serving(server) as bus, running(service(bus, executor).run()):
        settled = await watch(bus, ACKS)
        await publish(bus.connection, "relman.orders.local.staging", payload, {})
        assert (await settled.next_msg(timeout=5)).data == BURIED
        await NatsOrderChannel(bus.connection).send(order(), 0)
        assert (await settled.next_msg(timeout=5)).data == b"+ACK"

        (letter,) = await all_letters(bus.dead_letters)
        assert reason in letter.reason
        assert letter.subject == "relman.orders.local.staging"


NEWER = [
    {"action": {"verb": "levitate", "slot": "blue"}},
    {"altitude": 7},
    {"deployment": None},
]


@pytest.mark.parametrize("change", NEWER)
async def test_an_order_that_only_a_newer_executor_understands_is_left_to_it(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    monkeypatch.setattr(module, "UNKNOWN_SECONDS", 0.05)
    payload = json.dumps(order().model_dump(mode="json") | change).encode()
    async with serving(server) as bus:
        older = FakeExecutor()
        settled = await watch(bus, ACKS)
        async with running(service(bus, older).run()):
            await publish(bus.connection, "relman.orders.local.staging", payload, {})
            for _ in range(2):
                assert (await settled.next_msg(timeout=5)).data.startswith(b"-NAK")
        assert older.done == []
        assert await all_letters(bus.dead_letters) == ()
        state = (await bus.connection.jetstream().stream_info(streams.ORDERS)).state
        assert state.messages == 1


async def test_an_order_that_no_executor_understands_is_a_dead_letter_in_the_end(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNKNOWN_SECONDS", 0.02)
    monkeypatch.setattr(module, "MAX_DELIVERIES", 3)
    payload = json.dumps(order().model_dump(mode="json") | {"altitude": 7}).encode()
    async with serving(server) as bus, running(service(bus, FakeExecutor()).run()):
        settled = await watch(bus, ACKS)
        await publish(bus.connection, "relman.orders.local.staging", payload, {})
        while (answer := (await settled.next_msg(timeout=5)).data) != BURIED:
            assert answer.startswith(b"-NAK")

        (letter,) = await all_letters(bus.dead_letters)
        assert letter.reason.startswith("this executor does not understand the order: altitude: Extra inputs")
        assert letter.reason.endswith("(delivered 3 times; no newer executor took it)")


async def test_an_order_that_kills_its_worker_again_and_again_is_among_the_dead_letters(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ACK_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(module, "MAX_DELIVERIES", 2)

    async def work(order: Order) -> None:
        raise RuntimeError("a bug")

    async with serving(server) as bus, running(service(bus, FakeExecutor(work)).run()):
        await NatsOrderChannel(bus.connection).send(order(), 0)

        letter = await first_letter(bus.dead_letters)
        assert letter.reason == "given up by local after 2 deliveries without an answer"
        assert letter.subject == "relman.orders.local.staging"
        assert letter.excerpt == order().model_dump_json()[:200]


async def test_a_message_that_somebody_else_terminated_is_among_the_dead_letters(server: NatsServer) -> None:
    async with connected(server) as bus:
        await NatsOrderChannel(bus.connection).send(order(), 0)
        foreign = await bus.connection.jetstream().pull_subscribe("relman.orders.>", "foreign")
        (message,) = await foreign.fetch()
        await message.term()

        letter = await first_letter(bus.dead_letters)
        assert letter.reason == "terminated by foreign: no reason given"


async def test_a_full_order_queue_says_busy(server: NatsServer) -> None:
    async with connected(server) as bus:
        js = bus.connection.jetstream()
        config = next(each for each in streams.configurations() if each.name == streams.ORDERS)
        await js.update_stream(config.evolve(max_msgs=1))
        channel = NatsOrderChannel(bus.connection)
        await channel.send(order(fence=1), 0)

        with pytest.raises(BusFullError, match="busy"):
            await channel.send(order(fence=2), 0)


async def test_a_report_waits_for_room_and_the_order_for_its_report(server: NatsServer) -> None:
    executor = FakeExecutor()
    async with connected(server) as bus:
        js = bus.connection.jetstream()
        config = next(each for each in streams.configurations() if each.name == streams.REPORTS)
        await js.update_stream(config.evolve(max_msgs=1))
        await publish(bus.connection, "relman.reports.other", b"in the way", {})
        settled = await watch(bus, ACKS)
        refused = await watch(bus, REPORTS)
        serving = service(bus, executor)
        async with running(serving.run()):
            await NatsOrderChannel(bus.connection).send(order(), 0)
            await refused.next_msg(timeout=5)
            await refused.next_msg(timeout=5)
            assert settled.pending_msgs == 0
            assert str(serving.reports_trouble).startswith("reports that wait for the bus: 1; ")
            await js.purge_stream(streams.REPORTS)
            assert (await settled.next_msg(timeout=5)).data == b"+ACK"
            assert serving.reports_trouble is None
        kept = await js.get_msg(streams.REPORTS, 2)
        assert json.loads(kept.data or b"")["type"] == "deployment.report_step"
