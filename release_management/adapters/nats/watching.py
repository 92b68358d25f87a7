"""Publish an executor's observations, and report changed conditions to the gateway."""

import asyncio
import contextlib
import json
import secrets
import uuid
from collections.abc import Sequence
from typing import Protocol

import structlog

from release_management.adapters.executors.base.look import Look
from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.publishing import publish
from release_management.adapters.nats.wire.error_mapping import AWAY
from release_management.domain.observation import ReportCondition
from release_management.domain.orders import Order
from release_management.kernel.record import timestamp
from release_management.services.observations.alarms import Alarms
from release_management.services.observations.looks import (
    ComponentLook,
    Key,
    key_of,
    rounds,
)
from release_management.services.ports import Clock
from release_management.services.ports.bus import BusError

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:relman:condition")
LOOK_SECONDS = 1.0
LOOK_PATIENCE = 2.0
"""Seconds for which an order's report waits for the observation after it."""

_log = structlog.get_logger(__name__)


class Looking(Protocol):
    """The part of an executor that observes."""

    async def look(self, order: Order | None = None) -> Sequence[Look]:
        """Observe every component, or only that of an order."""
        ...


class Watcher:
    """Has an executor observe everything once a second, and after every order the order's component.

    An observation is published and forgotten; a condition that changed is reported. A report that the bus does not
    accept is made anew from the next observation. `shown` are the newest observations.
    """

    def __init__(self, connection: NatsConnection, name: str, executor: Looking, clock: Clock) -> None:
        self._connection = connection
        self._name = name
        self._executor = executor
        self._clock = clock
        self._instance = secrets.token_hex(8)
        self._round = 0
        self._alarms = Alarms()
        self._taking = asyncio.Lock()
        self.shown: dict[Key, ComponentLook] = {}
        self._taken: dict[Key, int] = {}

    async def run(self) -> None:
        """Observe until cancelled."""
        while True:
            try:
                self._round = number = self._round + 1
                await self._take(number, await self._executor.look(), whole=True)
            except Exception:
                _log.exception("the looks of this round are lost", executor=self._name)
            await asyncio.sleep(LOOK_SECONDS)

    async def look_at(self, order: Order) -> None:
        """Observe the component of an order, so that no older observation is shown after its report."""
        try:
            async with asyncio.timeout(LOOK_PATIENCE):
                self._round = number = self._round + 1
                await self._take(number, await self._executor.look(order), whole=False)
        except TimeoutError:
            return
        except Exception:
            _log.exception("the look after an order is lost", executor=self._name, component=order.component)

    async def _take(self, number: int, looks: Sequence[Look], *, whole: bool) -> None:
        """Take a round of observations; skip components with a later one."""
        async with self._taking:
            keys = {key_of(look.seen) for look in looks}
            fresh = [look for look in looks if self._taken.get(key_of(look.seen), 0) < number]
            self._taken = {key: each for key, each in self._taken.items() if key in keys or not whole}
            self._taken |= {key_of(look.seen): number for look in fresh}
            seen = [(self._alarms.take(look.seen, settles=look.settles), look.settles) for look in fresh]
            self.shown |= {look.key: look for look, _ in seen}
            if whole:
                self._alarms.forget(keys)
                self.shown = {key: look for key, look in self.shown.items() if key in keys}
            await self._publish(number, list(self.shown.values()) if whole else [look for look, _ in seen], whole)
            await self._report([look for look, settles in seen if not settles and self._alarms.news(look)])

    async def _publish(self, number: int, looks: Sequence[ComponentLook], whole: bool) -> None:
        observedat = timestamp(self._clock.now())
        for part in rounds(self._name, self._instance, number, observedat, looks, whole=whole):
            payload = part.model_dump_json(exclude_none=True).encode()
            with contextlib.suppress(*AWAY):
                await self._connection.publish(f"{streams.LOOK_SUBJECTS}.{self._name}", payload)

    async def _report(self, looks: Sequence[ComponentLook]) -> None:
        """Report these; stop at the first that the bus does not accept, since the next round is due soon."""
        for look in looks:
            try:
                await self._report_one(look)
            except BusError as error:
                _log.warning("a condition waits for the bus", component="/".join(look.key), reason=str(error))
                return

    async def _report_one(self, look: ComponentLook) -> None:
        report = ReportCondition.model_validate({**look.model_dump(exclude={"since"}), "by": self._name})
        about = "/".join((*look.key, look.observedat))
        event = {
            "specversion": "1.0",
            "id": str(uuid.uuid5(NAMESPACE, f"{self._instance}/{about}")),
            "source": f"executor:{self._name}",
            "type": ReportCondition.NAME,
            "datacontenttype": "application/json",
            "data": report.model_dump(mode="json", exclude_none=True),
        }
        payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {streams.CONTENT_TYPE: streams.CLOUDEVENT}
        await publish(self._connection, f"{streams.REPORT_SUBJECTS}.{self._name}", payload, headers)
        self._alarms.was_reported(look)
