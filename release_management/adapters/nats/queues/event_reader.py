"""Follow the events by their sequence numbers, without a consumer at the server that could run out or be removed."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import structlog
from nats.aio.msg import Msg
from nats.js import api

from release_management.adapters.nats.connection import Interrupted, NatsConnection, header
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.wire.error_mapping import AWAY
from release_management.services.ports.bus import BusAwayError, BusError

AT_ONCE = 256
AT_ONCE_BYTES = 4 * streams.MEBIBYTE
ANSWER_SECONDS = 5.0
RETRY_SECONDS = 0.2
LOOK_SECONDS = 1.0
"""Seconds between looks without a notification."""
FIRST_LOOKS = (0.0, 0.005, 0.02, 0.1)
"""Delays of looks after a notification: it arrives before the event is stored."""
EMPTY = api.StatusCode.NO_MESSAGES

_log = structlog.get_logger(__name__)


async def follow(connection: NatsConnection, after: int) -> AsyncGenerator[tuple[int, Msg], None]:
    """Yield every message of the stream of events above `after`, with its number: in order, each once, for ever.

    Continues after a lost connection. Messages that have aged out of the stream are skipped. Raises `BusAwayError` if
    the connection is closed for good.
    """
    arrival = asyncio.Event()

    async def notice(message: Msg) -> None:
        arrival.set()

    subscription = await connection.subscribe(f"{streams.EVENT_SUBJECTS}.>", cb=notice)
    connection.found.add(arrival.set)
    position = after
    looks = list(FIRST_LOOKS)
    try:
        while True:
            before = position
            try:
                async with contextlib.aclosing(_batch(connection, position)) as batch:
                    async for position, message in batch:
                        yield position, message
            except (BusError, *AWAY) as error:
                if connection.is_closed:
                    raise BusAwayError("the bus has closed our connection for good") from error
                _log.info("cannot read the events", after=position, error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if position > before:
                continue
            if looks:
                await asyncio.sleep(looks.pop(0))
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await arrival.wait()
                looks = list(FIRST_LOOKS)
            arrival.clear()
    finally:
        connection.found.discard(arrival.set)
        with contextlib.suppress(*AWAY):
            await subscription.unsubscribe()


async def _batch(connection: NatsConnection, after: int) -> AsyncGenerator[tuple[int, Msg], None]:
    """Yield the next messages, or none. Raises `BusError` and the errors of `AWAY`, perhaps after some messages."""
    arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
    inbox = connection.new_inbox()  # a new one, so that messages of an earlier batch are not taken for this one's
    subscription = await connection.subscribe(inbox, cb=arrived.put)

    def lost() -> None:
        arrived.put_nowait(None)

    connection.lost.add(lost)
    try:
        question = b'{"seq":%d,"batch":%d,"max_bytes":%d}' % (after + 1, AT_ONCE, AT_ONCE_BYTES)
        await connection.publish(f"$JS.API.DIRECT.GET.{streams.EVENTS}", question, inbox)
        previous = 0
        while True:
            async with asyncio.timeout(ANSWER_SECONDS):
                message = await arrived.get()
            if message is None:
                raise Interrupted
            if (number := header(message, "Nats-Sequence")) is None:
                _check_end(message)
                return
            if header(message, "Nats-Last-Sequence") != str(previous):
                raise BusError(f"a part of the events got lost on the way here, before {number}")
            previous = int(number)
            yield previous, message
    finally:
        connection.lost.discard(lost)
        with contextlib.suppress(*AWAY):
            await subscription.unsubscribe()


def _check_end(message: Msg) -> None:
    status = header(message, api.Header.STATUS)
    if status not in ("204", EMPTY):
        text = header(message, api.Header.DESCRIPTION)
        raise BusError(f"the events cannot be read: {status} {text}" if status else "the events cannot be read")
