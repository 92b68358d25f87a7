"""Step orders to the executors, and the reports that they send."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Awaitable, Callable

import structlog
from nats.aio.msg import Msg
from nats.js import api
from pydantic import ValidationError

from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.dead_letters.orders import OrderLetters
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.acknowledging import (
    BURIED,
    Ticker,
    settle,
)
from release_management.adapters.nats.queues.publishing import publish
from release_management.adapters.nats.queues.pulling import Puller
from release_management.domain.deployment.commands import ReportStep
from release_management.domain.orders import Order, Report
from release_management.kernel.types import explain
from release_management.services import telemetry
from release_management.services.ports import Executor
from release_management.services.ports.bus import BusError
from release_management.services.strict_json import read_json

REPORT_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:relman:report")
AT_ONCE = 64
ACK_WAIT_SECONDS = 5.0
TICK_SECONDS = 1.5
MAX_DELIVERIES = 20
FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 1.0
UNKNOWN_SECONDS = 15.0  # with MAX_DELIVERIES, an upgrade of the executors has more than three minutes

_log = structlog.get_logger(__name__)


class UnknownOrder(Exception):
    """An order of a shape that this version does not know; a newer one may."""


class NatsOrderChannel:
    """Publishes orders on `relman.orders.<executor>.<environment>`."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection

    async def send(self, order: Order, again: int) -> None:
        """Store the order; the same order with the same `again` is stored once. Raises `BusError`."""
        await publish(
            self._connection,
            f"{streams.ORDER_SUBJECTS}.{order.executor}.{order.environment}",
            order.model_dump_json().encode(),
            {api.Header.MSG_ID.value: f"{_step_name(order)}:{again}"},
        )


async def _nothing(_: Order) -> None:
    return None


