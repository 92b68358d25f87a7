"""The road: everything that moves a deployment, served over the message bus by one process."""

import asyncio
import contextlib

import structlog
from nats.js.errors import NotFoundError

from release_management.adapters.local import LocalExecutor
from release_management.adapters.nats import streams
from release_management.adapters.nats.commands import CONSUMER, CommandService
from release_management.adapters.nats.connection import AWAY, Connection, connect, until_closed
from release_management.adapters.nats.dead_letters import DeadLetters
from release_management.adapters.nats.events import NatsEventStream
from release_management.adapters.nats.orders import ExecutorService, NatsOrderChannel
from release_management.adapters.stack.agenda import ProjectedAgenda
from release_management.adapters.stack.core import Core
from release_management.services.orchestrator import Orchestrator
from release_management.services.relay import Relay, RelayMismatchError

EXECUTOR = "local"
MISMATCH_SECONDS = 30.0
_log = structlog.get_logger(__name__)


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
            await _take_orders_over(connection)
            orchestrator = Orchestrator(
                agenda,
                core.gateway,
                NatsOrderChannel(connection),
                core.clock,
                core.log.wait,
                _Queued(connection).is_decided,
            )
            relay = Relay(core.log, NatsEventStream(connection, core.log.store_id))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(commands.run())
                tasks.create_task(_relay_while_it_can(relay))
                tasks.create_task(until_closed(connection))
                tasks.create_task(orchestrator.run())
                tasks.create_task(executor.run())
                tasks.create_task(ExecutorService(connection, EXECUTOR, executor, letters).run())
                await commands.ready.wait()
                self.ready.set()
        finally:
            await executor.stop()
            agenda.close()
            with contextlib.suppress(*AWAY):
                await connection.close()


async def _relay_while_it_can(relay: Relay) -> None:
    """Publish the log; where the stream tells another history only publishing stops, loudly: the log is the truth."""
    while True:
        try:
            await relay.run()
        except RelayMismatchError as error:
            _log.error("events are not published", reason=str(error))
            await asyncio.sleep(MISMATCH_SECONDS)


async def _take_orders_over(connection: Connection) -> None:
    """Have the orders that a killed predecessor was working on come again at once, not after its time to answer."""
    with contextlib.suppress(NotFoundError, *AWAY):
        await connection.jetstream().delete_consumer(streams.ORDERS, EXECUTOR)


class _Queued:
    """The commands, reports among them, that the bus held when it was first asked about them."""

    def __init__(self, connection: Connection) -> None:
        self._js = connection.jetstream()
        self._last: int | None = None

    async def is_decided(self) -> bool:
        """Whether the gateway has decided all of them."""
        with contextlib.suppress(NotFoundError, *AWAY):
            if self._last is None:
                self._last = (await self._js.stream_info(streams.COMMANDS)).state.last_seq
            info = await self._js.consumer_info(streams.COMMANDS, CONSUMER)
            idle = not info.num_pending and not info.num_ack_pending
            return idle or (info.ack_floor is not None and info.ack_floor.stream_seq >= self._last)
        return False
