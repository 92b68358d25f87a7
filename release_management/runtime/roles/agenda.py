"""The orchestrator and the timers as roles: each carries out its own part of the agenda."""

import asyncio
import contextlib

from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.gateway import BusGateway
from release_management.adapters.nats.orders import NatsOrderChannel
from release_management.adapters.system.clock import WatchedClock
from release_management.domain.registry import Registry
from release_management.projections import agenda
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.projected_agenda import ProjectedAgenda
from release_management.runtime.roles.kit.bus import on_bus
from release_management.runtime.roles.kit.clocks import watch_clock
from release_management.runtime.roles.kit.health import Health
from release_management.runtime.roles.kit.lease import serve_in_turn
from release_management.runtime.roles.kit.report_backlog import QueuedReports
from release_management.runtime.roles.kit.store import on_store
from release_management.services import telemetry
from release_management.services.ports import Clock, EventLog, Lease
from release_management.services.ports.bus import CommandGateway as GatewayPort
from release_management.services.threads import in_thread
from release_management.services.workers.orchestrator import Orchestrator, Takes, everything

LOOK_SECONDS = 0.5


class AgendaRole:
    """Carries out the part of the agenda that `takes` selects, while it holds the lease of its role."""

    def __init__(self, home: DataDirectory, health: Health, takes: Takes) -> None:
        self._home = home
        self._health = health
        self._takes = takes
        self._clock = WatchedClock()

    async def serve(self) -> None:
        """Serve until cancelled."""
        registry = Registry()
        with contextlib.ExitStack() as stack:
            log = await asyncio.to_thread(self._home.open_log, registry)
            stack.callback(log.close)
            items = await asyncio.to_thread(ProjectedAgenda, log, registry, self._home.agenda)
            stack.callback(items.close)
            async with (
                on_store(log, self._health),
                on_bus(self._home, self._health.role, self._health) as connection,
            ):

                async def act(_: Lease) -> None:
                    self._health.set_status("active")
                    try:
                        async with asyncio.TaskGroup() as tasks:
                            tasks.create_task(watch_clock(self._clock, self._health))
                            await carry_agenda_out(
                                items,
                                BusGateway(connection),
                                connection,
                                self._clock,
                                log,
                                self._health,
                                self._takes,
                            )
                    finally:
                        self._health.clear("agenda")

                await serve_in_turn(log, self._health, act)


async def carry_agenda_out(
    items: ProjectedAgenda,
    gateway: GatewayPort,
    connection: NatsConnection,
    clock: Clock,
    log: EventLog,
    health: Health,
    takes: Takes = everything,
) -> None:
    """Send the orders and give the commands of the agenda that `takes` names, until cancelled; say in health how."""
    orchestrator = Orchestrator(
        items,
        gateway,
        NatsOrderChannel(connection),
        clock,
        log.wait,
        QueuedReports(connection).are_decided,
        takes=takes,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(orchestrator.run())
        tasks.create_task(_look_after(orchestrator, log, health))


async def _look_after(orchestrator: Orchestrator, log: EventLog, health: Health) -> None:
    """Show the agenda's position and trouble in the health and the metrics, until cancelled."""
    name = agenda.PROJECTION.name
    while True:
        health.show("agenda", orchestrator.trouble)
        position, end = orchestrator.position, await in_thread(log.last_position)
        telemetry.PROJECTION_POSITION.labels(name).set(position)
        telemetry.PROJECTION_LAG.labels(name).set(end - position)
        health.details[name] = {"position": position, "behind": end - position}
        await asyncio.sleep(LOOK_SECONDS)
