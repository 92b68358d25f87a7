"""The road: everything that moves a deployment, served over the message bus by one process."""

import asyncio
import contextlib

from nats.js.errors import NotFoundError

from release_management.adapters.local import LocalExecutor
from release_management.adapters.nats import streams
from release_management.adapters.nats.commands import CONSUMER, CommandService
from release_management.adapters.nats.connection import AWAY, Connection, connect
from release_management.adapters.nats.dead_letters import DeadLetters
from release_management.adapters.nats.events import NatsEventStream
from release_management.adapters.nats.orders import ExecutorService, NatsOrderChannel
from release_management.adapters.stack.agenda import ProjectedAgenda
from release_management.adapters.stack.core import Core
from release_management.services.orchestrator import Orchestrator
from release_management.services.relay import Relay


class Road:
    """Gateway, relay, orchestrator, timers and the local executor on one connection to the bus.

    `ready` is set once a command on the bus is answered.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.ready = asyncio.Event()

    async def serve(self, url: str) -> None:
        """Serve until cancelled; then end the deployed processes, which the next start restores."""
        core = self._core
        connection = await connect(url, "relman road")
        executor = LocalExecutor(core.home.folder, core.clock)
        letters = DeadLetters(connection, core.keyring)
        commands = CommandService(connection, core.gateway, letters)
        agenda = ProjectedAgenda(core.log, core.registry, core.home.agenda)
        try:
            await streams.ensure_streams(connection.jetstream())
            orchestrator = Orchestrator(
                agenda,
                core.gateway,
                NatsOrderChannel(connection),
                core.clock,
                core.log.wait,
                lambda: _reports_taken_in(connection),
            )
            relay = Relay(core.log, NatsEventStream(connection, core.log.store_id))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(commands.run())
                tasks.create_task(relay.run())
                tasks.create_task(orchestrator.run())
                tasks.create_task(executor.run())
                tasks.create_task(ExecutorService(connection, "local", executor, letters).run())
                await commands.ready.wait()
                self.ready.set()
        finally:
            await executor.stop()
            agenda.close()
            await connection.close()


async def _reports_taken_in(connection: Connection) -> bool:
    """Whether the bus holds no queued command that the gateway has yet to decide."""
    with contextlib.suppress(NotFoundError, *AWAY):
        info = await connection.jetstream().consumer_info(streams.COMMANDS, CONSUMER)
        return not info.num_pending and not info.num_ack_pending
    return False
