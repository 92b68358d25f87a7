"""The base of executors: admit an order, carry it out, and store the report before it is returned.

An order is admitted in one critical section: its fence is compared and recorded, together with its intent. The report
is stored beside the target before it is returned. If slots must be well before an order is begun, its fence is recorded
first, so that nothing older comes in between, then the slots are checked, and then it is admitted.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

from release_management.adapters.executors.base.folder import TargetFolder, TargetState
from release_management.domain.orders import (
    Order,
    Report,
    Result,
)
from release_management.kernel.record import timestamp
from release_management.services.ports import Clock

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=TargetFolder[Any])
THREADS = 64
AGAIN_SECONDS = 15.0
"""Seconds within which an instance that was found healthy before must answer well when it is checked again."""
StepResult = tuple[Result, str | None, dict[str, int] | None]
"""A report's result, reason and observed shares."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A component that an executor cannot keep as intended, and the reason."""

    part: str
    says: str
    affects_traffic: bool


class FencedExecutor(ABC, Generic[F]):
    """Carries out orders. `data` is the folder that holds all durable state, under `targets/`; several may share it."""

    def __init__(self, data: Path, clock: Clock) -> None:
        self._data = data.absolute()
        self._clock = clock
        self._stopping = asyncio.Event()
        self._orders: set[asyncio.Task[Report]] = set()
        self._work: set[asyncio.Future[Any]] = set()
        # An own pool: waiting for a lock may occupy a thread for long, and the loop's pool is small.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="executor")

    async def carry_out(self, order: Order) -> Report:
        """Carry out an order and return its report, which says why if it was not done.

        An order that was answered gets the same report again, whatever has happened since; any other with a fence below
        the highest seen is `stale`. Raises only `asyncio.CancelledError`, also when the executor is stopped meanwhile:
        then there is no report, and the order is to be sent again.
        """
        if self._stopping.is_set():
            raise asyncio.CancelledError
        task = asyncio.create_task(self._answer(order))
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)
        return await task

    async def give_up(self) -> None:
        """Abandon the orders in flight, without a report. Afterwards this executor takes none."""
        self._stopping.set()
        orders = list(self._orders)
        for task in orders:
            task.cancel()
        await asyncio.gather(*orders, return_exceptions=True)
        # A thread outlives the cancelled task that waits for it, and could restart what is about to be ended.
        await asyncio.gather(*self._work, return_exceptions=True)

    def troubles(self) -> list[Trouble]:
        """Return the components that the executor cannot keep as intended now."""
        return []

    @abstractmethod
    def _folder(self, order: Order) -> F:
        """Return the component's folder, creating it if it is missing."""

    @abstractmethod
    def _intend(self, state: Any, order: Order) -> str | None:
        """Change the state as ordered, under the lock; or leave it unchanged, and return the reason."""

    @abstractmethod
    async def _effect(self, folder: F, order: Order) -> StepResult:
        """Carry out the intent, and return the verdict."""

    @abstractmethod
    async def _ask(self, folder: F, order: Order, slot: str, count: int) -> StepResult | None:
        """Check that `count` instances of a slot are well, and have been since they were found healthy.

        Returns None if they are; else `unwell` with the reason, or the verdict on a check that was not possible.
        """

    def _forget(self, state: Any) -> None:
        """Drop from the state what is not needed once the order has its report."""

    async def _complete(self, folder: F, order: Order) -> Report:
        """Carry out an admitted order, and return its report."""
        return await self._blocking(self._finish, folder, order, await self._effect(folder, order))

    async def _blocking(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        work = asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *args, **kwargs))
        self._work.add(work)
        work.add_done_callback(self._work.discard)
        return await asyncio.shield(work)

    async def _answer(self, order: Order) -> Report:
        try:
            folder = await self._blocking(self._folder, order)
            if (refused := await self._look_first(folder, order)) is not None:
                return refused
            admitted = await self._blocking(self._admit, folder, order)
            if isinstance(admitted, Report):
                return admitted
            if admitted is not None:
                return await self._blocking(self._finish, folder, order, ("errored", admitted, None))
            return await self._complete(folder, order)
        except Exception as error:
            return self._report(order, ("errored", plain(error), None))

    async def _look_first(self, folder: F, order: Order) -> Report | None:
        """Check the slots that must be well before the order is begun. Return its report if it has one or cannot begin.

        An order that was begun before, by an executor that died, is finished without this check.
        """
        action = order.action
        healthy = action.must_be_well
        if not healthy:
            return None
        claimed = await self._blocking(self._claim, folder, order)
        if isinstance(claimed, Report):
            return claimed
        for slot, count in healthy.items() if claimed else ():
            verdict = await self._ask(folder, order, slot, count)
            if verdict is not None:
                return await self._blocking(self._finish, folder, order, verdict)
        return None

    def _claim(self, folder: F, order: Order) -> Report | bool:
        """Record the fence, so that nothing older is admitted. Return the report, or True if it is yet to begin."""
        with folder.locked():
            state = folder.load()
            answered = self._answered(state, order)
            if answered is not None:
                return answered
            state.fence = order.fence
            folder.save(state)
            return bool(state.begun < order.fence)

    def _admit(self, folder: F, order: Order) -> Report | str | None:
        """Record the fence and the intent. Return the report if there is one, or why the order is refused."""
        with folder.locked():
            state = folder.load()
            answered = self._answered(state, order)
            if answered is not None:
                return answered
            state.fence = order.fence
            refusal = self._intend(state, order)
            if refusal is None:
                state.begun = order.fence
            folder.save(state)
            return refusal

    def _finish(self, folder: F, order: Order, verdict: StepResult) -> Report:
        with folder.locked():
            state = folder.load()
            answered = self._answered(state, order)
            if answered is not None:
                return answered
            report = self._report(order, verdict)
            state.keep(report)
            self._forget(state)
            folder.save(state)
            return report

    def _answered(self, state: TargetState, order: Order) -> Report | None:
        """Return the report that the order has got, or a `stale` one if it was overtaken."""
        report = state.report_of(order)
        if report is None and order.fence < state.fence:
            reason = f"fence {order.fence} is below {state.fence}, which this component has seen"
            return self._report(order, ("stale", reason, None))
        return report

    def _report(self, order: Order, verdict: StepResult) -> Report:
        result, reason, observed = verdict
        return Report(
            deployment=order.deployment,
            leg=order.leg,
            step=order.step,
            attempt=order.attempt,
            fence=order.fence,
            result=result,
            reason=line(reason) if reason is not None else None,
            observed=observed,
            observedat=timestamp(self._clock.now()),
        )


def plain(error: Exception) -> str:
    """Return an error's message, or its type's name if it has none."""
    return str(error) or type(error).__name__


def line(text: str) -> str:
    """Return a text as one printable line of at most 500 characters."""
    printable = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(printable.split())[:500] or "no reason is known"
