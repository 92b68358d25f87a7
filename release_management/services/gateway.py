"""The one writer: load, decide, append. Many wishes share one durable commit."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import structlog

from release_management.domain.errors import ErrorCode
from release_management.domain.registry import Registry
from release_management.domain.words import NotYet
from release_management.services import measures
from release_management.services.appends import Appends
from release_management.services.bus import GatewayFailed, OlderThanSenderError
from release_management.services.deciding import Decided, Decider, Ground, Unkept
from release_management.services.decisions import COMMANDS
from release_management.services.desk import SettingsCheck
from release_management.services.newcomers import Newcomers
from release_management.services.outcomes import Answers, busy, other_content
from release_management.services.ports import (
    Appended,
    Clock,
    ClockJumpedError,
    Conflict,
    DeposedError,
    EventLog,
    Keyring,
    Lease,
    LogDamagedError,
    LogUnavailableError,
    OtherContent,
    Repeated,
    Status,
    StoredOutcome,
)
from release_management.services.refusals import Refusals
from release_management.services.states import States
from release_management.services.threads import Threads
from release_management.services.ticket_queue import TicketQueue
from release_management.services.tickets import Bell, Ticket
from release_management.services.wishes import Outcome, Wish

BATCH_COMMANDS = 256
BATCH_BYTES = 256 * 1024
BATCH_SECONDS = 0.02
"""After so long, and `BATCH_LEAST` commands, a batch is stored: what comes meanwhile waits for two batches at most."""
BATCH_LEAST = 16
WAITING = 4_096
READING = 2
"""Threads for those who ask for outcomes and contents."""
TRIES = 20
COMPANY_STEP_SECONDS = 0.000_2
COMPANY_SECONDS = 10 * COMPANY_STEP_SECONDS
"""How long a batch waits for those who were answered just before, so that few commits serve many callers."""
TELL_SECONDS = 60.0
DEPOSED = "another gateway is active now; ask again"
BEHIND = "one that came before it could not be decided; try again after that one"
log = structlog.get_logger()


class Gateway:
    """Decides wishes one after the other, and commits them in batches.

    Those of one client, or of one role, are decided in the order in which they came; clients and roles take turns, and
    those that yield (queued commands) let all others go ahead, as `TicketQueue` says.

    A batch is what waits when the one before is stored: at most 256 commands, 256 kB of records, or what can be decided
    in 20 ms. A command with larger records goes alone. Who comes alone waits for nobody; where several were answered
    together, the next batch gives them at most `COMPANY_SECONDS` to come again. With a `lease`, nothing is stored once
    another gateway has taken it: `deposed` is set then, and every wish ends in `DeposedError`, for the other one to be
    asked. `close` decides what was asked before it and then stops.
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
        """Why nothing could be stored last, if that is so."""
        self.appends = Appends()
        self.setbacks = 0
        """How often a wish of a line was not decided. See `submit`."""
        self._log = event_log
        self._lease = lease
        self._states = States(event_log, registry)
        self._refusals = refusals or Refusals()
        self._tells_again = 0.0
        self._decider = Decider(event_log.store_id, keyring, clock, new_id, executors, self._refusals)
        self._keyring = keyring
        self._answers = Answers(keyring)
        self._queue = TicketQueue()
        self._closing = False
        self._alone = False
        self._intake = threading.Lock()
        self._deciding = threading.Lock()
        self._wake = threading.Event()
        self._bell: Bell | None = None
        self._reading = Threads("gateway-reading", READING)
        self._thread = threading.Thread(target=self._work, name="gateway", daemon=True)
        self._thread.start()

    def ask(
        self,
        wish: Wish,
        then: Callable[[], None] | None = None,
        setbacks: int | None = None,
        *,
        yields: bool = False,
    ) -> Ticket:
        """Hand in a wish, to be decided on the gateway's own thread. A full queue is `busy` at once.

        `then` is called, on whatever thread, as soon as the outcome is there. The rest is as in `submit`.
        """
        ticket = Ticket(wish, then, setbacks, yields=yields)
        if self._enqueue(ticket) and not self._wake.is_set():
            self._wake.set()
        return ticket

    def answer(self, wish: Wish) -> Outcome:
        """Hand in a wish and wait for its outcome. Raises `GatewayFailed` for a fault of ours, and `DeposedError`.

        A caller who was alone so far decides on its own thread, which saves the way to the gateway's and back.
        """
        ticket = Ticket(wish)
        if not self._enqueue(ticket):
            return ticket.result()
        if self._alone and self._deciding.acquire(blocking=False):
            try:
                self._settle(self._next_batch())
            finally:
                self._deciding.release()
            if not self._queue:
                return ticket.result()
        if not self._wake.is_set():
            self._wake.set()
        return ticket.result()

    async def submit(self, wish: Wish, setbacks: int | None = None, *, yields: bool = False) -> Outcome:
        """Hand in a wish and wait for its outcome.

        Raises `GatewayFailed` for a fault of ours, `OlderThanSenderError`, and `DeposedError`. A wish of a line, where
        none may overtake another, says how many `setbacks` its sender knows of: where there was one since, something
        before it was not decided, and it is `busy`, too. One that `yields` lets those go first that do not.
        """
        loop = asyncio.get_running_loop()
        if self._bell is None or self._bell.loop is not loop:
            self._bell = Bell(loop)
        there = loop.create_future()
        ticket = self.ask(wish, partial(self._bell.ring, there), setbacks, yields=yields)
        await there
        return ticket.result()

    @property
    def waiting(self) -> int:
        """How many wishes wait to be decided."""
        return len(self._queue)

    @property
    def others_come(self) -> bool:
        """Whether wishes that do not yield came just now."""
        return self._queue.others_come

    async def outcome(self, sender: str, id: str) -> Outcome | None:
        """What became of a wish that was decided before; None where it is unknown. Raises `LogUnavailableError`."""
        key = (sender, id)
        stored = (await self._reading.run(self._log.outcomes, [key])).get(key)
        return None if stored is None else self._answers.repeat(_as_repeated(stored))

    async def content(self, dataref: str) -> bytes:
        """The data beside the records with this `dataref`. Raises `LogUnavailableError` and `LogDamagedError`."""
        return await self._reading.run(self._log.content, dataref)

    def close(self) -> None:
        """Decide what waits, then stop. What is asked later is answered busy."""
        with self._intake:
            self._closing = True
        self._wake.set()
        self._thread.join()
        self._reading.close()
        with self._deciding:
            pass  # a caller who decides himself is done, too

    def _enqueue(self, ticket: Ticket) -> bool:
        """Whether there is room for it; it is answered where there is none."""
        with self._intake:
            if self._closing and self.deposed.is_set():
                answer: Outcome | Exception = DeposedError(DEPOSED)
            elif self._closing:
                answer = busy(ticket.wish, "the gateway is being closed; ask again when it is back")
            elif len(self._queue) >= WAITING:
                answer = busy(ticket.wish, f"{WAITING} wishes wait already; try again in a moment")
            else:
                self._queue.append(ticket)
                return True
        self._put_off(ticket, answer)
        return False

    def _put_off(self, ticket: Ticket, answer: Outcome | Exception) -> None:
        """Answer a wish that is not decided: those behind it in its line are not, either."""
        if ticket.setbacks is not None:
            with self._intake:
                self.setbacks += 1
        ticket.settle(answer)

    def _work(self) -> None:
        while True:
            try:
                return self._decide_all()
            except Exception as error:  # without this thread every wish would wait for ever
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
        """Wait while the queue grows: several who were answered together often come again at once."""
        before, waited = -1, 0.0
        while waited < COMPANY_SECONDS and before < len(self._queue) < BATCH_COMMANDS:
            before = len(self._queue)
            time.sleep(COMPANY_STEP_SECONDS)
            waited += COMPANY_STEP_SECONDS

    # Under the lock `_deciding`

    def _next_batch(self) -> list[Ticket]:
        batch = self._queue.next_batch(BATCH_COMMANDS)
        self._alone = len(batch) <= 1
        measures.QUEUE_LENGTH.set(len(self._queue))
        return batch

    def _settle(self, batch: list[Ticket]) -> None:
        """Answer every wish of a batch, whatever happens; those that found no room in it wait again."""
        self._answer_each(batch)
        _measure([ticket for ticket in batch if ticket.done()])

    def _answer_each(self, batch: list[Ticket]) -> None:
        left = batch
        while left:
            try:
                left, unreached = self._decide_and_append(left)
                self._queue.put_back(unreached)
            except DeposedError:
                self.deposed.set()
                log.warning("another gateway is active now; this one stores nothing more", wishes=len(left))
                for ticket in left:
                    ticket.settle(DeposedError(DEPOSED))
                break
            except (LogUnavailableError, LogDamagedError) as error:
                self._states.clear()
                if self.trouble is None:
                    log.warning("the log cannot be used now", wishes=len(left), error=str(error))
                self.trouble = str(error)
                self._put_all_off(left, f"the log cannot be used now; try again later ({error})", error.code)
                break
            except Exception as error:
                self._states.clear()
                self._find_culprit([ticket for ticket in left if not ticket.done()], error)
                break
            except BaseException as error:
                self._states.clear()
                self._put_all_off(left, f"it could not be stored: {error}", ErrorCode.INTERNAL)
                raise  # a caller who decides himself was interrupted

    def _put_all_off(self, tickets: Iterable[Ticket], reason: str, code: ErrorCode) -> None:
        for ticket in tickets:
            self._put_off(ticket, busy(ticket.wish, reason, code))

    def _is_well(self) -> None:
        if self.trouble is not None:
            log.info("the log can be used again", was=self.trouble)
        self.trouble = None

    def _find_culprit(self, wishes: list[Ticket], error: Exception) -> None:
        """One of these wishes cannot be stored, and keeps the others from it: try each half by itself."""
        if len(wishes) == 1:
            wish = wishes[0].wish
            log.error("a wish could not be stored", command=wish.command, id=wish.id, exc_info=error)
            self._put_off(wishes[0], _failed(error))
            return
        half = len(wishes) // 2
        for part in (wishes[:half], wishes[half:]):
            self._answer_each(part)

    def _decide_and_append(self, batch: list[Ticket]) -> tuple[list[Ticket], list[Ticket]]:
        """One commit. Returns those still to be decided: who lost, and who found no room in it."""
        if self.deposed.is_set():
            raise DeposedError(DEPOSED)
        ground = Ground(self._states.load, self._states.first_position, Newcomers(self._keyring))
        decided: list[tuple[Ticket, Decided]] = []
        unkept: list[tuple[Ticket, Unkept]] = []
        left: list[Ticket] = []
        size = 0
        began = time.monotonic()
        for index, ticket in enumerate(batch):
            if index >= BATCH_LEAST and time.monotonic() - began > BATCH_SECONDS:
                left = batch[index:]
                break
            decision = self._decide(ticket, ground)
            if decision is None:
                continue
            if isinstance(decision, Unkept):
                if any(_key(ticket.wish) == _key(each.wish) for each, _ in decided):
                    left = batch[index:]  # the log will know what became of the first one
                    break
                unkept.append((ticket, decision))
                continue
            if decided and size + decision.size > BATCH_BYTES:
                left = batch[index:]
                break
            size += decision.size
            ground.carry(decision.states)
            decided.append((ticket, decision))
        self._answer_unkept(unkept)
        if not decided:
            self._states.remember(ground.carried)  # it was read, and nothing came of it
            return [], left
        statuses = self._append(decided, ground)
        if statuses is None:
            return [ticket for ticket, _ in decided], left
        self._is_well()
        measures.BATCH_SIZE.observe(len(decided))
        stored = [isinstance(status, Appended) for status in statuses]
        if all(stored):
            self._states.remember(ground.carried)
        else:
            self._states.forget(ground.carried)
        losers = [
            ticket
            for (ticket, decision), status in zip(decided, statuses, strict=True)
            if not self._answer(ticket, decision, status)
        ]
        if all(stored):
            self._states.keep_snapshots(record for _, decision in decided for record in decision.append.records)
        return losers, left

    def _append(self, decided: list[tuple[Ticket, Decided]], ground: Ground) -> list[Status] | None:
        """Store the ids and keys that the batch has made, then its records; what became of each.

        None where another process has given one of those ids or keys meanwhile: nothing is stored then.
        """
        statuses = None
        try:
            if ground.newcomers.keep(decision.names for _, decision in decided):
                with self.appends.timed():
                    statuses = self._log.append([decision.append for _, decision in decided], self._lease)
        finally:
            if statuses is None:
                for ticket, decision in decided:
                    self._refusals.count(ticket.wish.sender, decision.unkept)
        return statuses

    def _decide(self, ticket: Ticket, ground: Ground) -> Decided | Unkept | None:
        """Decide a wish; None where it cannot be decided now, and is answered.

        Nobody asks here whether it was decided before: the log does, when it is to store it.
        """
        wish = ticket.wish
        if ticket.setbacks not in (None, self.setbacks):
            self._put_off(ticket, busy(wish, BEHIND))
            return None
        try:
            return self._decider.decide(wish, ground)
        except LogUnavailableError:
            raise
        except NotYet as early:
            answer: Outcome | Exception = busy(wish, str(early))
        except ClockJumpedError as jumped:
            answer = busy(wish, str(jumped), jumped.code)
        except OlderThanSenderError as error:
            log.warning("a role of a newer version is not understood", sender=wish.sender, command=wish.command)
            answer = error
        except Exception as error:
            log.exception("a wish could not be decided", command=wish.command, id=wish.id)
            answer = _failed(error)
        (before,) = self._decided_before([wish])
        if before is None:
            self._put_off(ticket, answer)
        else:
            ticket.settle(before)
        return None

    def _answer_unkept(self, refusals: Sequence[tuple[Ticket, Unkept]]) -> None:
        """Answer refusals that are not to be stored, and count them; a repetition has its first outcome."""
        before = self._decided_before([ticket.wish for ticket, _ in refusals])
        for (ticket, refusal), outcome in zip(refusals, before, strict=True):
            if outcome is not None:
                ticket.settle(outcome)
                continue
            measures.REFUSALS_UNKEPT.inc()
            sender = ticket.wish.sender
            unkept = self._refusals.count(sender)
            if time.monotonic() >= self._tells_again:
                self._tells_again = time.monotonic() + TELL_SECONDS
                log.warning("too many are refused; some are only counted", sender=sender, unkept=unkept)
            ticket.settle(self._answers.first(refusal.said, 0, 0))

    def _decided_before(self, wishes: Sequence[Wish]) -> list[Outcome | None]:
        """The first outcome of each, where it is stored already."""
        found = self._log.outcomes([_key(wish) for wish in wishes]) if wishes else {}
        return [self._outcome_before(wish, found.get(_key(wish))) for wish in wishes]

    def _outcome_before(self, wish: Wish, stored: StoredOutcome | None) -> Outcome | None:
        if stored is None:
            return None
        if stored.fingerprint != self._decider.fingerprint(wish):
            return other_content(wish)
        return self._answers.repeat(_as_repeated(stored))

    def _answer(self, ticket: Ticket, decision: Decided, status: Status) -> bool:
        """Tell the caller what became of it; False where it must be decided again."""
        if not isinstance(status, Appended):
            self._refusals.count(ticket.wish.sender, decision.unkept)
        try:
            match status:
                case Appended(first=first, last=last):
                    ticket.settle(self._answers.first(decision.said, first, last))
                case Repeated():
                    ticket.settle(self._answers.repeat(status))
                case OtherContent():
                    ticket.settle(other_content(ticket.wish))
                case Conflict():
                    ticket.tries += 1
                    if ticket.tries < TRIES:
                        return False
                    self._put_off(ticket, busy(ticket.wish, "others kept changing what it rests on; try again"))
        except Exception as error:
            log.exception("an outcome could not be shown", command=ticket.wish.command, id=ticket.wish.id)
            reason = f"it is decided, and its outcome cannot be shown now ({type(error).__name__}); ask again"
            ticket.settle(busy(ticket.wish, reason, ErrorCode.INTERNAL))
        return True


def _key(wish: Wish) -> tuple[str, str]:
    return wish.sender, wish.id


def _as_repeated(stored: StoredOutcome) -> Repeated:
    return Repeated(stored.outcome, stored.first, stored.last)


def _failed(error: Exception) -> GatewayFailed:
    return GatewayFailed(f"an error of ours, which is in the log ({type(error).__name__}); nothing was recorded")


def _measure(batch: list[Ticket]) -> None:
    now = time.monotonic()
    for ticket in batch:
        measures.COMMAND_SECONDS.observe(now - ticket.arrived)
    ends = Counter((ticket.wish.command, ticket.end) for ticket in batch)
    for (command, status), count in ends.items():
        measures.COMMANDS.labels(command if command in COMMANDS else "unknown", status).inc(count)
