"""The one writer: load, decide, append. Many commands share one durable commit.

The file is over 400 lines, since taking commands in, deciding them and answering them share two locks and one state.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import structlog

from release_management.domain.registry import Registry
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import NotYet
from release_management.services import telemetry
from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.gateway.append_timer import AppendTimer
from release_management.services.gateway.deciding import (
    BatchContext,
    Decided,
    Decider,
    Unkept,
)
from release_management.services.gateway.newcomers import NewActors
from release_management.services.gateway.outcomes import (
    OutcomeCodec,
    busy,
    other_content,
)
from release_management.services.gateway.pending import BatchWaker, PendingCommand
from release_management.services.gateway.queue import TicketQueue
from release_management.services.gateway.refusal_rate import Refusals
from release_management.services.gateway.states import States
from release_management.services.gateway.unit_of_work import SettingsCheck
from release_management.services.ports import (
    Appended,
    Clock,
    ClockJumpedError,
    Conflict,
    DeposedError,
    EventLog,
    IdReused,
    Keyring,
    Lease,
    LogDamagedError,
    LogUnavailableError,
    Repeated,
    Status,
    StoredOutcome,
)
from release_management.services.ports.bus import GatewayFailed, OlderThanSenderError
from release_management.services.threads import Threads
from release_management.services.use_cases import COMMANDS

BATCH_COMMANDS = 256
BATCH_BYTES = 256 * 1024
BATCH_SECONDS = 0.02
"""Seconds after which a batch of `BATCH_LEAST` commands is stored: later commands wait for two batches at most."""
BATCH_LEAST = 16
WAITING = 4_096
READING = 2
"""Threads that read outcomes and contents for callers."""
TRIES = 20
COMPANY_STEP_SECONDS = 0.000_2
COMPANY_SECONDS = 10 * COMPANY_STEP_SECONDS
"""Seconds for which a batch waits for the callers that were just answered, so that few commits serve many of them."""
TELL_SECONDS = 60.0
DEPOSED = "another gateway is active now; ask again"
BEHIND = "one that came before it could not be decided; try again after that one"
log = structlog.get_logger()


class Gateway:
    """Decides commands one after the other, and commits them in batches.

    The commands of one client, or of one role, are decided in the order of their arrival; clients and roles take turns,
    and commands that yield (queued ones) let all others go first, as `TicketQueue` says.

    A batch is what waits when the one before is stored: at most 256 commands, 256 kB of records, or what can be decided
    in 20 ms. A command with larger records goes alone. A lone caller is decided at once. After a batch of several, the
    next one lingers up to `COMPANY_SECONDS` for its callers. With a `lease`, nothing is stored once another gateway has
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
        self.deposed = threading.Event()
        self.trouble: str | None = None
        """The reason why the last batch could not be stored, or None."""
        self.appends = AppendTimer()
        self.failed_before = 0
        """The number of commands of a line that were not decided. See `submit`."""
        self._log = event_log
        self._lease = lease
        self._states = States(event_log, registry)
        self._refusals = refusals or Refusals()
        self._tells_again = 0.0
        self._decider = Decider(event_log.store_id, keyring, clock, new_id, executors, self._refusals)
        self._keyring = keyring
        self._answers = OutcomeCodec(keyring)
        self._queue = TicketQueue()
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
        return None if stored is None else self._answers.repeat(_as_repeated(stored))

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
        self._put_off(pending, answer)
        return False

    def _put_off(self, pending: PendingCommand, answer: Outcome | Exception) -> None:
        """Answer a command that is not decided, and count it: later ones of its line are not decided, either."""
        if pending.failed_before is not None:
            with self._intake:
                self.failed_before += 1
        pending.settle(answer)

    def _work(self) -> None:
        while True:
            try:
                return self._decide_all()
            except Exception as error:  # without this thread every command would wait for ever
                self.trouble = f"deciding broke off, by a fault of ours, and goes on ({error!r})"
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
        while waited < COMPANY_SECONDS and before < len(self._queue) < BATCH_COMMANDS:
            before = len(self._queue)
            time.sleep(COMPANY_STEP_SECONDS)
            waited += COMPANY_STEP_SECONDS

    # Under the lock `_deciding`

    def _next_batch(self) -> list[PendingCommand]:
        batch = self._queue.next_batch(BATCH_COMMANDS)
        self._alone = len(batch) <= 1
        telemetry.QUEUE_LENGTH.set(len(self._queue))
        return batch

    def _settle(self, batch: list[PendingCommand]) -> None:
        """Answer every command of a batch, whatever happens; those that did not fit into it wait again."""
        self._answer_each(batch)
        _measure([pending for pending in batch if pending.done()])

    def _answer_each(self, batch: list[PendingCommand]) -> None:
        left = batch
        while left:
            try:
                left, unreached = self._decide_and_append(left)
                self._queue.put_back(unreached)
            except DeposedError:
                self.deposed.set()
                log.warning("another gateway is active now; this one stores nothing more", envelopes=len(left))
                for pending in left:
                    pending.settle(DeposedError(DEPOSED))
                break
            except (LogUnavailableError, LogDamagedError) as error:
                self._states.clear()
                if self.trouble is None:
                    log.warning("the log cannot be used now", envelopes=len(left), error=str(error))
                self.trouble = str(error)
                self._put_all_off(left, f"the log cannot be used now; try again later ({error})", error.code)
                break
            except Exception as error:
                self._states.clear()
                self._find_culprit([pending for pending in left if not pending.done()], error)
                break
            except BaseException as error:
                self._states.clear()
                self._put_all_off(left, f"it could not be stored: {error}", ErrorCode.INTERNAL)
                raise  # a caller that decides on its own thread was interrupted

    def _put_all_off(self, tickets: Iterable[PendingCommand], reason: str, code: ErrorCode) -> None:
        for pending in tickets:
            self._put_off(pending, busy(pending.envelope, reason, code))

    def _is_well(self) -> None:
        if self.trouble is not None:
            log.info("the log can be used again", was=self.trouble)
        self.trouble = None

    def _find_culprit(self, batch: list[PendingCommand], error: Exception) -> None:
        """Find the command that cannot be stored and keeps the others from it: try each half by itself."""
        if len(batch) == 1:
            envelope = batch[0].envelope
            log.error("a command could not be stored", command=envelope.command, id=envelope.id, exc_info=error)
            self._put_off(batch[0], _failed(error))
            return
        half = len(batch) // 2
        for part in (batch[:half], batch[half:]):
            self._answer_each(part)

    def _decide_and_append(self, batch: list[PendingCommand]) -> tuple[list[PendingCommand], list[PendingCommand]]:
        """Make one commit. Return the commands still to be decided: conflicts, and those that did not fit."""
        if self.deposed.is_set():
            raise DeposedError(DEPOSED)
        context = BatchContext(self._states.load, self._states.first_position, NewActors(self._keyring))
        decided: list[tuple[PendingCommand, Decided]] = []
        unkept: list[tuple[PendingCommand, Unkept]] = []
        left: list[PendingCommand] = []
        size = 0
        began = time.monotonic()
        for index, pending in enumerate(batch):
            if index >= BATCH_LEAST and time.monotonic() - began > BATCH_SECONDS:
                left = batch[index:]
                break
            decision = self._decide(pending, context)
            if decision is None:
                continue
            if isinstance(decision, Unkept):
                if any(_key(pending.envelope) == _key(each.envelope) for each, _ in decided):
                    left = batch[index:]  # the log will know the first one's outcome
                    break
                unkept.append((pending, decision))
                continue
            if decided and size + decision.size > BATCH_BYTES:
                left = batch[index:]
                break
            size += decision.size
            context.carry(decision.states)
            decided.append((pending, decision))
        self._answer_unkept(unkept)
        if not decided:
            self._states.remember(context.carried)  # it was read, and nothing came of it
            return [], left
        statuses = self._append(decided, context)
        if statuses is None:
            return [pending for pending, _ in decided], left
        self._is_well()
        telemetry.BATCH_SIZE.observe(len(decided))
        stored = [isinstance(status, Appended) for status in statuses]
        if all(stored):
            self._states.remember(context.carried)
        else:
            self._states.forget(context.carried)
        losers = [
            pending
            for (pending, decision), status in zip(decided, statuses, strict=True)
            if not self._answer(pending, decision, status)
        ]
        if all(stored):
            self._states.keep_snapshots(record for _, decision in decided for record in decision.append.records)
        return losers, left

    def _append(self, decided: list[tuple[PendingCommand, Decided]], context: BatchContext) -> list[Status] | None:
        """Store the batch's new ids and keys, then its records; return the statuses.

        None if another process has given one of those ids or keys meanwhile: then nothing is stored.
        """
        statuses = None
        try:
            if context.newcomers.keep(decision.names for _, decision in decided):
                with self.appends.timed():
                    statuses = self._log.append([decision.append for _, decision in decided], self._lease)
        finally:
            if statuses is None:
                for pending, decision in decided:
                    self._refusals.count(pending.envelope.sender, decision.unkept)
        return statuses

    def _decide(self, pending: PendingCommand, context: BatchContext) -> Decided | Unkept | None:
        """Decide a command; None if it cannot be decided now, and was answered.

        A repetition is not checked here: the log does that when the decision is stored.
        """
        envelope = pending.envelope
        if pending.failed_before not in (None, self.failed_before):
            self._put_off(pending, busy(envelope, BEHIND))
            return None
        try:
            return self._decider.decide(envelope, context)
        except LogUnavailableError:
            raise
        except NotYet as early:
            answer: Outcome | Exception = busy(envelope, str(early))
        except ClockJumpedError as jumped:
            answer = busy(envelope, str(jumped), jumped.code)
        except OlderThanSenderError as error:
            log.warning("a role of a newer version is not understood", sender=envelope.sender, command=envelope.command)
            answer = error
        except Exception as error:
            log.exception("a command could not be decided", command=envelope.command, id=envelope.id)
            answer = _failed(error)
        (before,) = self._decided_before([envelope])
        if before is None:
            self._put_off(pending, answer)
        else:
            pending.settle(before)
        return None

    def _answer_unkept(self, refusals: Sequence[tuple[PendingCommand, Unkept]]) -> None:
        """Answer refusals that are not to be stored, and count them; a repetition gets its first outcome."""
        before = self._decided_before([pending.envelope for pending, _ in refusals])
        for (pending, refusal), outcome in zip(refusals, before, strict=True):
            if outcome is not None:
                pending.settle(outcome)
                continue
            telemetry.REFUSALS_UNKEPT.inc()
            sender = pending.envelope.sender
            unkept = self._refusals.count(sender)
            if time.monotonic() >= self._tells_again:
                self._tells_again = time.monotonic() + TELL_SECONDS
                log.warning("too many are refused; some are only counted", sender=sender, unkept=unkept)
            pending.settle(self._answers.first(refusal.outcome, 0, 0))

    def _decided_before(self, envelopes: Sequence[CommandEnvelope]) -> list[Outcome | None]:
        """Return the first outcome of each command, if it is stored already."""
        found = self._log.outcomes([_key(envelope) for envelope in envelopes]) if envelopes else {}
        return [self._outcome_before(envelope, found.get(_key(envelope))) for envelope in envelopes]

    def _outcome_before(self, envelope: CommandEnvelope, stored: StoredOutcome | None) -> Outcome | None:
        if stored is None:
            return None
        if stored.fingerprint != self._decider.fingerprint(envelope):
            return other_content(envelope)
        return self._answers.repeat(_as_repeated(stored))

    def _answer(self, pending: PendingCommand, decision: Decided, status: Status) -> bool:
        """Answer the command by its status; return False if it must be decided again."""
        if not isinstance(status, Appended):
            self._refusals.count(pending.envelope.sender, decision.unkept)
        try:
            match status:
                case Appended(first=first, last=last):
                    pending.settle(self._answers.first(decision.outcome, first, last))
                case Repeated():
                    pending.settle(self._answers.repeat(status))
                case IdReused():
                    pending.settle(other_content(pending.envelope))
                case Conflict():
                    pending.tries += 1
                    if pending.tries < TRIES:
                        return False
                    self._put_off(pending, busy(pending.envelope, "others kept changing what it rests on; try again"))
        except Exception as error:
            log.exception("an outcome could not be shown", command=pending.envelope.command, id=pending.envelope.id)
            reason = f"it is decided, and its outcome cannot be shown now ({type(error).__name__}); ask again"
            pending.settle(busy(pending.envelope, reason, ErrorCode.INTERNAL))
        return True


def _key(envelope: CommandEnvelope) -> tuple[str, str]:
    return envelope.sender, envelope.id


def _as_repeated(stored: StoredOutcome) -> Repeated:
    return Repeated(stored.outcome, stored.first, stored.last)


def _failed(error: Exception) -> GatewayFailed:
    return GatewayFailed(f"an error of ours, which is in the log ({type(error).__name__}); nothing was recorded")


def _measure(batch: list[PendingCommand]) -> None:
    now = time.monotonic()
    for pending in batch:
        telemetry.COMMAND_SECONDS.observe(now - pending.arrived)
    ends = Counter((pending.envelope.command, pending.end) for pending in batch)
    for (command, status), count in ends.items():
        telemetry.COMMANDS.labels(command if command in COMMANDS else "unknown", status).inc(count)
