"""Store messages in streams, each once, however often it has to be tried."""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence

from release_management.adapters.nats.connection import Interrupted, NatsConnection
from release_management.adapters.nats.wire.error_mapping import AWAY, understood
from release_management.services.ports.bus import (
    BusAwayError,
    BusError,
    BusUnfitError,
)

STORED_SECONDS = 2.0  # a message is not answered if its stream's leader died with it; the next leader takes it again
RETRY_SECONDS = 0.1


async def publish(connection: NatsConnection, subject: str, payload: bytes, headers: Mapping[str, str]) -> int:
    """Store one message in the stream that captures `subject`; return its sequence. Raises `BusError`."""
    try:
        stored = await connection.jetstream().publish(subject, payload, timeout=STORED_SECONDS, headers=dict(headers))
    except AWAY as error:
        raise _not_stored(connection, error) from error
    return stored.seq


async def publish_patiently(
    connection: NatsConnection, subject: str, payload: bytes, headers: Mapping[str, str], patience: float
) -> int:
    """As `publish`, but retry for `patience` seconds while the bus does not answer.

    The message may be stored twice, unless `headers` contain a message id.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return await publish(connection, subject, payload, headers)
        except BusAwayError:
            if time.monotonic() + RETRY_SECONDS >= deadline:
                raise
            await asyncio.sleep(RETRY_SECONDS)


async def publish_together(
    connection: NatsConnection, messages: Sequence[tuple[str, bytes, Mapping[str, str]]]
) -> None:
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


def _not_stored(connection: NatsConnection, error: BaseException) -> BusError | BusUnfitError:
    """Return our error. A time-out on a live connection means a full disk: such a server does not answer."""
    if isinstance(error, TimeoutError) and not isinstance(error, Interrupted) and connection.is_connected:
        return BusAwayError("the bus does not say that it has stored it; is its disk full?")
    return understood(error)
