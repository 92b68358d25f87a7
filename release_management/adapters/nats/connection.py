"""A connection that never gives up, and never leaves anybody waiting for an answer that got lost with it."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar, cast

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError

from release_management.services.bus import BusAwayError, BusError, BusFullError, OutOfStepError

LOOK_SECONDS = 0.5
CONNECT_SECONDS = 5.0
RECONNECT_WAIT_SECONDS = 0.2
PING_SECONDS = 5
ANSWER_SECONDS = 5.0
OUT_OF_STEP = (10071, 10201)  # wrong last sequence; a message of the batch was stored before
STREAM_FULL = 10077
AWAY = (TimeoutError, OSError, nats.errors.Error)

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Interrupted(nats.errors.TimeoutError):
    """The connection was lost while an answer was awaited. It will never come; ask again."""


class Connection(Client):
    """A NATS client whose requests fail at once when the connection is lost, rather than at their timeout."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[Callable[[], object]] = set()
        """Called when the connection is lost."""
        self.found: set[Callable[[], object]] = set()
        """Called when it is there again and the subscriptions are restored."""

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = ANSWER_SECONDS,
        old_style: bool = False,
        headers: dict[str, Any] | None = None,
    ) -> Msg:
        """As in the parent class; raises `Interrupted` when the connection is lost meanwhile."""
        return await self._answered(super().request(subject, payload, timeout, old_style, headers))

    async def flush(self, timeout: int = 10) -> None:
        """As in the parent class; raises `Interrupted` when the connection is lost meanwhile."""
        await self._answered(super().flush(timeout))

    async def _answered(self, question: Coroutine[Any, Any, T]) -> T:
        # Waited for, not awaited: before Python 3.12 the wait_for inside can swallow a cancellation of its caller.
        asking = asyncio.create_task(question)
        self.lost.add(asking.cancel)
        try:
            await asyncio.wait([asking])
        finally:
            self.lost.discard(asking.cancel)
            if not asking.cancel() and not asking.cancelled():
                asking.exception()
        if asking.cancelled():
            raise Interrupted
        return asking.result()


async def connect(url: str, name: str, timeout: float = CONNECT_SECONDS) -> Connection:
    """Connect, and stay connected: lost connections are tried again for ever. Raises `BusAwayError`."""
    connection = Connection()
    last_trouble = "no answer"

    async def lost() -> None:
        for call in list(connection.lost):
            call()

    async def found() -> None:
        _log.info("bus reconnected", name=name)
        for call in list(connection.found):
            call()

    async def failed(error: Exception) -> None:
        nonlocal last_trouble
        last_trouble = str(error) or type(error).__name__
        _log.warning("bus trouble", name=name, error=f"{type(error).__name__}: {error}")

    try:
        async with asyncio.timeout(timeout):
            await connection.connect(
                url,
                name=name,
                error_cb=failed,
                disconnected_cb=lost,
                reconnected_cb=found,
                max_reconnect_attempts=-1,
                # nats-py says int, but only ever sleeps this long
                reconnect_time_wait=cast(int, RECONNECT_WAIT_SECONDS),
                ping_interval=PING_SECONDS,
                max_outstanding_pings=2,
            )
    except AWAY as error:
        await connection.close()
        raise BusAwayError(f"no connection to the bus within {timeout:g} s ({last_trouble})") from error
    return connection


async def until_closed(connection: Connection) -> NoReturn:
    """Watch a connection that must stay. Raises `BusAwayError` once it is closed for good, which only an error does."""
    while not connection.is_closed:
        await asyncio.sleep(LOOK_SECONDS)
    raise BusAwayError("the bus has closed our connection for good; what it said stands before this in the log")


def header(message: Msg, name: str) -> str | None:
    """A header's value; None where it is absent or empty."""
    return (message.headers or {}).get(name) or None


def understood(error: BaseException) -> BusError:
    """What an error of nats-py means to a service."""
    match error:
        case BusError():
            return error
        case APIError(err_code=code) if code in OUT_OF_STEP:
            return OutOfStepError(error.description or "out of step")
        case APIError(err_code=code) if code == STREAM_FULL:
            return BusFullError("busy: the queue is full; try again later")
        case _:
            return BusAwayError(f"the bus does not answer ({type(error).__name__}: {error})")


async def publish(connection: Connection, subject: str, payload: bytes, headers: Mapping[str, str]) -> int:
    """Store one message in the stream that captures `subject`; its sequence. Raises `BusError`."""
    try:
        stored = await connection.jetstream().publish(subject, payload, headers=dict(headers))
    except AWAY as error:
        raise understood(error) from error
    return stored.seq


async def publish_together(connection: Connection, messages: Sequence[tuple[str, bytes, Mapping[str, str]]]) -> None:
    """Store `(subject, payload, headers)` in one stream, in order: all of them, or none. Raises `BusError`.

    An atomic batch (nats-server 2.12 or newer): one sync of the disk for all, and an unambiguous failure.
    """
    batch = secrets.token_hex(16)
    try:
        for number, (subject, payload, headers) in enumerate(messages, 1):
            marked = {**headers, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
            if number < len(messages):
                await connection.publish(subject, payload, headers=marked)
            else:
                marked["Nats-Batch-Commit"] = "1"
                await connection.jetstream().publish(subject, payload, headers=marked)
    except AWAY as error:
        raise understood(error) from error


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

    `answer` is `b"+ACK"`, or `b"+TERM"`: not to be delivered again. nats-py's own `term` does not wait.
    """
    try:
        await connection.request(message.reply, answer, timeout=2.0)
    except AWAY as error:
        _log.info("not settled, it will come again", subject=message.subject, error=type(error).__name__)
        return False
    return True
