"""The executor `local`: processes of a command line behind HAProxy, all on one machine.

An order is admitted in one critical section: its fence is compared and recorded together with what it intends. What
follows only brings the processes and HAProxy nearer to what is intended then (see `converge`), so that an order can be
overtaken, repeated or cut short at any point. The report is stored with the state before it is given.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, assert_never

import structlog

from release_management.adapters.local import processes
from release_management.adapters.local.converge import Progress, converge
from release_management.adapters.local.halt import halt
from release_management.adapters.local.health import look
from release_management.adapters.local.intent import intend
from release_management.adapters.local.settings import server_name
from release_management.adapters.local.state import KEPT_REPORTS, Answer, ComponentState, Folder
from release_management.domain.orders import (
    AwaitSlotHealthy,
    Order,
    ProvisionSlot,
    Report,
    Result,
    RetireSlot,
    RouteSlots,
)
from release_management.domain.record import timestamp
from release_management.services.ports import Clock

RECONCILE_SECONDS = 1.0
_POLL = 0.05
_HEALTH_POLL = 0.1
_ROUTE_PATIENCE = 5.0
_log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Verdict = tuple[Result, str | None, dict[str, int] | None]


class LocalExecutor:
    """Carries out orders for components on this machine, and keeps what they asked for running.

    `data` is the folder that holds all durable state, under `targets/`. Several executors may share it, of which one
    should `run`.
    """

    def __init__(self, data: Path, clock: Clock) -> None:
        self._data = data.absolute()
        self._clock = clock
        self._stopping = asyncio.Event()
        self._reconciling = asyncio.Lock()
        self._orders: set[asyncio.Task[Report]] = set()
        self._work: set[asyncio.Future[Any]] = set()
        self._last_trouble: dict[Path, str] = {}

    async def carry_out(self, order: Order) -> Report:
        """Do what the order says, or say why not.

        An order that was answered gets the same report again, whatever has happened since; any other with a fence
        below the highest seen is `stale`. Raises only `asyncio.CancelledError`, also when the executor is stopped
        meanwhile: then there is no report, and the order is to be asked again.
        """
        if self._stopping.is_set():
            raise asyncio.CancelledError
        task = asyncio.create_task(self._answer(order))
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)
        return await task

    async def reconcile(self) -> None:
        """Make everything as intended, once: restart what died, adopt what survived, set weights that drifted."""
        async with self._reconciling:
            await self._blocking(processes.reap)
            for folder in await self._blocking(Folder.all, self._data):
                if self._stopping.is_set():
                    return
                try:
                    progress = await self._blocking(converge, folder, self._clock)
                    trouble = "; ".join(filter(None, [progress.balancer, *progress.troubles.values()]))
                except Exception as error:
                    trouble = _plain(error)
                self._note(folder, trouble)

    async def run(self) -> None:
        """Reconcile at once and then every second, until `stop`."""
        while not self._stopping.is_set():
            await self.reconcile()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), RECONCILE_SECONDS)

    async def stop(self, keep: bool = False) -> None:
        """End all processes and HAProxies, gracefully; the next executor's `reconcile` restores them.

        With `keep` they go on running. Orders in flight are given up without a report. Afterwards this executor does
        nothing more.
        """
        self._stopping.set()
        orders = list(self._orders)
        for task in orders:
            task.cancel()
        await asyncio.gather(*orders, return_exceptions=True)
        # A thread outlives the cancelled task that waits for it, and would start again what is about to end.
        await asyncio.gather(*self._work, return_exceptions=True)
        async with self._reconciling:
            if not keep:
                folders = await self._blocking(Folder.all, self._data)
                await asyncio.gather(*(halt(folder) for folder in folders))
            await self._blocking(processes.reap)

    async def _blocking(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
        self._work.add(work)
        work.add_done_callback(self._work.discard)
        return await asyncio.shield(work)

    async def _answer(self, order: Order) -> Report:
        try:
            folder = await self._blocking(Folder.of, self._data, order)
            admitted = await self._blocking(self._admit, folder, order)
            if isinstance(admitted, Report):
                return admitted
            verdict = ("errored", admitted, None) if admitted else await self._effect(folder, order)
            return await self._blocking(self._finish, folder, order, verdict)
        except Exception as error:
            return self._report(order, ("errored", _plain(error), None))

    def _admit(self, folder: Folder, order: Order) -> Report | str | None:
        """Record the fence and the intent. Gives the report where there is one, or why the order cannot be done."""
        with folder.locked():
            state = folder.load()
            answered = self._answered(state, order)
            if answered is not None:
                return answered
            state.fence = order.fence
            refusal = intend(state, order)
            folder.save(state)
            return refusal

    def _finish(self, folder: Folder, order: Order, verdict: Verdict) -> Report:
        with folder.locked():
            state = folder.load()
            answered = self._answered(state, order)
            if answered is not None:
                return answered
            report = self._report(order, verdict)
            answer = Answer(
                deployment=order.deployment,
                leg=order.leg,
                step=order.step,
                attempt=order.attempt,
                fence=order.fence,
                report=report.model_dump_json(),
            )
            state.answers = [*state.answers, answer][-KEPT_REPORTS:]
            folder.save(state)
            return report

    def _answered(self, state: ComponentState, order: Order) -> Report | None:
        for answer in state.answers:
            if answer.answers(order):
                return Report.model_validate_json(answer.report)
        if order.fence < state.fence:
            reason = f"fence {order.fence} is below {state.fence}, which this component has seen"
            return self._report(order, ("stale", reason, None))
        return None

    def _report(self, order: Order, verdict: Verdict) -> Report:
        result, reason, observed = verdict
        return Report(
            deployment=order.deployment,
            leg=order.leg,
            step=order.step,
            attempt=order.attempt,
            fence=order.fence,
            result=result,
            reason=_line(reason) if reason is not None else None,
            observed=observed,
            observedat=timestamp(self._clock.now()),
        )

    async def _effect(self, folder: Folder, order: Order) -> Verdict:
        match order.action:
            case ProvisionSlot() as action:
                return await self._settle(folder, order, action.slot, needs_balancer=True)
            case RetireSlot() as action:
                return await self._settle(folder, order, action.slot, needs_balancer=False)
            case RouteSlots() as action:
                return await self._route(folder, order, action)
            case AwaitSlotHealthy() as action:
                return await self._await_healthy(folder, order, action)
            case _:
                assert_never(order.action)

    async def _settle(self, folder: Folder, order: Order, slot: str, needs_balancer: bool) -> Verdict:
        """Converge until nothing is left to be started or ended in the slot."""
        while True:
            progress = await self._blocking(converge, folder, self._clock)
            trouble = progress.troubles.get(slot) or (progress.balancer if needs_balancer else None)
            if progress.fence > order.fence:
                return "stale", None, None
            if trouble is not None:
                return "errored", trouble, None
            if slot not in progress.pending:
                return "succeeded", None, None if needs_balancer else progress.observed
            await asyncio.sleep(_POLL)

    async def _route(self, folder: Folder, order: Order, action: RouteSlots) -> Verdict:
        give_up = time.monotonic() + _ROUTE_PATIENCE
        while True:
            progress = await self._blocking(converge, folder, self._clock)
            if progress.fence > order.fence:
                return "stale", None, None
            if progress.balancer is None or not any(action.weights.values()):
                shares = {slot: progress.observed.get(slot, 0) for slot in {*action.weights, *progress.observed}}
                if all(share == action.weights.get(slot, 0) for slot, share in shares.items()):
                    return "succeeded", None, shares
            if time.monotonic() > give_up:
                return "errored", _not_routed(action, progress), progress.observed or None
            await asyncio.sleep(_POLL)

    async def _await_healthy(self, folder: Folder, order: Order, action: AwaitSlotHealthy) -> Verdict:
        deadline = datetime.fromisoformat(order.deadline)
        deadline = deadline if deadline.tzinfo is not None else deadline.replace(tzinfo=UTC)
        seen_living: dict[int, str] = {}
        healthy_since: float | None = None
        while True:
            began = time.monotonic()
            seen = await self._blocking(look, folder, action.slot, action.replicas)
            seen_living = {**seen.living, **seen_living}
            gone = next((index for index, token in seen_living.items() if seen.living.get(index) != token), None)
            if seen.fence > order.fence:
                return "stale", None, None
            if seen.crashed is not None:
                return "failed", seen.crashed, None
            if gone is not None:
                again = f"{server_name(action.slot, gone)} ended, and was started again"
                return "failed", seen.ended.get(gone, again), None
            healthy_since = None if seen.ill is not None else began if healthy_since is None else healthy_since
            if self._clock.now() >= deadline:
                return "failed", f"not healthy by {order.deadline}: {seen.ill or 'not for long enough'}", None
            if healthy_since is not None and time.monotonic() - healthy_since >= action.min_ready:
                return "succeeded", None, None
            await asyncio.sleep(_HEALTH_POLL)

    def _note(self, folder: Folder, trouble: str) -> None:
        """Log a trouble when it begins, changes or ends, not every second."""
        if trouble != self._last_trouble.get(folder.path, ""):
            self._last_trouble[folder.path] = trouble
            if trouble:
                _log.warning("component in trouble", folder=str(folder.path), reason=_line(trouble))
            else:
                _log.info("component as intended again", folder=str(folder.path))


def _not_routed(action: RouteSlots, progress: Progress) -> str:
    if progress.balancer is not None:
        return progress.balancer
    idle = [slot for slot, share in action.weights.items() if share and not progress.observed.get(slot)]
    if idle:
        return f"no instance of {idle[0]} runs, so that it gets no traffic"
    return f"HAProxy states the shares {progress.observed}, though {action.weights} were set"


def _plain(error: Exception) -> str:
    return str(error) or type(error).__name__


def _line(text: str) -> str:
    printable = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(printable.split())[:500] or "no reason is known"
