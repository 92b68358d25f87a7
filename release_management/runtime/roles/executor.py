"""An executor as a role: it needs the bus and its own folder, no store."""

import asyncio

from release_management.adapters.executors.catalog import RunningExecutor, make_executor
from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.orders import ExecutorService
from release_management.adapters.nats.queues.streams import ORDERS
from release_management.adapters.nats.watching import Watcher
from release_management.adapters.system.clock import WatchedClock
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.roles.kit.backlog import watch_backlog
from release_management.runtime.roles.kit.bus import on_bus
from release_management.runtime.roles.kit.clocks import watch_clock
from release_management.runtime.roles.kit.conditions import show_components
from release_management.runtime.roles.kit.health import Health
from release_management.services.ports import Clock

LOOK_SECONDS = 0.5


class ExecutorRole:
    """Takes the orders of one executor by name; several processes may share them."""

    def __init__(self, home: DataDirectory, health: Health, name: str) -> None:
        self._home = home
        self._health = health
        self._name = name
        self._clock = WatchedClock()

    async def serve(self) -> None:
        """Serve until cancelled. Deployed processes go on running."""
        async with on_bus(self._home, f"executor-{self._name}", self._health) as connection:
            executor = make_executor(self._name, self._home.folder, self._clock)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(watch_clock(self._clock, self._health))
                    service = begin_executing(tasks, executor, self._name, connection, self._clock, self._health)
                    await service.ready.wait()
                    self._health.set_status("active")
            finally:
                await executor.stop(keep=True)


def begin_executing(
    tasks: asyncio.TaskGroup,
    executor: RunningExecutor,
    name: str,
    connection: NatsConnection,
    clock: Clock,
    health: Health,
) -> ExecutorService:
    """Begin everything that an executor does: carry orders out, look at components, say in health how both go."""
    watcher = Watcher(connection, name, executor, clock)
    service = ExecutorService(connection, name, executor, watcher.look_at)
    for work in (
        executor.run(),
        service.run(),
        watcher.run(),
        show_components(watcher, name, clock, health),
        look_at_orders(service, name, health),
        look_at_deployed(executor, health),
        watch_backlog(connection, ORDERS, name, health),
    ):
        tasks.create_task(work)
    return service


async def look_at_orders(service: ExecutorService, name: str, health: Health) -> None:
    """Show in the health whether orders can be taken and reports stored, until cancelled."""
    while True:
        health.show(f"orders {name}", service.trouble)
        health.show(f"reports {name}", service.reports_trouble)
        await asyncio.sleep(LOOK_SECONDS)


async def look_at_deployed(executor: RunningExecutor, health: Health) -> None:
    """Show in the health the components that cannot be kept as intended, until cancelled.

    It is a trouble if their traffic is affected, else a warning.
    """
    shown: set[str] = set()
    while True:
        troubles = executor.troubles()
        for gone in shown - {each.part for each in troubles}:
            health.clear(f"deployed {gone}")
        shown = {each.part for each in troubles}
        for each in troubles:
            part = f"deployed {each.part}"
            if each.affects_traffic:
                health.trouble(part, f"{each.part}: {each.says}")
            else:
                health.warn(part, f"{each.part}: {each.says}")
        await asyncio.sleep(LOOK_SECONDS)
