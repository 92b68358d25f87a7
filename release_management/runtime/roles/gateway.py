"""The gateway as a role: several may be started, one at a time decides."""

import asyncio
import contextlib
from collections.abc import Collection

from release_management.adapters.executors.catalog import settings_checks
from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.dead_letters.store import DeadLetters
from release_management.adapters.nats.queues.commands import CommandService
from release_management.adapters.system.clock import RecordingClock, new_id
from release_management.domain.registry import Registry
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.roles.kit.backlog import watch_queues
from release_management.runtime.roles.kit.bus import (
    on_bus,
    with_doors,
    with_queues,
)
from release_management.runtime.roles.kit.clocks import look_at_clock
from release_management.runtime.roles.kit.health import Health
from release_management.runtime.roles.kit.lanes import look_at_lanes
from release_management.runtime.roles.kit.lease import serve_in_turn
from release_management.runtime.roles.kit.store import on_store
from release_management.services import telemetry
from release_management.services.gateway.gateway import WAITING, Gateway
from release_management.services.ports import (
    EventLog,
    Keyring,
    Lease,
)

LOOK_SECONDS = 0.5
ACTIVE = ("appends", "clock", "commands", "letters", "queue", "reports gateway", "requests", "store", "version")
"""The parts of the health that only the active gateway has."""


class GatewayRole:
    """Decides the commands of the bus while it holds the lease of its role; otherwise it stands by."""

    def __init__(self, home: DataDirectory, health: Health) -> None:
        self._home = home
        self._health = health
        self._clock = RecordingClock()

    async def serve(self) -> None:
        """Serve until cancelled."""
        registry = Registry()
        with contextlib.ExitStack() as stack:
            log = await asyncio.to_thread(self._home.open_log, registry)
            stack.callback(log.close)
            keyring = await asyncio.to_thread(self._home.open_keyring)
            stack.callback(keyring.close)
            async with (
                on_store(log, self._health),
                on_bus(self._home, "gateway", self._health) as connection,
                with_queues(connection, self._home.replicas, self._health) as clients,
            ):

                async def decide(lease: Lease) -> None:
                    await self._decide(lease, connection, clients, log, registry, keyring)

                await serve_in_turn(log, self._health, decide)

    async def _decide(
        self,
        lease: Lease,
        connection: NatsConnection,
        clients: Collection[str],
        log: EventLog,
        registry: Registry,
        keyring: Keyring,
    ) -> None:
        gateway = Gateway(log, registry, keyring, self._clock, new_id, settings_checks(), lease)
        try:
            async with with_doors(self._home, "gateway", clients, self._health) as doors:
                letters = DeadLetters(connection, keyring)
                commands = CommandService(connection, gateway, letters, clients, doors=doors)
                await decide_until_deposed(gateway, commands, connection, clients, self._clock, self._health)
        finally:
            await asyncio.to_thread(gateway.close)
            for part in ACTIVE:
                self._health.clear(part)


async def decide_until_deposed(
    gateway: Gateway,
    commands: CommandService,
    connection: NatsConnection,
    clients: Collection[str],
    clock: RecordingClock,
    health: Health,
) -> None:
    """Take commands in from the bus, and say in health how that goes, until another gateway decides."""
    async with asyncio.TaskGroup() as tasks:
        serving = [
            tasks.create_task(commands.run()),
            tasks.create_task(watch_queues(connection, clients, health)),
        ]
        await commands.ready.wait()
        health.set_status("active")
        while not gateway.deposed.is_set():
            look_at(gateway, commands, health)
            look_at_clock(clock, health)
            await asyncio.sleep(LOOK_SECONDS)
        for each in serving:
            each.cancel()


def look_at(gateway: Gateway, commands: CommandService, health: Health) -> None:
    """Show the gateway's state in the health."""
    waiting = gateway.waiting
    telemetry.QUEUE_LENGTH.set(waiting)
    health.details["waiting"] = waiting
    if waiting > WAITING // 2:
        health.warn("queue", f"{waiting:,} of {WAITING:,} commands wait; at the end callers are told busy")
    else:
        health.clear("queue")
    if (slow := gateway.appends.warning) is not None:
        health.warn("appends", slow)
    else:
        health.clear("appends")
    health.show("store", gateway.trouble)
    health.show("commands", commands.trouble)
    look_at_lanes(commands.pressure, health)
    health.show("reports gateway", commands.reports_trouble)
    if (counted := commands.letters_warning) is not None:
        health.warn("letters", counted)
    else:
        health.clear("letters")
    if commands.older is not None:
        health.warn("version", commands.older)
    else:
        health.clear("version")
