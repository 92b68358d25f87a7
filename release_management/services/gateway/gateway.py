"""The one writer: load, decide, append. Many commands share one durable commit."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from release_management.domain.registry import Registry
from release_management.services import telemetry
from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.gateway.committing import DEPOSED, Committer, as_repeated
from release_management.services.gateway.deciding import (
    Decider,
)
from release_management.services.gateway.outcomes import (
    OutcomeCodec,
    busy,
)
from release_management.services.gateway.pending import BatchWaker, PendingCommand
from release_management.services.gateway.queue import TicketQueue
from release_management.services.gateway.refusal_rate import Refusals
from release_management.services.gateway.states import States
from release_management.services.gateway.unit_of_work import SettingsCheck
from release_management.services.ports import (
    Clock,
    DeposedError,
    EventLog,
    Keyring,
    Lease,
)
from release_management.services.threads import Threads
from release_management.services.use_cases import COMMANDS

BATCH_COMMANDS = 256
WAITING = 4_096
READING = 2
"""Threads that read outcomes and contents for callers."""
LINGER_STEP_SECONDS = 0.000_2
LINGER_SECONDS = 10 * LINGER_STEP_SECONDS
"""Seconds for which a batch waits for the callers that were just answered, so that few commits serve many of them."""
log = structlog.get_logger()


class Gateway:
    """Decides commands one after the other, and commits them in batches.

    The commands of one client, or of one role, are decided in the order of their arrival; clients and roles take turns,
    and commands that yield (queued ones) let all others go first, as `TicketQueue` says.

    A batch is what waits when the one before is stored: at most 256 commands, 256 kB of records, or what can be decided
    in 20 ms. A command with larger records goes alone. A lone caller is decided at once. After a batch of several, the
    next one lingers up to `LINGER_SECONDS` for its callers. With a `lease`, nothing is stored once another gateway has
    taken it: `deposed` is set then, and every command ends in `DeposedError`, so that the other gateway is asked.
    `close` decides the commands that came before it and then stops.
    """

    def __init__(
        self,
        event_log: EventLog,
        registry: Registry,
        keyring: Keyring,
        clock: Clock,
        new_id: Callable[[], str],
        executors: Mapping[str, SettingsCheck],
        lease: Lease | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._log = event_log
        self._answers = OutcomeCodec(keyring)
        self._queue = TicketQueue()
        refusals = refusals or Refusals()
        decider = Decider(event_log.store_id, keyring, clock, new_id, executors, refusals)
        states = States(event_log, registry)
        self._committer = Committer(event_log, states, decider, keyring, refusals, lease, self._queue.put_back)
        self.deposed = self._committer.deposed
        self.appends = self._committer.appends
        self._closing = False
        self._alone = False
        self._intake = threading.Lock()
        self._deciding = threading.Lock()
        self._wake = threading.Event()
        self._bell: BatchWaker | None = None
        self._reading = Threads("gateway-reading", READING)
        self._thread = threading.Thread(target=self._work, name="gateway", daemon=True)
        self._thread.start()

    def ask(
        self,
        envelope: CommandEnvelope,
        then: Callable[[], None] | None = None,
        failed_before: int | None = None,
        *,
        yields: bool = False,
    ) -> PendingCommand:
        """Queue a command, to be decided on the gateway's own thread. If the queue is full it is answered `busy` at
        once.

        `then` is called, on whatever thread, as soon as the outcome is there. The rest is as in `submit`.
        """
        pending = PendingCommand(envelope, then, failed_before, yields=yields)
        if self._enqueue(pending) and not self._wake.is_set():
            self._wake.set()
        return pending

    def answer(self, envelope: CommandEnvelope) -> Outcome:
        """Queue a command and wait for its outcome. Raises `GatewayFailed` for a fault of ours, and `DeposedError`.

        A lone caller decides on its own thread, which saves the way to the gateway's and back.
        """
        pending = PendingCommand(envelope)
        if not self._enqueue(pending):
            return pending.result()
        if self._alone and self._deciding.acquire(blocking=False):
            try:
                self._settle(self._next_batch())
            finally:
                self._deciding.release()
            if not self._queue:
                return pending.result()
        if not self._wake.is_set():
            self._wake.set()
        return pending.result()

    async def submit(
        self, envelope: CommandEnvelope, failed_before: int | None = None, *, yields: bool = False
    ) -> Outcome:
        """Queue a command and wait for its outcome.

        Raises `GatewayFailed` for a fault of ours, `OlderThanSenderError`, and `DeposedError`. A command of a line,
        where none may overtake another, carries in `failed_before` how many its sender knows of: if there was one more
        since, a command before it was not decided, and it is answered `busy`, too. One that `yields` lets the others go
        first.
        """
        loop = asyncio.get_running_loop()
        if self._bell is None or self._bell.loop is not loop:
            self._bell = BatchWaker(loop)
        there = loop.create_future()
        pending = self.ask(envelope, partial(self._bell.ring, there), failed_before, yields=yields)
        await there
        return pending.result()

    @property
    def trouble(self) -> str | None:
        """The reason why the last batch could not be stored, or None."""
        return self._committer.trouble

    @property
    def failed_before(self) -> int:
        """The number of commands of a line that were not decided. See `submit`."""
        return self._committer.failed_before

    @property
    def waiting(self) -> int:
        """The number of commands that wait to be decided."""
        return len(self._queue)

    @property
    def others_come(self) -> bool:
        """True if commands that do not yield arrived just now."""
        return self._queue.others_come

    async def outcome(self, sender: str, id: str) -> Outcome | None:
        """Return the outcome of a command that was decided before; None if unknown. Raises `LogUnavailableError`."""
        key = (sender, id)
        stored = (await self._reading.run(self._log.outcomes, [key])).get(key)
        return None if stored is None else self._answers.repeat(as_repeated(stored))

    async def content(self, dataref: str) -> bytes:
        """Return the data beside records with this `dataref`. Raises `LogUnavailableError` and `LogDamagedError`."""
        return await self._reading.run(self._log.content, dataref)

    def close(self) -> None:
        """Decide the waiting commands, then stop. Later commands are answered busy."""
        with self._intake:
            self._closing = True
        self._wake.set()
        self._thread.join()
        self._reading.close()
        with self._deciding:
            pass  # a caller that decides on its own thread is done, too

    def _enqueue(self, pending: PendingCommand) -> bool:
        """Queue the command; answer it and return False if the queue is full or closed."""
        with self._intake:
            if self._closing and self.deposed.is_set():
                answer: Outcome | Exception = DeposedError(DEPOSED)
            elif self._closing:
                answer = busy(pending.envelope, "the gateway is being closed; ask again when it is back")
            elif len(self._queue) >= WAITING:
                answer = busy(pending.envelope, f"{WAITING} commands are waiting already; try again in a moment")
            else:
                self._queue.append(pending)
                return True
        self._committer.put_off(pending, answer)
        return False

    def _work(self) -> None:
        while True:
            try:
                return self._decide_all()
            except Exception as error:  # without this thread every command would wait for ever
                self._committer.trouble = f"deciding broke off, by a fault of ours, and goes on ({error!r})"
                log.exception("deciding broke off; it goes on")
                self._wake.set()

    def _decide_all(self) -> None:
        answered = 0
        while not self._closing or self._queue:
            self._wake.wait()
            if not self._closing:
                self._wake.clear()
            while self._queue:
                if answered > 1:
                    self._let_them_return()
                with self._deciding:
                    batch = self._next_batch()
                    answered = len(batch)
                    self._settle(batch)

    def _let_them_return(self) -> None:
        """Wait while the queue grows: several callers that were answered together often come again at once."""
        before, waited = -1, 0.0
        while waited < LINGER_SECONDS and before < len(self._queue) < BATCH_COMMANDS:
            before = len(self._queue)
            time.sleep(LINGER_STEP_SECONDS)
            waited += LINGER_STEP_SECONDS

    # Under the lock `_deciding`

    def _next_batch(self) -> list[PendingCommand]:
        batch = self._queue.next_batch(BATCH_COMMANDS)
        self._alone = len(batch) <= 1
        telemetry.QUEUE_LENGTH.set(len(self._queue))
        return batch

    def _settle(self, batch: list[PendingCommand]) -> None:
        """Answer every command of a batch, whatever happens; those that did not fit into it wait again."""
        self._committer.answer_each(batch)
        _measure([pending for pending in batch if pending.done()])


def _measure(batch: list[PendingCommand]) -> None:
    now = time.monotonic()
    for pending in batch:
        telemetry.COMMAND_SECONDS.observe(now - pending.arrived)
    ends = Counter((pending.envelope.command, pending.end) for pending in batch)
    for (command, status), count in ends.items():
        telemetry.COMMANDS.labels(command if command in COMMANDS else "unknown", status).inc(count)
