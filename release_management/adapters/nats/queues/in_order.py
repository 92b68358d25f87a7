"""Submit the commands of a stream to the gateway in their order."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import structlog
from nats.aio.msg import Msg
from nats.js import api

from release_management.adapters.nats.access.senders import only_to, sent_by
from release_management.adapters.nats.connection import NatsConnection, header
from release_management.adapters.nats.dead_letters.store import DeadLetters
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.acknowledging import (
    BURIED,
    Ticker,
    settle,
)
from release_management.adapters.nats.queues.pulling import Puller
from release_management.adapters.nats.queues.submitting import (
    OLDER_SECONDS,
    Submitter,
    encode,
)
from release_management.adapters.nats.wire.error_mapping import AWAY
from release_management.kernel.errors import ErrorCode
from release_management.services.envelope import (
    CommandEnvelope,
    InvalidCommand,
    Outcome,
)
from release_management.services.gateway.queue import SHARE
from release_management.services.ports import DeposedError
from release_management.services.ports.bus import BusError, OlderThanSenderError

CONSUMER = streams.GATEWAY
WINDOW = 64
YIELDING_WINDOW = SHARE
"""The queued commands that are in work while other commands come, which leaves bus, store and process to those."""
SET_ASIDE = 1_000
"""The messages that may wait for a later try, in addition to those in work, before the server delivers no more."""
ACK_WAIT_SECONDS = 30.0
TICK_SECONDS = 10.0
MAX_OLDER = 20  # as often as an executor leaves an order to a newer one, which is for more than three minutes
MAX_DELIVERIES = 30
"""After so many deliveries the server gives a message up. It stays in its stream, and the advisory is a letter."""
KEEP_SECONDS = 20.0
"""Seconds for which storing a letter is retried before its message makes room for the next."""
ASIDE_SECONDS = 30.0
FAILED_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Line:
    """Has the messages of one stream decided in their order, up to 64 at a time.

    A command that the gateway is too busy for is tried again every `retry_seconds`, and none overtakes it. A message
    that `read` does not understand, or at which the gateway or this class fails `attempts` times, becomes a dead
    letter. If its letter cannot be stored it is set aside, and redelivered: at most `MAX_DELIVERIES` times. The report
    of a newer executor is left to a newer gateway for a while.
    """

    def __init__(
        self,
        connection: NatsConnection,
        stream: str,
        read: Callable[[Msg], CommandEnvelope],
        submitter: Submitter,
        dead_letters: DeadLetters,
        *,
        attempts: int,
        retry_seconds: float,
        yields: bool = False,
    ) -> None:
        """`read` raises `InvalidCommand`. If `yields`, the gateway decides all other commands before these messages."""
        self._connection = connection
        self._stream = stream
        self._read = read
        self._submitter = submitter
        self._dead_letters = dead_letters
        self._attempts = attempts
        self._retry_seconds = retry_seconds
        self._yields = yields
        self._troubled = 0
        self._setbacks = submitter.gateway.failed_before
        self._failures: dict[int, int] = {}
        """The number of failures at each message, by its sequence."""
        self._unburied: dict[int, str] = {}
        """The reason why a message's letter could not be stored, by its sequence."""
        self._taken = 0
        self._room = asyncio.Event()
        self._room.set()
        self._ticker = Ticker(TICK_SECONDS)
        self._puller = Puller(connection, stream, _consumer, batch=self._free, fresh=True)
        self.ready = self._puller.ready

    @property
    def trouble(self) -> str | None:
        """The reason why messages cannot be taken, or dead letters cannot be stored, at the moment; or None."""
        if self._puller.trouble is not None or not self._unburied:
            return self._puller.trouble
        reasons = list(self._unburied.values())
        return f"dead letters that wait to be kept: {len(reasons):,}; {reasons[-1]}"

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ticker.run())
            tasks.create_task(self._consume(tasks))

    def _free(self) -> int:
        return max(self._window() - self._taken, 1)

    def _window(self) -> int:
        return YIELDING_WINDOW if self._yields and self._submitter.gateway.others_come else WINDOW

    async def _consume(self, tasks: asyncio.TaskGroup) -> None:
        previous = asyncio.Event()
        previous.set()
        async with contextlib.aclosing(self._puller.messages()) as messages:
            async for message in messages:
                self._taken += 1
                done = asyncio.Event()
                tasks.create_task(self._take(message, previous, done))
                previous = done
                while (
                    self._taken >= self._window()
                ):  # before the next is requested: nobody works on a message that waits here
                    self._room.clear()
                    await self._room.wait()

    def _leave_place(self) -> None:
        self._taken -= 1
        self._room.set()

    async def _take(self, message: Msg, previous: asyncio.Event, done: asyncio.Event) -> None:
        try:
            with self._ticker.working(message):
                await self._process(message, previous)
                self._failures.pop(_sequence(message), None)
        except DeposedError:
            _log.info("not decided here: another gateway is the active one", subject=message.subject)
        except Exception:
            await self._fail(message)
        finally:
            done.set()
            self._leave_place()

    async def _fail(self, message: Msg) -> None:
        """Count a failure of ours; a message that fails too often becomes a dead letter."""
        _log.exception("command not processed", subject=message.subject)
        with contextlib.suppress(Exception):  # it was logged, and the server redelivers the message
            sequence = _sequence(message)
            self._failures[sequence] = failures = self._failures.get(sequence, 0) + 1
            if failures < self._attempts:
                await self._come_again(message, FAILED_SECONDS)
            else:
                reason = f"processing it failed {failures} times; the gateway's log says why"
                await self._bury(message, reason, ErrorCode.INTERNAL)
                self._failures.pop(sequence, None)

    async def _process(self, message: Msg, previous: asyncio.Event) -> None:
        try:
            envelope = self._read(message)
        except InvalidCommand as error:
            await self._bury(message, str(error), error.code)
            return
        try:
            outcome = await self._decide(envelope, previous)
        except OlderThanSenderError as error:
            await self._leave(message, str(error))
            return
        if outcome is None:
            reason = f"the gateway failed {self._attempts} times; its log says why"
            await self._bury(message, reason, ErrorCode.INTERNAL)
            return
        if (reply_to := header(message, streams.REPLY_TO)) is not None:
            with contextlib.suppress(*AWAY):
                name, _ = sent_by(message.subject)
                await self._connection.publish(only_to(name, reply_to), encode(outcome))
        await settle(self._connection, message)

    async def _decide(self, envelope: CommandEnvelope, previous: asyncio.Event) -> Outcome | None:
        """Return the outcome, however long the gateway is busy; None if it failed too often."""
        failures = 0
        if not self._troubled:
            outcome = await self._submitter.submit(envelope, self._setbacks, yields=self._yields)
            if outcome is not None and outcome.status != "busy":
                return outcome
            failures += outcome is None
        with self._in_line():
            await previous.wait()
            while failures < self._attempts:
                outcome = await self._submitter.submit(envelope, yields=self._yields)
                if outcome is not None and outcome.status != "busy":
                    return outcome
                failures += outcome is None
                await asyncio.sleep(self._retry_seconds)
        return None

    @contextlib.contextmanager
    def _in_line(self) -> Iterator[None]:
        """While inside, commands that arrive are submitted one by one, each after the one before."""
        self._troubled += 1
        try:
            yield
        finally:
            self._troubled -= 1
            if not self._troubled:
                self._setbacks = self._submitter.gateway.failed_before

    async def _leave(self, message: Msg, reason: str) -> None:
        """Leave a report to a newer gateway; at its last delivery, make it a dead letter."""
        deliveries = message.metadata.num_delivered
        if deliveries >= MAX_OLDER:
            reason = f"{reason} (delivered {deliveries} times; no newer gateway took it)"
            await self._bury(message, reason, ErrorCode.INVALID)
        else:
            await self._come_again(message, min(deliveries, OLDER_SECONDS))

    async def _come_again(self, message: Msg, seconds: float) -> None:
        await settle(self._connection, message, b'-NAK {"delay": %d}' % int(seconds * 1_000_000_000))

    async def _bury(self, message: Msg, reason: str, code: ErrorCode) -> None:
        """Store a dead letter, and only then settle its message. If that is not possible now, set the message aside."""
        sequence = _sequence(message)
        origin = f"{self._stream}:{sequence}"
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                is_kept = await self._keep(message, reason, code, origin, sequence)
        except TimeoutError:
            self._unburied.setdefault(sequence, "the bus does not answer")
            _log.info("dead letter not kept; its message is set aside", origin=origin)
            await self._come_again(message, ASIDE_SECONDS)
            return
        self._unburied.pop(sequence, None)
        await settle(
            self._connection, message, BURIED if is_kept else b"+ACK"
        )  # the server's advisory would be another letter

    async def _keep(self, message: Msg, reason: str, code: ErrorCode, origin: str, sequence: int) -> bool:
        """Call `DeadLetters.store` until it succeeds."""
        while True:
            try:
                return await self._dead_letters.store(
                    message.subject, message.data, message.headers, reason, origin, code
                )
            except BusError as error:
                if str(error) not in self._unburied.values():  # one log line for one trouble, not for each try
                    _log.warning("dead letter not kept yet", subject=message.subject[:200], reason=str(error))
                self._unburied[sequence] = str(error)
                await asyncio.sleep(self._retry_seconds)


def _sequence(message: Msg) -> int:
    return message.metadata.sequence.stream


def _consumer() -> api.ConsumerConfig:
    return api.ConsumerConfig(
        durable_name=CONSUMER,
        name=CONSUMER,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_SECONDS,
        max_ack_pending=WINDOW + SET_ASIDE,
        max_deliver=MAX_DELIVERIES,
    )
