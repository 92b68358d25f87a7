"""The executor `local`: processes of a command line behind HAProxy, all on one machine.

An order only changes the intended state. Passes then make the processes and HAProxy match the state that is intended at
that time (see `converge`), so that an order can be overtaken, repeated or cut short at any point.
"""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_never

import structlog

from release_management.adapters.executors.base import processes
from release_management.adapters.executors.base.executor import (
    AGAIN_SECONDS,
    FencedExecutor,
    StepResult,
    Trouble,
    line,
    plain,
)
from release_management.adapters.executors.base.look import Look
from release_management.adapters.executors.local.asking import (
    ask,
    lapse,
    note_healthy,
)
from release_management.adapters.executors.local.claims import in_order
from release_management.adapters.executors.local.converge import Progress, converge
from release_management.adapters.executors.local.halt import halt_all
from release_management.adapters.executors.local.health import look
from release_management.adapters.executors.local.intent import intend
from release_management.adapters.executors.local.observing import Observer
from release_management.adapters.executors.local.settings import server_name
from release_management.adapters.executors.local.state import ComponentState, LocalFolder
from release_management.domain.orders import Order
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots
from release_management.services.ports import Clock

RECONCILE_SECONDS = 1.0
LOOKS_AT_ONCE = 16
_POLL = 0.05
_HEALTH_POLL = 0.1
_ROUTE_PATIENCE = 5.0
_log = structlog.get_logger(__name__)


