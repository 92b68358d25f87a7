"""What becomes of a message that was taken from a stream: worked on, done, or not to come again."""

import asyncio
import contextlib
from collections.abc import Iterator

import structlog
from nats.aio.msg import Msg

from release_management.adapters.nats.connection import AWAY, Connection

IS_A_LETTER = "it is kept as a dead letter"
BURIED = b"+TERM " + IS_A_LETTER.encode()
"""Not to be delivered again; the server tells the dead letters so, in these words."""

_log = structlog.get_logger(__name__)


class Ticker:
    """Tells the server that messages are still worked on, so that it does not deliver them again."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._messages: dict[str, Msg] = {}

    @contextlib.contextmanager
    def working(self, message: Msg) -> Iterator[None]:
        """While inside, `message` counts as worked on."""
        self.start(message)
        try:
            yield
        finally:
            self.stop(message)

    def start(self, message: Msg) -> None:
        """From now on `message` counts as worked on."""
        self._messages[message.reply] = message

    def stop(self, message: Msg) -> None:
        """From now on it no longer does."""
        self._messages.pop(message.reply, None)

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            for message in list(self._messages.values()):
                with contextlib.suppress(*AWAY):
                    await message.in_progress()


async def settle(connection: Connection, message: Msg, answer: bytes = b"+ACK") -> bool:
    """Tell the server what became of a message and wait until it knows; False where it did not answer.

    `answer` is `b"+ACK"`, `BURIED`, or a `b"-NAK"`. nats-py's own `term` does not wait.
    """
    try:
        await connection.request(message.reply, answer, timeout=2.0)
    except AWAY as error:
        _log.info("not settled, it will come again", subject=message.subject, error=type(error).__name__)
        return False
    return True
