"""The dead letters of an executor: orders that it cannot carry out."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable

import structlog
from nats.aio.msg import Msg

from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.dead_letters.content import (
    contents,
    envelope,
    fits,
)
from release_management.adapters.nats.dead_letters.rate import WINDOW_SECONDS, Allowance
from release_management.adapters.nats.dead_letters.store import keep_letter
from release_management.adapters.nats.queues import streams
from release_management.kernel.errors import ErrorCode
from release_management.services import telemetry

COUNTED = "these orders were counted, not kept"

_log = structlog.get_logger(__name__)


class OrderLetters:
    """Stores the letters of one executor, each once.

    Beyond the allowance orders are only counted, and a letter gives their number whenever it has doubled within an
    hour: an executor may remove no letter, as the gateway does when a count grows.
    """

    def __init__(
        self, connection: NatsConnection, executor: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._executor = executor
        self._monotonic = monotonic
        self._allowance = Allowance(monotonic)
        self._counted = 0
        self._since = 0.0

    async def bury(self, message: Msg, reason: str, code: ErrorCode = ErrorCode.INVALID) -> None:
        """Store an order that cannot be carried out, durably and once. Raises `BusError`."""
        size = len(message.data)
        if not self._allowance.take(size):
            await self._count(message, reason, code)
            return
        origin = f"{streams.ORDERS}:{message.metadata.sequence.stream}"
        about = envelope(message.subject, size, origin)
        try:
            for content in contents(message.data, message.headers, reason, code):
                letter = json.dumps(about | {"open": content}).encode()
                if fits(letter, self._connection.max_payload):
                    break
            await keep_letter(self._connection, self._subject, letter, about, self._id(origin))
        except BaseException:
            self._allowance.give_back(size)
            raise

    async def _count(self, message: Msg, reason: str, code: ErrorCode) -> None:
        if self._monotonic() - self._since > WINDOW_SECONDS:
            self._counted, self._since = 0, self._monotonic()
        count = self._counted + 1
        if count & (count - 1) == 0:  # 1, 2, 4, 8, …
            about = envelope(message.subject, len(message.data), None)
            reason_with_count = (
                f"{count:,} orders within an hour, counted and not kept, so many came; the last: {reason}"
            )
            _, content = contents(message.data, None, reason_with_count, code)
            letter = json.dumps(about | {"open": content | {"obstacle": COUNTED}}).encode()
            await keep_letter(self._connection, self._subject, letter, about, None)
        else:
            telemetry.DEAD_LETTERS.inc()
            _log.info("an order was counted, not kept", subject=message.subject, counted=count)
        self._counted = count

    @property
    def _subject(self) -> str:
        return f"{streams.DEAD_ORDERS}.{self._executor}"

    def _id(self, origin: str) -> str:
        """Return the same id for the same order; keyed, since who knows a letter's id could have it dropped."""
        key = str(self._connection.options.get("password") or self._connection.options.get("token") or "")
        return hmac.new(key.encode(), f"{self._executor} {origin}".encode(), hashlib.sha256).hexdigest()
