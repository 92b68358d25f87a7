"""Settle a message of a stream: it is in work, done, or not to be redelivered."""

import asyncio
import contextlib
from collections.abc import Iterator

import structlog
from nats.aio.msg import Msg

from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.wire.error_mapping import AWAY

IS_A_LETTER = "it is kept as a dead letter"
BURIED = b"+TERM " + IS_A_LETTER.encode()
"""Do not redeliver; the server repeats these words in its advisory."""

_log = structlog.get_logger(__name__)


class Ticker:
    """Tells the server that messages are still in work, so that it does not redeliver them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._messages: dict[str, Msg] = {}

    @contextlib.contextmanager
    def working(self, message: Msg) -> Iterator[None]:
        """While inside, `message` counts as in work."""
        self.start(message)
        try:
            yield
        finally:
            self.stop(message)

    def start(self, message: Msg) -> None:
        """From now on `message` counts as in work."""
        self._messages[message.reply] = message

    def stop(self, message: Msg) -> None:
        """From now on `message` no longer counts as in work."""
        self._messages.pop(message.reply, None)

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            for message in list(self._messages.values()):
                with contextlib.suppress(*AWAY):
                    await message.in_progress()


async def settle(connection: NatsConnection, message: Msg, answer: bytes = b"+ACK") -> bool:
    """Tell the server how a message ended and wait until it knows; return False if it did not answer.

    `answer` is `b"+ACK"`, `BURIED`, or a `b"-NAK"`. nats-py's own `term` does not wait.
    """
    try:
        await connection.request(message.reply, answer, timeout=2.0)
    except AWAY as error:
        _log.info("not settled, it will come again", subject=message.subject, error=type(error).__name__)
        return False
    return True
