"""The all-in-one role, named `road`: all roles that move a deployment, served over the message bus by one process."""

import asyncio
import contextlib

from nats.js.errors import NotFoundError

from release_management.adapters.executors.catalog import make_executor
from release_management.adapters.executors.installed import executor_names
from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.dead_letters.store import DeadLetters
from release_management.adapters.nats.events import NatsEventStream
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.commands import CommandService
from release_management.adapters.nats.wire.error_mapping import AWAY
from release_management.adapters.system.clock import RecordingClock
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.gateway_host import GatewayHost
from release_management.runtime.projected_agenda import ProjectedAgenda
from release_management.runtime.roles.agenda import carry_agenda_out
from release_management.runtime.roles.executor import begin_executing
from release_management.runtime.roles.gateway import decide_until_deposed
from release_management.runtime.roles.kit.bus import (
    on_bus,
    with_doors,
    with_queues,
    with_streams,
)
from release_management.runtime.roles.kit.health import Health
from release_management.runtime.roles.kit.store import watch_store
from release_management.runtime.roles.kit.transient_errors import keep_serving
from release_management.runtime.roles.relay import publish_while_it_can
from release_management.services.ports import DeposedError
from release_management.services.workers.relay import Relay

LOOK_SECONDS = 0.5


class AllInOne:
    """Gateway, relay, orchestrator, timers and executors, each with its own user of the bus."""

    def __init__(self, core: GatewayHost, health: Health) -> None:
        self._core = core
        self._health = health
        self._streams = asyncio.Event()
        """Set once the gateway has created the streams, which executors need."""

    async def serve(self) -> None:
        """Serve until cancelled; then end the deployed processes, which the next start restores.

        Executors go on while the store is away, so that deployed components are not affected.
        """
        async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            tasks.create_task(watch_store(self._core.log, self._health))
            tasks.create_task(keep_serving(self._decide, self._health))
            await self._streams.wait()
            for name in executor_names():
                executing = await stack.enter_async_context(on_bus(self._core.home, f"executor-{name}", self._health))
                await _take_orders_over(executing, name)
                executor = make_executor(name, self._core.home.folder, self._core.clock)
                stack.push_async_callback(executor.stop)
                begin_executing(tasks, executor, name, executing, self._core.clock, self._health)

    async def _decide(self) -> None:
        """Serve all roles that need the store, for as long as one gateway decides."""
        core, health = self._core, self._health
        gateway = core.deciding()
        async with contextlib.AsyncExitStack() as stack:

            async def bus(user: str) -> NatsConnection:
                return await stack.enter_async_context(on_bus(core.home, user, health))

            agenda = await asyncio.to_thread(ProjectedAgenda, core.log, core.registry, core.home.agenda)
            stack.callback(agenda.close)
            deciding = await bus("gateway")
            clients = await stack.enter_async_context(with_queues(deciding, core.home.replicas, health))
            acting = await bus("orchestrator")
            publishing = await bus("relay")
            await stack.enter_async_context(with_streams(publishing, core.home.replicas, (streams.EVENTS,), health))
            self._streams.set()
            doors = await stack.enter_async_context(with_doors(core.home, "gateway", clients, health))
            relay = Relay(core.log, NatsEventStream(publishing, core.log.store_id))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(publish_while_it_can(relay, core.log, health))
                tasks.create_task(carry_agenda_out(agenda, gateway, acting, core.clock, core.log, health))
                commands = CommandService(deciding, gateway, DeadLetters(deciding, core.keyring), clients, doors=doors)
                await decide_until_deposed(gateway, commands, deciding, clients, core.recording, health)
                raise DeposedError("the gateway's lease was lost; it is taken again where nobody else has it")


class AllInOneRole:
    """The all-in-one role as a process: it opens the gateway host itself."""

    def __init__(self, home: DataDirectory, health: Health) -> None:
        self._home = home
        self._health = health
        self._clock = RecordingClock()

    async def serve(self) -> None:
        """Serve until cancelled."""
        core = await asyncio.to_thread(GatewayHost, self._home, self._clock)
        try:
            await AllInOne(core, self._health).serve()
        finally:
            await asyncio.to_thread(core.close)


async def _take_orders_over(connection: NatsConnection, executor: str) -> None:
    """Have the orders of a killed predecessor redelivered at once, not after its time to answer."""
    with contextlib.suppress(NotFoundError, *AWAY):
        await connection.jetstream().delete_consumer(streams.ORDERS, executor)
