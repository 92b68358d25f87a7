"""The orchestrator and the timers: they carry out the agenda, as orders to executors and commands to the gateway.

Both are an `Orchestrator`, with the part of the agenda that each `takes`; in one process it takes all. The id of a
command is uuid5 of its cause, so sending it twice is harmless. Orders that are not reported are sent again; fences at
the executors make that harmless too.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Protocol

import structlog

from release_management.domain.agenda import (
    AgendaItem,
    DueCommand,
    OutstandingOrder,
)
from release_management.kernel.record import timestamp
from release_management.services import telemetry
from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.ports import Clock, LogUnavailableError
from release_management.services.ports.bus import (
    BusAwayError,
    BusError,
    CommandGateway,
    OrderChannel,
)
from release_management.services.threads import in_thread
from release_management.services.use_cases import declaration
from release_management.services.workers.timetable import (
    ItemKey,
    Timetable,
    TimetableEntry,
)

SENT_AGAIN_AFTER = 30.0
LOOK_SECONDS = 0.25
"""Seconds to wait after trouble with the bus, and while deadlines wait for the reports queued before we started."""
log = structlog.get_logger()


Takes = Callable[[AgendaItem], bool]


def everything(_: AgendaItem) -> bool:
    """Take all of the agenda."""
    return True


def timed(item: AgendaItem) -> bool:
    """Take the timers' part: commands with a due time."""
    return isinstance(item, DueCommand) and item.due is not None


def at_once(item: AgendaItem) -> bool:
    """Take the orchestrator's part if the timers are another process: everything else."""
    return not timed(item)


class Agenda(Protocol):
    """The items still to be done, kept up with the log."""

    def catch_up(self) -> int:
        """Fold the new records of the log; return the position reached."""
        ...

    def items(self) -> Mapping[ItemKey, AgendaItem]:
        """Return every item, as of the last `catch_up`."""
        ...

    def changed(self) -> Mapping[ItemKey, AgendaItem | None]:
        """Return the items that came or changed since the last call, and None for those that went."""
        ...

    @property
    def trouble(self) -> str | None:
        """A sentence on streams that could not be folded, as of the last `catch_up`: nothing is done there."""
        ...


