"""A connection that reconnects for ever, and whose requests fail at once when it is lost."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast
from urllib.parse import unquote, urlsplit

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import DEFAULT_SUB_PENDING_BYTES_LIMIT, DEFAULT_SUB_PENDING_MSGS_LIMIT, Subscription

from release_management.adapters.nats.access.permissions import inbox_prefix
from release_management.adapters.nats.wire.error_mapping import AWAY
from release_management.adapters.nats.wire.headers import Headers, read_headers
from release_management.adapters.nats.wire.protocol import Parser
from release_management.services.ports.bus import (
    BusAwayError,
    BusDeniedError,
    BusSilentError,
)

CONNECT_SECONDS = 5.0
RECONNECT_WAIT_SECONDS = 0.2
PING_SECONDS = 5
ANSWER_SECONDS = 5.0
DISTURBED_SECONDS = 60.0
SHOWN_BYTES = 200

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Interrupted(nats.errors.TimeoutError):
    """The connection was lost while an answer was awaited. It will never come; ask again."""


class NatsConnection(Client):
    """A NATS client whose requests fail at once when the connection is lost, rather than at their timeout.

    No message ends it, whatever its sender wrote: `headers.fault` says what cannot be read of a message. If one of the
    tasks that it lives by ends nevertheless it reconnects at once, and `disturbed` says so.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ps = Parser(self)  # type: ignore[assignment]  # stands in for nats-py's own, with the same two methods
        self._ending: set[asyncio.Task[None]] = set()
        self._disturbed: tuple[float, str] | None = None
        self.lost: set[Callable[[], object]] = set()
        """Functions to call when the connection is lost."""
        self.found: set[Callable[[], object]] = set()
        """Functions to call when the connection is restored with its subscriptions."""

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

    async def subscribe(
        self,
        subject: str,
        queue: str = "",
        cb: Callable[[Msg], Awaitable[None]] | None = None,
        future: asyncio.Future[Msg] | None = None,
        max_msgs: int = 0,
        pending_msgs_limit: int = DEFAULT_SUB_PENDING_MSGS_LIMIT,
        pending_bytes_limit: int = DEFAULT_SUB_PENDING_BYTES_LIMIT,
    ) -> Subscription:
        """As in the parent class; the callback is called for every message, even after it failed at one."""
        limits = max_msgs, pending_msgs_limit, pending_bytes_limit
        subscription = await super().subscribe(subject, queue, cb, future, *limits)
        if cb is not None:
            self._watch(subscription)
        return subscription

    def _watch(self, subscription: Subscription) -> None:
        task = cast("asyncio.Task[None] | None", subscription._wait_for_msgs_task)
        if task is not None:
            task.add_done_callback(lambda ended: self._call_on(subscription, ended))

    def _call_on(self, subscription: Subscription, ended: asyncio.Task[None]) -> None:
        """Restart the task that calls back, if it has ended though the subscription has not."""
        if ended.cancelling() or subscription._closed or self.is_closed:
            return
        self._disturb(f"the task of the subscription to {subscription.subject} ended", None)
        subscription._start(self._error_cb)  # type: ignore[no-untyped-call]  # nats-py names no types there
        self._watch(subscription)

    @property
    def disturbed(self) -> str | None:
        """A sentence on the task of the connection that failed in the last minute and was restarted, or None."""
        if self._disturbed is None or time.monotonic() - self._disturbed[0] > DISTURBED_SECONDS:
            return None
        return self._disturbed[1]

    async def _process_headers(self, headers: bytes) -> Headers | None:
        return read_headers(headers) if headers else None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        """As in the parent class, which cannot read a subject that is no UTF-8: a client may write any bytes there."""
        readable = subject.decode(errors="backslashreplace"), reply.decode(errors="backslashreplace")
        return Msg(_client=self, subject=readable[0], reply=readable[1], data=data, headers=headers, _sid=sid)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        try:
            await super()._process_msg(sid, subject, reply, data, headers)
        except Exception as error:
            self._disturb(f"a message on {subject[:SHOWN_BYTES]!r} could not be taken in", error)

    async def _process_connect_init(self) -> None:
        await super()._process_connect_init()
        for task in (self._reading_task, self._flusher_task, self._ping_interval_task):
            if task is not None:
                task.add_done_callback(self._connect_again)

    def _connect_again(self, ended: asyncio.Task[None]) -> None:
        """Reconnect if a task of the connection has ended, though neither was ended on purpose."""
        current = ended in (self._reading_task, self._flusher_task, self._ping_interval_task)
        error = None if ended.cancelled() else ended.exception()
        if ended.cancelling() or not current or not self.is_connected:
            return
        self._disturb(f"the connection's {getattr(ended.get_coro(), '__name__', 'task')} ended", error)
        again = asyncio.create_task(self._process_op_err(nats.errors.Error("a task of the connection ended")))
        self._ending.add(again)
        again.add_done_callback(self._ending.discard)

    async def _attempt_reconnect(self) -> None:
        """As in the parent class, which gives up for good at an error that it does not expect."""
        while True:
            try:
                return await super()._attempt_reconnect()
            except Exception as error:
                self._disturb("connecting again failed", error)
                await asyncio.sleep(RECONNECT_WAIT_SECONDS)

    def _disturb(self, cause: str, error: BaseException | None) -> None:
        reason = "" if error is None else f" ({type(error).__name__}: {str(error)[:SHOWN_BYTES]})"
        self._disturbed = time.monotonic(), f"{cause}{reason}, by a fault of ours; the log says more"
        _log.error("the connection was disturbed", what=cause, exc_info=error)

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


