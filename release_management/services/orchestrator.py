"""The orchestrator and the timers: they carry the agenda out, as orders to executors and commands to the gateway.

Both are an `Orchestrator`, with the part of the agenda that each `takes`; where they are one process, it takes all.

The id of a command is uuid5 of its cause, so sending it twice is harmless. Orders that are not reported are sent again;
fences at the executors make that harmless too.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID, uuid5

import structlog

from release_management.domain.orders import Order
from release_management.domain.record import timestamp
from release_management.services import measures
from release_management.services.bus import BusAwayError, BusError, Gateway, OrderChannel
from release_management.services.ports import Clock, LogUnavailableError
from release_management.services.threads import in_thread
from release_management.services.wishes import Outcome, Wish

SENT_AGAIN_AFTER = 30.0
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
"""Between one try and the next where a command was not decided, or something failed: twice as long each time."""
NAMESPACE = UUID("6f1d0b7e-5a53-4d0e-9d55-0d4a3f3a1c11")
DEADLINES = frozenset({"deployment.expire_step", "deployment.expire", "approval.expire"})
log = structlog.get_logger()


Item = dict[str, Any]
Takes = Callable[[Item], bool]


def everything(_: Item) -> bool:
    """All of the agenda."""
    return True


def timed(item: Item) -> bool:
    """What the timers take: commands that fall due at a time."""
    return item["kind"] == "command" and bool(item["due"])


def at_once(item: Item) -> bool:
    """What the orchestrator takes where the timers are another process: everything else."""
    return not timed(item)


@dataclass(frozen=True, slots=True)
class PutOff:
    """What is tried again at `until` (monotonic seconds), and what was wrong with it."""

    until: float
    pause: float
    trouble: str | None

    @classmethod
    def after(cls, before: "PutOff | None", trouble: str | None = None) -> "PutOff":
        """From now on, for twice as long as before."""
        pause = FIRST_PAUSE_SECONDS if before is None else min(2 * before.pause, LONGEST_PAUSE_SECONDS)
        return cls(time.monotonic() + pause, pause, trouble)


class Agenda(Protocol):
    """What is still to be done, kept up with the log."""

    def catch_up(self) -> int:
        """Fold what the log has; returns the position reached."""
        ...

    def items(self) -> list[tuple[str, Item]]:
        """Every item with the subject (`deployment:…`, `approval:…`) that it belongs to, as of the last `catch_up`."""
        ...

    @property
    def trouble(self) -> str | None:
        """What of the log it could not take in, as of the last `catch_up`: nothing is done there."""
        ...


class Orchestrator:
    """Carries out the agenda until it is cancelled.

    `wait(after, timeout)` blocks until the log has more. `reports_taken_in()` says whether the reports that were queued
    when we started have been decided: deadlines fire only then. `trouble` says what keeps it from its work, if
    anything does.
    """

    def __init__(
        self,
        agenda: Agenda,
        gateway: Gateway,
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
        """Up to where the agenda has taken in the log."""
        self._deadlines_armed = False
        self._done: set[str] = set()
        self._sent: dict[int, tuple[int, float]] = {}
        self._put_off: dict[str, PutOff] = {}

    async def run(self) -> None:
        """Act, wait for the log or the clock, and act again. Errors are logged and tried again."""
        while True:
            position, pause = 0, 0.25
            try:
                position = self.position = await in_thread(self._agenda.catch_up)
                mine = [(subject, item) for subject, item in self._agenda.items() if self._takes(item)]
                pause = await self._act(mine)
                failing = (each.trouble for each in self._put_off.values() if each.trouble)
                self.trouble = self._agenda.trouble or next(failing, None)
            except BusError as error:
                self.trouble = f"the bus does not take what is due: {error}"
                log.warning("the bus does not take what is due", error=str(error))
            except LogUnavailableError:
                raise
            except Exception as error:
                self.trouble = f"the agenda could not be carried out ({type(error).__name__}); the log says why"
                log.exception("the agenda could not be carried out; trying again")
                await asyncio.sleep(1.0)
            await in_thread(self._wait, position, pause)

    async def _act(self, items: list[tuple[str, Item]]) -> float:
        """Carry out what is due, commands first. Returns the seconds until the next look, at most one.

        Raises `BusError` where the bus did not take something; the rest was carried out, unless the bus is away.
        """
        now = timestamp(self._clock.now())
        if not self._deadlines_armed:
            self._deadlines_armed = await self._reports_taken_in()
        self._forget(items)
        self._measure(now, items)
        due = [(subject, item) for subject, item in items if item["due"] <= now]
        trouble: BusError | None = None
        for subject, item in sorted(due, key=lambda it: it[1]["kind"] != "command"):
            key = _key(subject, item)
            before = self._put_off.get(key)
            if before is not None and time.monotonic() < before.until:
                continue
            try:
                done = await self._carry_out(subject, item)
            except BusAwayError:
                raise
            except BusError as error:
                trouble = trouble or error
            except Exception as error:
                said = f"nothing goes on with {subject} ({type(error).__name__}: {error}); trying again"
                self._put_off[key] = PutOff.after(before, said)
                log.exception("an item of the agenda could not be carried out; trying again", subject=subject)
            else:
                if done:
                    self._put_off.pop(key, None)
                else:
                    self._put_off[key] = PutOff.after(before)
        if trouble is not None:
            raise trouble
        again = [max(0.01, each.until - time.monotonic()) for each in self._put_off.values()]
        return min([1.0, *again, *(_seconds(now, item["due"]) for _, item in items if item["due"] > now)])

    async def _carry_out(self, subject: str, item: Item) -> bool:
        """Whether that is done, as far as it can be now; False where the gateway was too busy."""
        if item["kind"] == "order":
            await self._send(item["order"])
        elif self._deadlines_armed or item["command"] not in DEADLINES:
            return await self._command(subject, item)
        return True

    async def _send(self, stated: dict[str, Any]) -> None:
        fence = stated["fence"]
        again, at = self._sent.get(fence, (-1, 0.0))
        if again >= 0 and time.monotonic() - at < SENT_AGAIN_AFTER:
            return
        await self._orders.send(Order.model_validate(stated, strict=False), again + 1)
        measures.ORDERS_SENT.inc()
        self._sent[fence] = (again + 1, time.monotonic())

    async def _command(self, subject: str, item: Item) -> bool:
        id = _command_id(subject, item)
        if id in self._done:
            return True
        sender = "system:timers" if item["due"] else "system:orchestrator"
        outcome = await self._ask(
            Wish(
                sender=sender,
                id=id,
                command=item["command"],
                data=item["data"],
                actor=sender,
                actorkind="system",
                actorauth="system",
                correlationid=item["correlation"],
                causationid=item["cause"],
            )
        )
        if outcome.status == "busy":
            return False
        self._done.add(id)
        if item["due"]:
            measures.GIVEN_LATE.observe(max(0.0, _between(item["due"], timestamp(self._clock.now()))))
        return True

    async def _ask(self, wish: Wish) -> Outcome:
        began, status = time.monotonic(), "unanswered"
        try:
            outcome = await self._gateway.submit(wish)
            status = outcome.status
            measures.GIVEN_SECONDS.observe(time.monotonic() - began)
        finally:
            measures.GIVEN.labels(wish.command, status).inc()
        return outcome

    def _measure(self, now: str, items: list[tuple[str, Item]]) -> None:
        for kind in ("order", "command"):
            measures.AGENDA_ITEMS.labels(kind).set(sum(item["kind"] == kind for _, item in items))
        due = [item["due"] for _, item in items if item["kind"] == "command" and item["due"] and item["due"] <= now]
        measures.AGENDA_OVERDUE.set(_between(min(due), now) if due else 0)

    def _forget(self, items: list[tuple[str, Item]]) -> None:
        """Keep no memory of what has left the agenda."""
        fences = {item["order"]["fence"] for _, item in items if item["kind"] == "order"}
        self._sent = {fence: sent for fence, sent in self._sent.items() if fence in fences}
        ids = {_command_id(subject, item) for subject, item in items if item["kind"] == "command"}
        self._done &= ids
        keys = {_key(subject, item) for subject, item in items}
        self._put_off = {key: until for key, until in self._put_off.items() if key in keys}


def _key(subject: str, item: Item) -> str:
    """What an item is, from one look at the agenda to the next."""
    return str(item["order"]["fence"]) if item["kind"] == "order" else _command_id(subject, item)


def _command_id(subject: str, item: Item) -> str:
    return _id_of(item["cause"], item["command"], subject)


@lru_cache(maxsize=100_000)  # each look at the agenda asks for all that are open
def _id_of(cause: str, command: str, subject: str) -> str:
    return str(uuid5(NAMESPACE, f"{cause}/{command}/{subject}"))


def _seconds(now: str, due: str) -> float:
    return max(0.01, _between(now, due))


def _between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
