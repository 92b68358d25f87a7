"""A connection that never gives up, and never leaves anybody waiting for an answer that got lost with it."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar, cast
from urllib.parse import unquote, urlsplit

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError

from release_management.services.bus import BusAwayError, BusError, BusFullError, BusUnfitError, OutOfStepError

LOOK_SECONDS = 0.5
CONNECT_SECONDS = 5.0
RECONNECT_WAIT_SECONDS = 0.2
PING_SECONDS = 5
ANSWER_SECONDS = 5.0
STORED_SECONDS = 2.0  # a message that its stream's leader died with is not answered; the next leader takes it again
RETRY_SECONDS = 0.1
OUT_OF_STEP = (10071, 10201)  # wrong last sequence; a message of the batch was stored before
STREAM_FULL = 10077
NOT_CLUSTERED = 10074
NO_STREAM = 10059
EXHAUSTED = (10002, 10023, 10028, 10047)  # the account's, the server's, its memory's, its storage's limit is reached
ROLES = ("gateway", "projector", "orchestrator", "timers", "relay")
EXECUTOR = "executor-"
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


def inbox_prefix(user: str | None) -> str:
    """Where the answers to a user go; nobody else may listen there. Clients of all makes share the usual one."""
    return f"_INBOX_{user}" if user in ROLES or (user or "").startswith(EXECUTOR) else "_INBOX"


async def connect(url: str, name: str, timeout: float = CONNECT_SECONDS) -> Connection:
    """Connect, and stay connected: lost connections are tried again for ever. Raises `BusAwayError`.

    `url` is one server's, or those of several, with commas between them; the first one's user and password count for
    all of them, those too that they name themselves.
    """
    connection = Connection()
    servers = [each.strip() for each in url.split(",")]
    known = urlsplit(servers[0])
    user = unquote(known.username) if known.username is not None else None
    last_trouble = "no answer"

    async def lost() -> None:
        for call in list(connection.lost):
            call()

    async def found() -> None:
        nonlocal last_trouble
        last_trouble = "no answer"
        _log.info("bus reconnected", name=name)
        for call in list(connection.found):
            call()

    async def failed(error: Exception) -> None:
        nonlocal last_trouble
        trouble = str(error) or type(error).__name__
        if trouble != last_trouble:  # a lost connection is tried several times a second
            _log.warning("bus trouble", name=name, error=f"{type(error).__name__}: {error}")
        last_trouble = trouble

    try:
        async with asyncio.timeout(timeout):
            await connection.connect(
                servers,
                name=name,
                user=user,
                password=unquote(known.password) if known.password is not None else None,
                token=user if known.password is None else None,
                inbox_prefix=inbox_prefix(user),
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
        with contextlib.suppress(AssertionError):  # it had not come as far as to a transport
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


def understood(error: BaseException) -> BusError | BusUnfitError:
    """What an error of nats-py means to a service."""
    match error:
        case BusError() | BusUnfitError():
            return error
        case APIError(err_code=code) if code in OUT_OF_STEP:
            return OutOfStepError(error.description or "out of step")
        case APIError(err_code=code) if code == STREAM_FULL:
            reason = error.description or ""
            if "maximum" in reason:
                return BusFullError("busy: the queue is full; try again later")
            return BusFullError(f"busy: the bus could not store it ({reason}); is its disk full?")
        case APIError(err_code=code) if code == NO_STREAM:
            return BusAwayError("the bus does not have the stream; it is made again within seconds")
        case APIError(err_code=code) if code == NOT_CLUSTERED:
            return BusUnfitError(
                "this nats-server is no cluster, and cannot keep replicas of the streams: start the roles without "
                "--replicas, or with the servers of a cluster"
            )
        case APIError(err_code=code) if code in EXHAUSTED:
            return BusFullError(
                f"busy: the bus has no room left ({error.description}); give its JetStream more storage or memory"
            )
        case _:
            return BusAwayError(f"the bus does not answer ({type(error).__name__}: {error})")


def _not_stored(connection: Connection, error: BaseException) -> BusError | BusUnfitError:
    """A server that cannot write does not answer, and does so only once it was started again with room to write."""
    if isinstance(error, TimeoutError) and not isinstance(error, Interrupted) and connection.is_connected:
        return BusAwayError("the bus does not say that it has stored it; is its disk full?")
    return understood(error)


async def publish(connection: Connection, subject: str, payload: bytes, headers: Mapping[str, str]) -> int:
    """Store one message in the stream that captures `subject`; its sequence. Raises `BusError`."""
    try:
        stored = await connection.jetstream().publish(subject, payload, timeout=STORED_SECONDS, headers=dict(headers))
    except AWAY as error:
        raise _not_stored(connection, error) from error
    return stored.seq


async def publish_patiently(
    connection: Connection, subject: str, payload: bytes, headers: Mapping[str, str], patience: float
) -> int:
    """As `publish`, tried again for `patience` seconds while the bus does not answer.

    The same message id, which `headers` must hold, keeps it from being stored twice.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return await publish(connection, subject, payload, headers)
        except BusAwayError:
            if time.monotonic() + RETRY_SECONDS >= deadline:
                raise
            await asyncio.sleep(RETRY_SECONDS)


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
        raise _not_stored(connection, error) from error


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
