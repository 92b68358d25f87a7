"""Pull the messages of a consumer, one after the other, whatever happens to the server meanwhile."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable

import structlog
from nats.aio.msg import Msg
from nats.js import api
from nats.js.errors import NotFoundError

from release_management.adapters.nats.connection import NatsConnection, header
from release_management.adapters.nats.queues.publishing import STORED_SECONDS
from release_management.adapters.nats.wire.error_mapping import AWAY, understood
from release_management.services.ports.bus import BusAwayError

PULL_SECONDS = 5.0
RETRY_SECONDS = 0.2

_log = structlog.get_logger(__name__)


class Puller:
    """Pulls from a consumer, which it creates, and creates again if it vanished.

    `config` is called each time that the consumer is created. `fresh` creates it anew at the start and after every lost
    connection: messages that were delivered but not settled are then redelivered at once and in their old order, not
    one by one after the `ack_wait`, overtaken by later ones. At most `batch()` messages are in flight at a time. The
    reply subject tells messages apart: one from the stream has one, on which it is settled, and a status of the server
    has none. Headers prove nothing: the sender of a message can have written any into it. nats-py's own `fetch` is not
    used: across a server restart it waits out its whole timeout.
    """

    def __init__(
        self,
        connection: NatsConnection,
        stream: str,
        config: Callable[[], api.ConsumerConfig],
        *,
        batch: Callable[[], int] = lambda: 1,
        fresh: bool = False,
    ) -> None:
        self._connection = connection
        self._js = connection.jetstream(timeout=STORED_SECONDS)
        self._stream = stream
        self._config = config
        self._batch = batch
        self._fresh = fresh
        self._arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._consumer: str | None = None
        self._inbox = ""
        self.trouble: str | None = None
        """The reason why nothing can be pulled at the moment, or None."""
        self.ready = asyncio.Event()
        """Set once it could pull."""

    async def messages(self) -> AsyncGenerator[Msg, None]:
        """Yield every message, for ever. Close the iterator (`contextlib.aclosing`) when done.

        Raises `BusAwayError` if the connection is closed for good.
        """
        subscription = None
        self._connection.found.add(self._wake)
        outstanding = 0
        expires = 0.0
        try:
            while True:
                try:
                    if self._consumer is None:
                        if subscription is not None:
                            await subscription.unsubscribe()
                        # A new inbox, so that messages of the vanished consumer are not taken for the new one's.
                        self._arrived = asyncio.Queue()
                        self._inbox = self._connection.new_inbox()
                        subscription = await self._connection.subscribe(self._inbox, cb=self._arrived.put)
                        self._consumer = await self._create()
                        outstanding = 0
                    if outstanding == 0:
                        outstanding, expires = await self._ask(self._consumer), time.monotonic() + PULL_SECONDS + 0.5
                        self.trouble = None
                except AWAY as error:
                    if self._connection.is_closed:
                        raise BusAwayError("the bus has closed our connection for good") from error
                    _log.info("cannot pull", stream=self._stream, error=f"{type(error).__name__}: {error}")
                    self.trouble = f"nothing can be taken from {self._stream}: {understood(error)}"
                    await self._pause()
                    continue
                try:
                    async with asyncio.timeout(max(expires - time.monotonic(), 0.0)):
                        message = await self._arrived.get()
                except TimeoutError:
                    outstanding = 0
                    continue
                if message is None:
                    outstanding = 0
                    if self._fresh:
                        self._consumer = None
                elif message.reply:
                    outstanding -= 1
                    yield message
                elif (status := header(message, api.Header.STATUS)) is None:
                    _log.warning("neither a message nor a status, passed over", stream=self._stream)
                elif status == api.StatusCode.CONTROL_MESSAGE:
                    continue
                else:
                    outstanding = 0
                    if not await self._is_harmless(status, message):
                        self._consumer = None
        finally:
            self._connection.found.discard(self._wake)
            if subscription is not None:
                with contextlib.suppress(*AWAY):
                    await subscription.unsubscribe()

    async def _create(self) -> str:
        config = self._config()
        name = config.durable_name
        if name is not None and self._fresh:
            with contextlib.suppress(NotFoundError):
                await self._js.delete_consumer(self._stream, name)
        made = await self._js.add_consumer(self._stream, config)
        self.ready.set()
        return str(made.name)

    async def _ask(self, consumer: str) -> int:
        nanoseconds, batch = int(PULL_SECONDS * 1e9), self._batch()
        await self._connection.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{consumer}",
            b'{"batch":%d,"expires":%d}' % (batch, nanoseconds),
            self._inbox,
        )
        return batch

    async def _is_harmless(self, status: str, message: Msg) -> bool:
        """Return True if a status only says that the pull has ended, with the consumer still there."""
        if status in (api.StatusCode.NO_MESSAGES, api.StatusCode.REQUEST_TIMEOUT):
            return True
        text = header(message, api.Header.DESCRIPTION)
        _log.info("pull refused", stream=self._stream, status=status, text=text)
        self.trouble = " ".join(f"nothing can be taken from {self._stream}: {status} {text or ''}".split())
        await self._pause()
        return False

    async def _pause(self) -> None:
        await asyncio.sleep(RETRY_SECONDS)

    def _wake(self) -> None:
        self._arrived.put_nowait(None)