class Orchestrator:
    """Carries out the agenda until it is cancelled.

    `wait(after, timeout)` blocks until the log has more. `reports_taken_in()` returns True once the reports that were
    queued when we started have been decided: deadlines fire only then. `trouble` says what keeps it from its work, or
    is None.
    """

    def __init__(
        self,
        agenda: Agenda,
        gateway: CommandGateway,
        orders: OrderChannel,
        clock: Clock,
        wait: Callable[[int, float], bool],
        reports_taken_in: Callable[[], Awaitable[bool]],
        *,
        takes: Takes = everything,
    ) -> None:
        self._agenda = agenda
        self._gateway = gateway
        self._orders = orders
        self._clock = clock
        self._wait = wait
        self._reports_taken_in = reports_taken_in
        self._takes = takes
        self.trouble: str | None = None
        self.position = 0
        """The position up to which the agenda has been folded."""
        self._deadlines_armed = False
        self._timetable: Timetable | None = None

    async def run(self) -> None:
        """Act, wait for the log or the clock, and act again. Errors are logged and retried."""
        while True:
            position, pause = 0, LOOK_SECONDS
            try:
                position = self.position = await in_thread(self._agenda.catch_up)
                timetable = self._kept_up()
                pause = await self._act(timetable)
                self.trouble = self._agenda.trouble or timetable.trouble
            except BusError as error:
                self.trouble = _not_taken(error)
                log.warning(self.trouble)
            except LogUnavailableError:
                raise
            except Exception as error:
                self.trouble = f"the agenda could not be carried out ({type(error).__name__}); the log says why"
                log.exception("the agenda could not be carried out; trying again")
                await asyncio.sleep(1.0)
            await in_thread(self._wait, position, pause)

    def _kept_up(self) -> Timetable:
        """Return the timetable after applying the agenda's changes."""
        if self._timetable is None:
            self._timetable = Timetable()
            self._agenda.changed()
            changed: Mapping[ItemKey, AgendaItem | None] = self._agenda.items()
        else:
            changed = self._agenda.changed()
        for key, item in changed.items():
            if item is not None and self._takes(item):
                self._timetable.put(key, item)
            else:
                self._timetable.drop(key)
        return self._timetable

    async def _act(self, timetable: Timetable) -> float:
        """Carry out due items, commands first. Return the seconds until the next look, at most one.

        An item that the bus does not accept is retried later, and delays no other, unless the bus is away: then it
        raises `BusAwayError`, and the rest is carried out at the next look.
        """
        now = timestamp(self._clock.now())
        if not self._deadlines_armed:
            self._deadlines_armed = await self._reports_taken_in()
        waiting = deque(timetable.due(now))
        _measure(now, timetable)
        refused: BusError | None = None
        try:
            while waiting:
                key, entry = waiting[0]
                try:
                    await self._carry_out(timetable, key, entry)
                except BusAwayError:
                    raise
                except BusError as error:
                    timetable.put_off(key, entry, _not_taken(error))
                    refused = refused or error
                except Exception as error:
                    trouble = f"nothing goes on with {entry.subject} ({type(error).__name__}: {error}); trying again"
                    timetable.put_off(key, entry, trouble)
                    log.exception("an item of the agenda could not be carried out; trying again", subject=entry.subject)
                waiting.popleft()
        finally:
            for key, entry in waiting:
                timetable.again_after(key, entry, 0.0)
        if refused is not None:
            log.warning(_not_taken(refused))
        pauses = [1.0]
        if (next_due := timetable.next_due) is not None:
            pauses.append(_between(now, next_due))
        if (next_try := timetable.next_try) is not None:
            pauses.append(next_try)
        return max(0.01, min(pauses))

    async def _carry_out(self, timetable: Timetable, key: ItemKey, entry: TimetableEntry) -> None:
        """Carry out an item now, and schedule its next try."""
        item = entry.item
        if isinstance(item, OutstandingOrder):
            await self._orders.send(item.order, entry.sent)
            telemetry.ORDERS_SENT.inc()
            entry.sent += 1
            timetable.settled(key, entry)
            timetable.again_after(key, entry, SENT_AGAIN_AFTER)
        elif declaration(item.command).IS_DEADLINE and not self._deadlines_armed:
            timetable.again_after(key, entry, LOOK_SECONDS)
        elif await self._give(entry.id, item):
            timetable.settled(key, entry)
        else:
            timetable.put_off(key, entry)

    async def _give(self, id: str, item: DueCommand) -> bool:
        """Submit a command to the gateway; return False if that was too busy."""
        sender = "system:orchestrator" if item.due is None else "system:timers"
        outcome = await self._ask(
            CommandEnvelope(
                sender=sender,
                id=id,
                command=item.command,
                data=item.data,
                actor=sender,
                actorkind="system",
                actorauth="system",
                correlationid=item.correlation,
                causationid=item.cause,
            )
        )
        if outcome.status == "busy":
            return False
        if item.due is not None:
            telemetry.GIVEN_LATE.observe(max(0.0, _between(item.due, timestamp(self._clock.now()))))
        return True

    async def _ask(self, envelope: CommandEnvelope) -> Outcome:
        began, status = time.monotonic(), "unanswered"
        try:
            outcome = await self._gateway.submit(envelope)
            status = outcome.status
            telemetry.GIVEN_SECONDS.observe(time.monotonic() - began)
        finally:
            telemetry.GIVEN.labels(envelope.command, status).inc()
        return outcome


def _not_taken(error: BusError) -> str:
    return f"the bus does not take what is due: {error}"


def _measure(now: str, timetable: Timetable) -> None:
    telemetry.AGENDA_ITEMS.labels("order").set(timetable.orders)
    telemetry.AGENDA_ITEMS.labels("command").set(timetable.commands)
    since = timetable.longest_overdue
    telemetry.AGENDA_OVERDUE.set(_between(since, now) if since else 0)


def _between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
