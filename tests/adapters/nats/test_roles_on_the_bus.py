"""A role says so where the bus keeps it from its work, and streams that are lost are made again."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path

import pytest
from nats.js.api import DiscardPolicy, StreamConfig, StreamInfo

from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.events import NatsEventStream
from release_management.adapters.nats.queues import streams
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.exit_codes import FINAL, SENTENCE
from release_management.runtime.roles.executor import ExecutorRole
from release_management.runtime.roles.gateway import GatewayRole
from release_management.runtime.roles.kit import bus as bus_role
from release_management.runtime.roles.kit.bus import on_bus
from release_management.runtime.roles.kit.health import Health
from release_management.runtime.roles.kit.transient_errors import keep_serving
from release_management.runtime.roles.relay import publish_while_it_can
from release_management.services import telemetry
from release_management.services.ports.bus import BusError, BusUnfitError
from release_management.services.workers.relay import Relay
from tests.adapters.nats.fakes import (
    FakeLog,
    WatchedServer,
    connected,
    envelope,
    record,
    running,
)

ROAD = """
import sys
from pathlib import Path
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.roles.process import run
sys.exit(run("road", DataDirectory(Path(sys.argv[1]), replicas=3)))
"""


@pytest.fixture(autouse=True)
def missed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_role, "STREAMS_SECONDS", 0.1)


def troubles(health: Health) -> dict[str, str]:
    return {each["part"]: each["says"] for each in health.document()["troubles"]}


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.02)


async def test_streams_that_are_lost_are_made_again_also_while_the_server_was_away(
    server: NatsServer, tmp_path: Path
) -> None:
    health = Health("gateway")
    async with connected(server) as bus, running(GatewayRole(DataDirectory(tmp_path), health).serve()):
        await until(lambda: health.is_well)
        js = bus.connection.jetstream()

        await js.delete_stream(streams.DEAD)
        while await streams.missing(js, streams.WORK):
            await asyncio.sleep(0.02)

        server.stop()
        (lost,) = tmp_path.glob(f"nats/**/{streams.COMMANDS}")
        shutil.rmtree(lost)
        server.start()
        while True:
            try:
                if not await streams.missing(js, streams.WORK):
                    break
            except BusError:
                await asyncio.sleep(0.02)
        await until(lambda: health.is_well)


async def test_a_gateway_that_can_take_no_queued_commands_is_not_well(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_role, "STREAMS_SECONDS", 2.0)
    health = Health("gateway")
    async with connected(server) as bus, running(GatewayRole(DataDirectory(tmp_path), health).serve()):
        await until(lambda: health.is_well)
        await bus.connection.jetstream().delete_stream(streams.COMMANDS)
        await until(lambda: "commands" in troubles(health))
        assert "does not have the stream" in troubles(health)["commands"]
        await until(lambda: health.is_well)


async def test_a_gateway_makes_the_queue_of_a_client_that_its_server_has_later(tmp_path: Path) -> None:
    health = Health("gateway")
    serving = keep_serving(GatewayRole(DataDirectory(tmp_path), health).serve, health)
    with contextlib.ExitStack() as servers:
        server = servers.enter_context(WatchedServer(tmp_path, clients=["ci"]))
        async with connected(server) as bus, running(serving), asyncio.timeout(60):
            await until(lambda: health.is_well)
            js = bus.connection.jetstream()
            assert not await streams.missing(js, [streams.queue_of("ci")])
            assert await streams.missing(js, [streams.queue_of("bot")])

            server.stop()
            later = servers.enter_context(WatchedServer(tmp_path, clients=["bot"]))
            there = False
            while not there:
                await asyncio.sleep(0.02)
                with contextlib.suppress(BusError):
                    there = not await streams.missing(js, streams.queues(("bot", "ci")))
            await until(lambda: health.is_well)
            async with BusClient(later.urls["client-bot"]) as bot:
                await bot.send(envelope("queued"))
                while await bot.outcome("ci", "queued") is None:
                    await asyncio.sleep(0.02)


async def test_an_executor_is_not_active_before_it_can_take_orders(server: NatsServer, tmp_path: Path) -> None:
    health = Health("executor")
    async with running(ExecutorRole(DataDirectory(tmp_path), health, "command").serve()):
        await until(lambda: "orders command" in troubles(health))
        assert not health.ready
        assert "does not have the stream" in troubles(health)["orders command"]
        async with connected(server):
            await until(lambda: health.is_well)


async def test_a_relay_that_cannot_publish_is_not_well(server: NatsServer) -> None:
    log, health = FakeLog(2), Health("relay")
    health.set_status("active")
    async with connected(server) as bus:
        js = bus.events.jetstream()
        events = next(each for each in streams.configurations() if each.name == streams.EVENTS)
        relay = Relay(log, NatsEventStream(bus.events, log.store_id))
        async with running(publish_while_it_can(relay, log, health)):
            await until(lambda: relay.position == 2)
            assert health.is_well

            await js.update_stream(events.evolve(max_msgs=2, discard=DiscardPolicy.NEW))
            log.grow(record(3))
            await until(lambda: "events" in troubles(health))
            assert "events are not published: busy: the queue is full" in troubles(health)["events"]
            await js.update_stream(events)
            await until(lambda: relay.position == 3 and health.is_well)

            await js.delete_stream(streams.EVENTS)
            log.grow(record(4))
            await until(lambda: not health.is_well)
            await streams.ensure_streams(js, names=[streams.EVENTS])
            await until(lambda: relay.position == 4 and health.is_well)
            assert (await js.stream_info(streams.EVENTS)).state.messages == 4


@pytest.mark.parametrize("role", ["gateway", "relay", "road"])
async def test_a_role_ends_with_its_sentence_where_only_a_person_can_mend_the_bus(
    server: NatsServer, tmp_path: Path, role: str
) -> None:
    words: tuple[str, ...] = ("-m", "release_management.cli", "serve", role, "--replicas", "3", "--data", str(tmp_path))
    if role == "road":
        words = ("-c", ROAD, str(tmp_path))
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=PIPE, stderr=PIPE)
    _, said = await process.communicate()
    assert process.returncode == FINAL
    last = said.decode().splitlines()[-1]
    assert last.startswith(SENTENCE + "this nats-server is no cluster, and cannot keep replicas of the streams: start")


async def test_a_server_that_is_too_old_is_not_waited_for(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(server) as bus:
        js = bus.events.jetstream()
        add = js.add_stream

        async def add_as_an_old_server_does(config: StreamConfig) -> StreamInfo:
            made = await add(config)
            made.config.allow_atomic = None
            return made

        monkeypatch.setattr(js, "add_stream", add_as_an_old_server_does)
        with pytest.raises(BusUnfitError, match=r"too old; relman needs 2\.12"):
            await streams.ensure_streams(js, names=[streams.EVENTS])


async def test_every_connection_of_a_process_has_a_part_and_the_gauge_is_of_all(
    server: NatsServer, tmp_path: Path
) -> None:
    health = Health("road")
    health.set_status("active")
    home = DataDirectory(tmp_path)
    gauge = telemetry.BUS_CONNECTED
    async with on_bus(home, "gateway", health) as staying, on_bus(home, "executor-local", health) as lost:
        assert staying.is_connected
        await until(lambda: gauge._value.get() == 1)
        lost._status = lost.RECONNECTING
        await until(lambda: "bus executor-local" in troubles(health))
        await asyncio.sleep(2 * bus_role.LOOK_SECONDS)
        assert troubles(health).keys() == {"bus executor-local"}
        assert gauge._value.get() == 0
        lost._status = lost.CONNECTED
        await until(lambda: health.is_well and gauge._value.get() == 1)
    assert gauge._value.get() == 0
