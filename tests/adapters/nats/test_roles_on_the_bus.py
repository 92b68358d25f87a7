"""A role says so where the bus keeps it from its work, and streams that are lost are made again."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from nats.js.api import DiscardPolicy

from release_management.adapters.home import Home
from release_management.adapters.nats import streams
from release_management.adapters.nats.events import NatsEventStream
from release_management.adapters.nats.server import NatsServer
from release_management.adapters.roles import bus as bus_role
from release_management.adapters.roles.bus import on_bus
from release_management.adapters.roles.executor import ExecutorRole
from release_management.adapters.roles.gateway import GatewayRole
from release_management.adapters.roles.health import Health
from release_management.adapters.roles.relay import publish_while_it_can
from release_management.services import measures
from release_management.services.bus import BusError
from release_management.services.relay import Relay
from tests.adapters.nats.fakes import FakeLog, connected, record, running


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
    async with connected(server) as bus, running(GatewayRole(Home(tmp_path), health).serve()):
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
    async with connected(server) as bus, running(GatewayRole(Home(tmp_path), health).serve()):
        await until(lambda: health.is_well)
        await bus.connection.jetstream().delete_stream(streams.COMMANDS)
        await until(lambda: "commands" in troubles(health))
        assert "does not have the stream" in troubles(health)["commands"]
        await until(lambda: health.is_well)


async def test_an_executor_is_not_active_before_it_can_take_orders(server: NatsServer, tmp_path: Path) -> None:
    health = Health("executor")
    async with running(ExecutorRole(Home(tmp_path), health, "command").serve()):
        await until(lambda: "orders command" in troubles(health))
        assert not health.ready
        assert "does not have the stream" in troubles(health)["orders command"]
        async with connected(server):
            await until(lambda: health.is_well)


async def test_a_relay_that_cannot_publish_is_not_well(server: NatsServer) -> None:
    log, health = FakeLog(2), Health("relay")
    health.stand("active")
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


async def test_every_connection_of_a_process_has_a_part_and_the_gauge_is_of_all(
    server: NatsServer, tmp_path: Path
) -> None:
    health = Health("road")
    health.stand("active")
    home = Home(tmp_path)
    gauge = measures.BUS_CONNECTED
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