class ExecutorService:
    """Takes the orders of one executor, has them carried out, and reports.

    Orders run concurrently, even those of one component: an order of an abort must not wait until the health that it
    makes superfluous has had its time. The executor's fences make the older order stale. A report is stored on the bus
    before its order is settled, so a redelivered order is carried out again, and its report has the same id. A copy of
    an order that is in work here is settled at once: it would do nothing, and take one of the `AT_ONCE` places. The
    order in work is settled only with its report, and so is redelivered if this process dies. An order of an unknown
    shape is left to a newer executor for a while.
    """

    def __init__(
        self,
        connection: NatsConnection,
        name: str,
        executor: Executor,
        carried_out: Callable[[Order], Awaitable[None]] = _nothing,
    ) -> None:
        """`carried_out` is called for every order before its report."""
        self._connection = connection
        self._name = name
        self._executor = executor
        self._carried_out = carried_out
        self._letters = OrderLetters(connection, name)
        self._ticker = Ticker(TICK_SECONDS)
        self._held: set[int] = set()
        self._under_way: set[str] = set()
        self._untaken: dict[str, str] = {}
        """The reason why the bus does not accept a report, by the report's id."""
        self._puller = Puller(connection, streams.ORDERS, self._consumer)
        self.ready = self._puller.ready

    @property
    def trouble(self) -> str | None:
        """The reason why no orders can be taken at the moment, or None."""
        return self._puller.trouble

    @property
    def reports_trouble(self) -> str | None:
        """The reason why reports cannot be stored at the moment, or None; their orders are carried out."""
        reasons = list(self._untaken.values())
        return f"reports that wait for the bus: {len(reasons):,}; {reasons[-1]}" if reasons else None

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ticker.run())
            tasks.create_task(self._pull(tasks))

    async def _pull(self, tasks: asyncio.TaskGroup) -> None:
        async with contextlib.aclosing(self._puller.messages()) as messages:
            async for message in messages:
                self._accept(tasks, message)

    def _consumer(self) -> api.ConsumerConfig:
        return api.ConsumerConfig(
            durable_name=self._name,
            name=self._name,
            filter_subject=f"{streams.ORDER_SUBJECTS}.{self._name}.*",
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_SECONDS,
            max_deliver=MAX_DELIVERIES,
            max_ack_pending=AT_ONCE,
        )

    def _accept(self, tasks: asyncio.TaskGroup, message: Msg) -> None:
        sequence = message.metadata.sequence.stream
        if sequence in self._held:
            return
        self._held.add(sequence)
        self._ticker.start(message)
        try:
            order = self._read(message)
        except UnknownOrder as unknown:
            tasks.create_task(self._leave(message, sequence, str(unknown)))
        except ValueError as error:
            tasks.create_task(self._bury(message, sequence, str(error)))
        else:
            name = _step_name(order)
            if name in self._under_way:
                tasks.create_task(self._settle_copy(message, sequence))
            else:
                self._under_way.add(name)
                tasks.create_task(self._carry_out(message, sequence, order, name))

    def _read(self, message: Msg) -> Order:
        try:
            document = read_json(message.data)
            if not isinstance(document, dict):
                raise ValueError("it is no JSON object")
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the message is no order: {error}") from None
        try:
            order = Order.model_validate_json(message.data)
        except ValidationError as error:
            raise UnknownOrder(f"this executor does not understand the order: {explain(error)}") from None
        addressed = f"{streams.ORDER_SUBJECTS}.{order.executor}.{order.environment}"
        if message.subject != addressed:
            raise ValueError(f"the order belongs on {addressed}, but came on {message.subject}")
        return order

    async def _settle_copy(self, message: Msg, sequence: int) -> None:
        try:
            await settle(self._connection, message)
        finally:
            self._release(message, sequence)

    async def _carry_out(self, message: Msg, sequence: int, order: Order, name: str) -> None:
        verb = order.action.verb
        try:
            with telemetry.ORDERS_RUNNING.track_inprogress(), telemetry.ORDER_SECONDS.labels(verb).time():
                report = await self._executor.carry_out(order)
                await self._carried_out(order)
                await self._report(report)
            telemetry.ORDERS.labels(verb, report.result).inc()
            await settle(self._connection, message)
        except Exception:
            _log.exception("order not carried out; it will come again", deployment=order.deployment)
        finally:
            self._under_way.discard(name)
            self._release(message, sequence)

    async def _report(self, report: Report) -> None:
        """Store the report, however long the bus is away or full."""
        name = f"{report.deployment}/{report.leg}/{report.step}/{report.attempt}/{report.fence}/{report.result}"
        id = str(uuid.uuid5(REPORT_NAMESPACE, name))
        event = {
            "specversion": "1.0",
            "id": id,
            "source": f"executor:{self._name}",
            "type": ReportStep.NAME,
            "datacontenttype": "application/json",
            "data": report.model_dump(mode="json", exclude_none=True),
        }
        payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        # No message id: a client that used it before on this stream could make the server drop the report.
        headers = {streams.CONTENT_TYPE: streams.CLOUDEVENT}
        retry = FIRST_RETRY_SECONDS
        try:
            while True:
                try:
                    await publish(self._connection, f"{streams.REPORT_SUBJECTS}.{self._name}", payload, headers)
                    return
                except BusError as error:
                    if id not in self._untaken:
                        _log.warning("report waits for the bus", deployment=report.deployment, reason=str(error))
                    self._untaken[id] = str(error)
                    await asyncio.sleep(retry)
                    retry = min(2 * retry, LAST_RETRY_SECONDS)
        finally:
            self._untaken.pop(id, None)

    async def _leave(self, message: Msg, sequence: int, reason: str) -> None:
        """Leave an order to a newer executor; at its last delivery, make it a dead letter."""
        deliveries = message.metadata.num_delivered
        if deliveries >= MAX_DELIVERIES:
            await self._bury(message, sequence, f"{reason} (delivered {deliveries} times; no newer executor took it)")
            return
        telemetry.ORDERS_UNKNOWN.inc()
        _log.warning("order not understood; left to a newer executor", subject=message.subject, reason=reason)
        delay = min(deliveries, UNKNOWN_SECONDS) * 1_000_000_000
        await settle(self._connection, message, b'-NAK {"delay": %d}' % int(delay))
        self._release(message, sequence)

    async def _bury(self, message: Msg, sequence: int, reason: str) -> None:
        try:
            await self._letters.bury(message, reason)
            await settle(self._connection, message, BURIED)
        except Exception:
            _log.exception("dead letter not kept; the order will come again", subject=message.subject)
        finally:
            self._release(message, sequence)

    def _release(self, message: Msg, sequence: int) -> None:
        self._ticker.stop(message)
        self._held.discard(sequence)


def _step_name(order: Order) -> str:
    """Return the order's unique name; the fence alone would do, the rest is for the reader of a trace."""
    place = f"{order.environment}/{order.application}/{order.target}/{order.component}"
    return f"{order.deployment}/{order.leg}/{order.step}/{place}:{order.fence}:{order.attempt}"
