"""The orchestrator and the timers: they carry the agenda out, as orders to executors and commands to the gateway.

The id of a command is uuid5 of its cause, so sending it twice is harmless. Orders that are not reported are sent again;
fences at the executors make that harmless too.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID, uuid5

import structlog

from release_management.domain.orders import Order
from release_management.domain.record import timestamp
from release_management.services.bus import BusError, Gateway, OrderChannel
from release_management.services.ports import Clock
from release_management.services.wishes import Wish

SENT_AGAIN_AFTER = 30.0
NAMESPACE = UUID("6f1d0b7e-5a53-4d0e-9d55-0d4a3f3a1c11")
DEADLINES = frozenset({"deployment.expire_step", "deployment.expire", "approval.expire"})
log = structlog.get_logger()


class Agenda(Protocol):
    """What is still to be done, kept up with the log."""

    def catch_up(self) -> int:
        """Fold what the log has; returns the position reached."""
        ...

    def items(self) -> list[tuple[str, dict[str, Any]]]:
        """Every item with the subject (`deployment:…`, `approval:…`) that it belongs to."""
        ...


class Orchestrator:
    """Carries out the agenda until it is cancelled.

    `wait(after, timeout)` blocks until the log has more. `reports_taken_in()` says whether the reports that were queued
    when we started have been decided: deadlines fire only then.
    """

    def __init__(
        self,
        agenda: Agenda,
        gateway: Gateway,
        orders: OrderChannel,
        clock: Clock,
        wait: Callable[[int, float], bool],
        reports_taken_in: Callable[[], Awaitable[bool]],
    ) -> None:
        self._agenda = agenda
        self._gateway = gateway
        self._orders = orders
        self._clock = clock
        self._wait = wait
        self._reports_taken_in = reports_taken_in
        self._deadlines_armed = False
        self._done: set[str] = set()
        self._sent: dict[int, tuple[int, float]] = {}

    async def run(self) -> None:
        """Act, wait for the log or the clock, and act again. Errors are logged and tried again."""
        while True:
            position, pause = 0, 0.25
            try:
                position = await asyncio.to_thread(self._agenda.catch_up)
                items = await asyncio.to_thread(self._agenda.items)
                pause = await self._act(items)
            except BusError as error:
                log.warning("the bus does not take orders", error=str(error))
            except Exception:
                log.exception("the agenda could not be carried out; trying again")
                await asyncio.sleep(1.0)
            await asyncio.to_thread(self._wait, position, pause)

    async def _act(self, items: list[tuple[str, dict[str, Any]]]) -> float:
        """Carry out what is due. Returns the seconds until the next look, at most one."""
        now = timestamp(self._clock.now())
        if not self._deadlines_armed:
            self._deadlines_armed = await self._reports_taken_in()
        self._forget(items)
        due = [(subject, item) for subject, item in items if item["due"] <= now]
        for subject, item in due:
            try:
                await self._carry_out(subject, item)
            except BusError:
                raise
            except Exception:
                log.exception("an item of the agenda could not be carried out; trying again", subject=subject)
        return min([1.0, *(_seconds(now, item["due"]) for _, item in items if item["due"] > now)])

    async def _carry_out(self, subject: str, item: dict[str, Any]) -> None:
        if item["kind"] == "order":
            await self._send(Order.model_validate(item["order"], strict=False))
        elif self._deadlines_armed or item["command"] not in DEADLINES:
            await self._command(subject, item)

    async def _send(self, order: Order) -> None:
        again, at = self._sent.get(order.fence, (-1, 0.0))
        if again >= 0 and time.monotonic() - at < SENT_AGAIN_AFTER:
            return
        await self._orders.send(order, again + 1)
        self._sent[order.fence] = (again + 1, time.monotonic())

    async def _command(self, subject: str, item: dict[str, Any]) -> None:
        id = _command_id(subject, item)
        if id in self._done:
            return
        sender = "system:timers" if item["due"] else "system:orchestrator"
        outcome = await self._gateway.submit(
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
        if outcome.status != "busy":
            self._done.add(id)

    def _forget(self, items: list[tuple[str, dict[str, Any]]]) -> None:
        """Keep no memory of what has left the agenda."""
        fences = {item["order"]["fence"] for _, item in items if item["kind"] == "order"}
        self._sent = {fence: sent for fence, sent in self._sent.items() if fence in fences}
        self._done &= {_command_id(subject, item) for subject, item in items if item["kind"] == "command"}


def _command_id(subject: str, item: dict[str, Any]) -> str:
    return str(uuid5(NAMESPACE, f"{item['cause']}/{item['command']}/{subject}"))


def _seconds(now: str, due: str) -> float:
    return max(0.01, (datetime.fromisoformat(due) - datetime.fromisoformat(now)).total_seconds())
