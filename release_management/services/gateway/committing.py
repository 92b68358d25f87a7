"""Decide a batch of commands, store it in one commit, and answer every command."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence

import structlog

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
from release_management.services.gateway.pending import PendingCommand
from release_management.services.gateway.refusal_rate import Refusals
from release_management.services.gateway.states import States
from release_management.services.ports import (
    Appended,
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

BATCH_BYTES = 256 * 1024
BATCH_SECONDS = 0.02
"""Seconds after which a batch of `BATCH_LEAST` commands is stored: later commands wait for two batches at most."""
BATCH_LEAST = 16
TRIES = 20
TELL_SECONDS = 60.0
DEPOSED = "another gateway is active now; ask again"
BEHIND = "one that came before it could not be decided; try again after that one"
log = structlog.get_logger()


class Committer:
    """Decides batches and stores each in one commit. One thread at a time has a batch answered.

    Commands that do not fit into a batch go to `put_back`. The rest is as in `Gateway`.
    """

    def __init__(
        self,
        event_log: EventLog,
        states: States,
        decider: Decider,
        keyring: Keyring,
        refusals: Refusals,
        lease: Lease | None,
        put_back: Callable[[list[PendingCommand]], None],
    ) -> None:
        self.deposed = threading.Event()
        self.trouble: str | None = None
        """The reason why the last batch could not be stored, or None."""
        self.appends = AppendTimer()
        self.failed_before = 0
        """The number of commands of a line that were not decided. See `Gateway.submit`."""
        self._log = event_log
        self._lease = lease
        self._states = states
        self._refusals = refusals
        self._tells_again = 0.0
        self._decider = decider
        self._keyring = keyring
        self._answers = OutcomeCodec(keyring)
        self._put_back = put_back
        self._counting = threading.Lock()

    def put_off(self, pending: PendingCommand, answer: Outcome | Exception) -> None:
        """Answer a command that is not decided, and count it: later ones of its line are not decided, either.

        It may be called on any thread.
        """
        if pending.failed_before is not None:
            with self._counting:
                self.failed_before += 1
        pending.settle(answer)

    def answer_each(self, batch: list[PendingCommand]) -> None:
        """Answer every command of a batch, whatever happens; those that do not fit into it are put back."""
        left = batch
        while left:
            try:
                left, unreached = self._decide_and_append(left)
                self._put_back(unreached)
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
            self.put_off(pending, busy(pending.envelope, reason, code))

    def _is_well(self) -> None:
        if self.trouble is not None:
            log.info("the log can be used again", was=self.trouble)
        self.trouble = None

    def _find_culprit(self, batch: list[PendingCommand], error: Exception) -> None:
        """Find the command that cannot be stored and keeps the others from it: try each half by itself."""
        if len(batch) == 1:
            envelope = batch[0].envelope
            log.error("a command could not be stored", command=envelope.command, id=envelope.id, exc_info=error)
            self.put_off(batch[0], _failed(error))
            return
        half = len(batch) // 2
        for part in (batch[:half], batch[half:]):
            self.answer_each(part)

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
            self.put_off(pending, busy(envelope, BEHIND))
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
            self.put_off(pending, answer)
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
        return self._answers.repeat(as_repeated(stored))

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
                    self.put_off(pending, busy(pending.envelope, "others kept changing what it rests on; try again"))
        except Exception as error:
            log.exception("an outcome could not be shown", command=pending.envelope.command, id=pending.envelope.id)
            reason = f"it is decided, and its outcome cannot be shown now ({type(error).__name__}); ask again"
            pending.settle(busy(pending.envelope, reason, ErrorCode.INTERNAL))
        return True


def _key(envelope: CommandEnvelope) -> tuple[str, str]:
    return envelope.sender, envelope.id


def as_repeated(stored: StoredOutcome) -> Repeated:
    """Return a stored outcome as that of a repetition."""
    return Repeated(stored.outcome, stored.first, stored.last)


def _failed(error: Exception) -> GatewayFailed:
    return GatewayFailed(f"an error of ours, which is in the log ({type(error).__name__}); nothing was recorded")
