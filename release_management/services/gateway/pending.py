"""A command in the gateway, before its outcome."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable

from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.ports import DeposedError


class PendingCommand:
    """A command that was submitted, and in time its outcome.

    `concurrent.futures.Future` does the same at several times the cost, which shows at thousands of commands a second.
    """

    __slots__ = ("_fault", "_open", "_outcome", "_then", "arrived", "envelope", "failed_before", "tries", "yields")

    def __init__(
        self,
        envelope: CommandEnvelope,
        then: Callable[[], None] | None = None,
        failed_before: int | None = None,
        *,
        yields: bool = False,
    ) -> None:
        """`then` is called, on whatever thread, as soon as the outcome is there. The rest is as in `Gateway.submit`."""
        self.envelope = envelope
        self.failed_before = failed_before
        self.yields = yields
        self.arrived = time.monotonic()
        self.tries = 0
        self._outcome: Outcome | None = None
        self._fault: Exception | None = None
        self._then = then
        self._open = threading.Lock()
        self._open.acquire()

    @property
    def end(self) -> str:
        """The outcome's status; `deposed` if another gateway is to be asked, `failed` for a fault of ours."""
        if self._outcome is not None:
            return self._outcome.status
        return "deposed" if isinstance(self._fault, DeposedError) else "failed"

    def done(self) -> bool:
        """Return True if the outcome is there."""
        return self._outcome is not None or self._fault is not None

    def result(self, timeout: float | None = None) -> Outcome:
        """Wait for the outcome, at most `timeout` seconds, and then raise `TimeoutError`.

        Raises `GatewayFailed` for a fault of ours, and `DeposedError` if another gateway is to be asked.
        """
        if not self.done():
            if not self._open.acquire(timeout=-1 if timeout is None else timeout):
                raise TimeoutError(f"no outcome of {self.envelope.command} within {timeout} s")
            self._open.release()
        if self._fault is not None:
            raise self._fault
        assert self._outcome is not None
        return self._outcome

    def settle(self, answer: Outcome | Exception) -> None:
        """Set the outcome or the error. Only the first one counts."""
        if self.done():
            return
        if isinstance(answer, Exception):
            self._fault = answer
        else:
            self._outcome = answer
        self._open.release()
        if self._then is not None:
            self._then()


class BatchWaker:
    """Wakes the coroutines of one event loop whose outcomes are there: one wake-up for all of a batch."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._there: deque[asyncio.Future[None]] = deque()
        self._rung = False

    def ring(self, there: asyncio.Future[None]) -> None:
        """Have the future done soon. On any thread."""
        self._there.append(there)
        if not self._rung:
            self._rung = True
            with contextlib.suppress(RuntimeError):  # the loop was closed; nobody waits any more
                self.loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        self._rung = False
        while self._there:
            there = self._there.popleft()
            if not there.done():
                there.set_result(None)
