"""Three servers that replicate the streams: each of them may die, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.connection import NatsConnection, connect
from release_management.adapters.nats.dead_letters.store import DeadLetters
from release_management.adapters.nats.events import NatsEventStream
from release_management.adapters.nats.orders import ExecutorService, NatsOrderChannel
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.commands import CommandService
from release_management.adapters.nats.queues.publishing import publish_patiently
from release_management.services.ports.bus import BusError
from release_management.services.workers.relay import Relay
from tests.adapters.nats.fakes import (
    FakeExecutor,
    FakeGateway,
    FakeKeyring,
    FakeLog,
    all_letters,
    envelope,
    order,
    record,
    running,
)
from tests.servers.nats_cluster import NatsCluster

STREAMS = (streams.COMMANDS, streams.REPORTS, streams.EVENTS, streams.ORDERS, streams.DEAD)
GARBAGE = "relman.commands.release.create"
KINDS = ("commands", "events", "orders", "dead letters")
RECOVERY_SECONDS = 15.0
BUSY_MACHINE = 2
"""Times as long as on a machine that does nothing else."""


class Traffic:
    """Commands, records, orders and messages that are no commands, and when one of each kind last arrived."""

    def __init__(self, cluster: NatsCluster) -> None:
        self._cluster = cluster
        self._stack = contextlib.AsyncExitStack()
        self._stop = asyncio.Event()
        self.gateway = FakeGateway()
        self.log = FakeLog()
        self.executor = FakeExecutor()
        self.commands = self.orders = self.garbage = self.position = 0
        self.arrived = dict.fromkeys(KINDS, 0.0)

    async def __aenter__(self) -> Traffic:
        gateway, relay, executor = [await self.user(name) for name in ("gateway", "relay", "executor-local")]
        await streams.ensure_streams(gateway.jetstream(), 3)
        await streams.ensure_streams(relay.jetstream(), 3, [streams.EVENTS])
        letters = DeadLetters(gateway, FakeKeyring())
        service = CommandService(gateway, self.gateway, letters)
        await self._stack.enter_async_context(running(service.run(), service.ready))
        for coroutine in (
            Relay(self.log, NatsEventStream(relay, self.log.store_id)).run(),
            ExecutorService(executor, "local", self.executor).run(),
            self._watch_commands(),
            self._watch_events(),
            self._watch_letters(gateway),
        ):
            await self._stack.enter_async_context(running(coroutine))
        self._giving = [
            asyncio.create_task(each)
            for each in (self._send_commands(), self._record(), self._send_orders(), self._send_garbage())
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def user(self, name: str) -> NatsConnection:
        connection = await connect(self._cluster.urls[name], f"test {name}")
        self._stack.push_async_callback(connection.close)
        return connection

    async def end(self) -> None:
        """Give nothing new."""
        self._stop.set()
        await asyncio.gather(*self._giving)

    async def has_arrived(self) -> bool:
        """Return True if everything submitted has arrived."""
        decided = {seen.id for seen in self.gateway.seen if seen.sender == "ci"}
        reported = {seen.id for seen in self.gateway.seen if seen.sender == "executor:local"}
        return (
            decided == {str(number) for number in range(self.commands)}
            and len(reported) == self.orders
            and {done.fence for done in self.executor.done} == set(range(1, self.orders + 1))
            and self.position == self.log.last_position()
        )

    async def is_settled(self, js: NatsConnection) -> bool:
        """Return True if the queues are empty."""
        states = [
            (await js.jetstream().stream_info(name)).state
            for name in (streams.COMMANDS, streams.REPORTS, streams.ORDERS)
        ]
        return not any(state.messages for state in states)

    async def _send_commands(self) -> None:
        async with BusClient(self._cluster.urls["client"], timeout=30.0) as client:
            while not self._stop.is_set():
                await client.send(envelope(str(self.commands)))
                self.commands += 1

    async def _send_garbage(self) -> None:
        client = await self.user("client")
        while not self._stop.is_set():
            identity = {"Nats-Msg-Id": f"garbage {self.garbage}"}
            await publish_patiently(client, GARBAGE, b"garbage", identity, 30.0)
            self.garbage += 1
            await asyncio.sleep(0.05)

    async def _record(self) -> None:
        while not self._stop.is_set():
            last = self.log.last_position()
            self.log.grow(*(record(position) for position in range(last + 1, last + 2 + last % 20)))
            await asyncio.sleep(0.02)

    async def _send_orders(self) -> None:
        channel = NatsOrderChannel(await self.user("orchestrator"))
        while not self._stop.is_set():
            with contextlib.suppress(BusError):
                await channel.send(order(fence=self.orders + 1), 0)
                self.orders += 1
            await asyncio.sleep(0.01)

    async def _watch_commands(self) -> None:
        reports = 0
        while True:
            await self.gateway.calls.get()
            kind = "orders" if self.gateway.seen[-1].sender == "executor:local" else "commands"
            self.arrived[kind] = time.monotonic()
            reports += kind == "orders"

    async def _watch_events(self) -> None:
        async with (
            BusClient(self._cluster.urls["client"]) as client,
            contextlib.aclosing(client.events()) as events,
        ):
            async for event in events:
                assert event == self.log.records[event.position - 1]
                assert event.position == self.position + 1
                self.position = event.position
                self.arrived["events"] = time.monotonic()

    async def _watch_letters(self, gateway: NatsConnection) -> None:
        kept = 0
        while True:
            with contextlib.suppress(Exception):
                info = await gateway.jetstream(timeout=1.0).stream_info(streams.DEAD)
                if info.state.last_seq > kept:
                    kept = info.state.last_seq
                    self.arrived["dead letters"] = time.monotonic()
            await asyncio.sleep(0.1)


async def until(condition: Callable[[], Awaitable[bool]], within: float) -> None:
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.1)


async def lose(cluster: NatsCluster, node: str, traffic: Traffic) -> dict[str, float]:
    """Kill a server; how many seconds later each kind of traffic went on. Then all of them are there again."""
    cluster.kill(node)
    killed = time.monotonic()
    went_on: dict[str, float] = {}

    async def everything_goes_on() -> bool:
        # What the dead server had sent may still arrive in the first moment.
        new = {kind: at - killed for kind, at in traffic.arrived.items() if at > killed + 0.3}
        went_on.update({kind: took for kind, took in new.items() if kind not in went_on})
        return len(went_on) == len(KINDS)

    await until(everything_goes_on, RECOVERY_SECONDS * BUSY_MACHINE)
    cluster.restart(node)

    async def all_are_healthy() -> bool:
        return all([await cluster.healthy(each) for each in STREAMS])

    await until(all_are_healthy, 30.0)
    return went_on


async def lose_every_leader(cluster: NatsCluster) -> dict[str, dict[str, float]]:
    """Kill servers until each stream has lost its leader once; per loss, how soon each kind of traffic went on."""
    recovered: dict[str, dict[str, float]] = {}
    left = list(STREAMS)
    async with Traffic(cluster) as traffic:
        while left:
            leaders = {stream: await cluster.leader(stream) for stream in STREAMS}
            node = Counter(leaders[stream] for stream in left).most_common(1)[0][0]
            assert node is not None
            lost = [stream for stream, leader in leaders.items() if leader == node]
            recovered[", ".join(lost)] = await lose(cluster, node, traffic)
            left = [stream for stream in left if stream not in lost]
        await traffic.end()
        await until(traffic.has_arrived, RECOVERY_SECONDS * BUSY_MACHINE)

        gateway = await traffic.user("gateway")
        await until(lambda: traffic.is_settled(gateway), RECOVERY_SECONDS * BUSY_MACHINE)
        keepers = {streams.EVENTS: await traffic.user("relay")}
        states = {name: await keepers.get(name, gateway).jetstream().stream_info(name) for name in STREAMS}
        stored = {name: info.state.last_seq for name, info in states.items()}
        # A report of which a dying leader did not say that it has it is stored once more; it is the same one.
        assert stored[streams.COMMANDS] >= traffic.commands + traffic.garbage
        assert stored[streams.REPORTS] >= traffic.orders
        assert stored[streams.EVENTS] == traffic.log.last_position()
        assert stored[streams.ORDERS] == traffic.orders
        letters = await all_letters(DeadLetters(gateway, FakeKeyring()))
        assert Counter(letter.subject for letter in letters) == {GARBAGE: traffic.garbage}
        assert min(traffic.commands, traffic.orders, traffic.position, traffic.garbage) >= 50
    return recovered


def test_any_leader_may_die_under_traffic(capsys: pytest.CaptureFixture[str]) -> None:
    with NatsCluster() as cluster:
        recovered = asyncio.run(lose_every_leader(cluster))
    with capsys.disabled():
        for lost, kinds in recovered.items():
            print(f"\n  leader of {lost} lost: " + ", ".join(f"{kind} {took:.1f} s" for kind, took in kinds.items()))
    assert all(took < RECOVERY_SECONDS * BUSY_MACHINE for kinds in recovered.values() for took in kinds.values())