async def connect(url: str, name: str, timeout: float = CONNECT_SECONDS) -> NatsConnection:
    """Connect, and stay connected: lost connections are retried for ever.

    Raises `BusDeniedError` if the user or the password is wrong, else `BusAwayError`.

    `url` is one server's, or those of several, separated by commas; the first one's user and password are used for all
    of them, even if they name others.
    """
    connection = NatsConnection()
    servers = [each.strip() for each in url.split(",")]
    known = urlsplit(servers[0])
    user = unquote(known.username) if known.username is not None else None
    last_trouble = "no answer"
    warned: set[str] = set()
    denied = False
    silent = True

    async def lost() -> None:
        for call in list(connection.lost):
            call()

    async def found() -> None:
        nonlocal last_trouble
        last_trouble = "no answer"
        warned.clear()
        _log.info("bus reconnected", name=name)
        for call in list(connection.found):
            call()

    async def failed(error: Exception) -> None:
        nonlocal last_trouble, denied, silent
        trouble = str(error) or type(error).__name__
        silent = isinstance(error, TimeoutError)
        denied = denied or "authorization violation" in trouble.lower()  # it may be followed by a reset
        kind = trouble.partition('"')[0]  # what stands in quotes is a subject, which others may choose
        if kind not in warned:  # a lost connection is tried several times a second
            warned.add(kind)
            _log.warning("bus trouble", name=name, error=f"{type(error).__name__}: {error}")
        last_trouble = trouble

    # A task of its own: before Python 3.12 the wait_for inside can swallow a cancellation of its caller.
    connecting = asyncio.create_task(
        connection.connect(
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
    )
    try:
        await asyncio.wait([connecting], timeout=timeout)
        if not connecting.done():
            raise TimeoutError
        connecting.result()
    except BaseException as error:
        await _give_up(connection, connecting)
        if isinstance(error, AWAY) and denied:
            raise BusDeniedError("the bus is there, and does not take this user and password") from error
        if isinstance(error, AWAY):
            silence = BusSilentError if silent else BusAwayError
            raise silence(f"no connection to the bus within {timeout:g} s ({last_trouble})") from error
        raise
    return connection


async def _give_up(connection: NatsConnection, connecting: asyncio.Task[None]) -> None:
    connecting.cancel()
    await asyncio.wait([connecting])
    with contextlib.suppress(AssertionError, *AWAY):  # it may not have come as far as to a transport
        await connection.close()


def header(message: Msg, name: str) -> str | None:
    """Return a header's value; None if it is absent or empty."""
    return (message.headers or {}).get(name) or None