class LocalExecutor(FencedExecutor[LocalFolder]):
    """Carries out orders for components on this machine, and keeps their components running.

    Several executors may share a folder, of which one should `run`.
    """

    def __init__(self, data: Path, clock: Clock) -> None:
        super().__init__(data, clock)
        self._reconciling = asyncio.Lock()
        self._troubles: dict[Path, Trouble] = {}
        self._restored = False
        self._passes: dict[Path, Progress] = {}
        self._observers: dict[Path, Observer] = {}
        self._observing = asyncio.Semaphore(LOOKS_AT_ONCE)

    async def reconcile(self) -> None:
        """Do one pass for every component: restart dead processes, adopt survivors, correct weights that drifted.

        The first time, serving components are restored before the others.
        """
        async with self._reconciling:
            await self._blocking(processes.reap)
            folders = await self._blocking(LocalFolder.all, self._data)
            if not self._restored:
                folders = await self._blocking(in_order, folders)
            for folder in folders:
                if self._stopping.is_set():
                    return
                try:
                    before = self._passes.get(folder.path)
                    progress = await self._converge(folder, before)
                    if before is not None and progress.repaired is None:
                        progress.repaired = before.repaired  # kept until the next look reports it
                    self._passes[folder.path] = progress
                    text = "; ".join(filter(None, [progress.balancer, *progress.troubles.values()]))
                    self._note(folder, text, progress.affects_traffic)
                except Exception as error:
                    self._note(folder, plain(error), affects_traffic=True)
            self._restored = True

    async def run(self) -> None:
        """Reconcile at once and then every second, until `stop`."""
        while not self._stopping.is_set():
            await self.reconcile()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), RECONCILE_SECONDS)

    async def look(self, order: Order | None = None) -> list[Look]:
        """Observe every component of this executor, or only the component of `order`."""
        folders = await self._blocking(LocalFolder.all, self._data) if order is None else [self._folder(order)]
        looks = await asyncio.gather(*(self._look(folder) for folder in folders))
        return [each for each in looks if each is not None]

    async def _look(self, folder: LocalFolder) -> Look | None:
        async with self._observing:
            observer = self._observers.setdefault(folder.path, Observer(folder))
            progress = self._passes.get(folder.path)
            repaired = progress.repaired if progress is not None else None
            if progress is not None:
                progress.repaired = None
            return await self._blocking(observer.look, self._clock, repaired)

    async def stop(self, keep: bool = False) -> None:
        """End all processes and HAProxies gracefully; the next executor's `reconcile` restores them.

        With `keep` they go on running. Failures are logged, and delay nothing else. Orders in flight are abandoned
        without a report. Afterwards this executor does nothing more.
        """
        await self.give_up()
        async with self._reconciling:
            if not keep:
                for left in await halt_all(self._data):
                    _log.error("not everything could be ended", left=left)
            await self._blocking(processes.reap)

    def _folder(self, order: Order) -> LocalFolder:
        return LocalFolder.of(self._data, order)

    def _intend(self, state: ComponentState, order: Order) -> str | None:
        return intend(state, order)

    async def _effect(self, folder: LocalFolder, order: Order) -> StepResult:
        match order.action:
            case ProvisionSlot() as action:
                return await self._settle(folder, order, action.slot, needs_balancer=True)
            case RetireSlot() as action:
                return await self._settle(folder, order, action.slot, needs_balancer=False)
            case RouteSlots() as action:
                return await self._route(folder, order, action)
            case AwaitSlotHealthy(again=True, slot=slot, replicas=replicas):
                return await self._ask(folder, order, slot, replicas) or ("succeeded", None, None)
            case AwaitSlotHealthy() as action:
                return await self._await_healthy(folder, order, action)
            case _:
                assert_never(order.action)

    async def _settle(self, folder: LocalFolder, order: Order, slot: str, needs_balancer: bool) -> StepResult:
        """Converge until no instance of the slot is left to be started or ended."""
        while True:
            progress = await self._converge(folder)
            trouble = progress.troubles.get(slot) or (progress.balancer if needs_balancer else None)
            if progress.fence > order.fence:
                return "stale", None, None
            if trouble is not None:
                return "errored", trouble, None
            if slot not in progress.pending:
                return "succeeded", None, None if needs_balancer else progress.observed
            await asyncio.sleep(_POLL)

    async def _route(self, folder: LocalFolder, order: Order, action: RouteSlots) -> StepResult:
        give_up = time.monotonic() + _ROUTE_PATIENCE
        while True:
            progress = await self._converge(folder)
            if progress.fence > order.fence:
                return "stale", None, None
            if progress.balancer is None or not any(action.weights.values()):
                shares = {slot: progress.observed.get(slot, 0) for slot in {*action.weights, *progress.observed}}
                if all(share == action.weights.get(slot, 0) for slot, share in shares.items()):
                    return "succeeded", None, shares
            if time.monotonic() > give_up:
                return "errored", _not_routed(action, progress), progress.observed or None
            await asyncio.sleep(_POLL)

    async def _ask(self, folder: LocalFolder, order: Order, slot: str, count: int) -> StepResult | None:
        give_up = time.monotonic() + AGAIN_SECONDS
        returning = order.leg == "rollback"
        while True:
            now = self._clock.now().timestamp()
            seen = await self._blocking(ask, folder, slot, count, now, returning=returning)
            if seen.fence > order.fence:
                return "stale", None, None
            if seen.trouble is None:
                return None
            if seen.lasts or time.monotonic() >= give_up:
                return "unwell", seen.trouble, None
            await asyncio.sleep(_HEALTH_POLL)

    async def _await_healthy(self, folder: LocalFolder, order: Order, action: AwaitSlotHealthy) -> StepResult:
        deadline = datetime.fromisoformat(order.deadline)
        deadline = deadline if deadline.tzinfo is not None else deadline.replace(tzinfo=UTC)
        seen_living: dict[int, str] = {}
        healthy_since: float | None = None
        looked_in_time = False
        while True:
            looked_in_time = looked_in_time or self._clock.now() < deadline
            began = time.monotonic()
            seen = await self._blocking(look, folder, action.slot, action.replicas)
            seen_living = {**seen.living, **seen_living}
            ended = next((index for index, token in seen_living.items() if seen.living.get(index) != token), None)
            if seen.fence > order.fence:
                return "stale", None, None
            if seen.crashed is not None:
                return "failed", seen.crashed, None
            if (lapsed := await self._blocking(lapse, folder, action.slot)) is not None:
                return "failed", lapsed, None
            if ended is not None:
                again = f"{server_name(action.slot, ended)} ended, and was started again"
                return "failed", seen.ended.get(ended, again), None
            healthy_since = None if seen.ill is not None else began if healthy_since is None else healthy_since
            if not looked_in_time:
                return "errored", f"there was no time left for {action.verb}", None
            if self._clock.now() >= deadline:
                return "failed", f"not healthy by {order.deadline}: {seen.ill or 'not for long enough'}", None
            if healthy_since is not None and time.monotonic() - healthy_since >= action.min_ready:
                await self._blocking(note_healthy, folder, action.slot, seen.living)
                return "succeeded", None, None
            await asyncio.sleep(_HEALTH_POLL)

    async def _converge(self, folder: LocalFolder, before: Progress | None = None) -> Progress:
        progress = await self._blocking(converge, folder, self._clock, before)
        for each in progress.cut_off:
            _log.warning("connections cut off", folder=str(folder.path), reason=each)
        return progress

    def troubles(self) -> list[Trouble]:
        """Return the components that the last pass could not make as intended."""
        return list(self._troubles.values())

    def _note(self, folder: LocalFolder, text: str, affects_traffic: bool) -> None:
        """Keep a trouble while it lasts. Log it when it begins, changes or ends, not every second."""
        before = self._troubles.get(folder.path)
        if text:
            self._troubles[folder.path] = Trouble("/".join(folder.path.parts[-4:]), line(text), affects_traffic)
            if before is None or before.says != line(text):
                _log.warning("component in trouble", folder=str(folder.path), reason=line(text))
        elif before is not None:
            del self._troubles[folder.path]
            _log.info("component as intended again", folder=str(folder.path))


def _not_routed(action: RouteSlots, progress: Progress) -> str:
    if progress.balancer is not None:
        return progress.balancer
    idle = [slot for slot, share in action.weights.items() if share and not progress.observed.get(slot)]
    if idle:
        return f"no instance of {idle[0]} runs, so that it gets no traffic"
    return f"HAProxy states the shares {progress.observed}, though {action.weights} were set"
