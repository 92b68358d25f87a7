"""A component at a place in a simulated world, as its executor keeps it."""

from dataclasses import dataclass, field
from typing import Literal

from release_management.domain.deployment.commands import ReportStep
from release_management.domain.orders import (
    Order,
    Result,
)
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots

Fate = Literal["done", "failed", "errored before", "errored midway", "errored after"]
FATES: tuple[Fate, ...] = ("done", "failed", "errored before", "errored midway", "errored after")


@dataclass
class SimulatedExecutor:
    """A component at a place. `states`: it says what has traffic once that was set; `ill`: the slots not well now."""

    running: dict[str, tuple[str, int]] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    fence: int = 0
    answer: ReportStep | None = None
    states: bool = True
    ill: set[str] = field(default_factory=set)

    def check(self) -> None:
        """Traffic goes only where something runs, and all of it goes somewhere or none does."""
        assert sum(self.weights.values()) in (0, 100), f"weights {self.weights}"
        for slot, share in self.weights.items():
            assert share == 0 or self.replicas(slot) > 0, f"{share} % goes to {slot}, where nothing runs: {self}"

    def replicas(self, slot: str) -> int:
        return self.running[slot][1] if slot in self.running else 0

    def well(self, slot: str, count: int) -> bool:
        return slot not in self.ill and self.replicas(slot) >= count

    def version(self, slot: str) -> str | None:
        return self.running[slot][0] if slot in self.running else None

    def execute(self, order: Order, fate: Fate, at: str) -> ReportStep:
        """Compare the fence, then do the order as its fate has it."""
        if order.fence < self.fence:
            before = repr(self)
            report = _report(order, "stale", at)
            assert repr(self) == before
            return report
        if order.fence == self.fence and self.answer is not None:
            return self.answer
        self.fence = order.fence
        self.answer = None
        if fate == "errored before":
            return _report(order, "errored", at)
        if any(not self.well(slot, count) for slot, count in order.action.must_be_well.items()):
            self.answer = None if fate.startswith("errored") else _report(order, "unwell", at)
            return self.answer or _report(order, "errored", at)
        healthy = self._do(order, midway=fate == "errored midway")
        self.check()
        if fate in ("errored midway", "errored after"):
            return _report(order, "errored", at)
        report = _report(order, "succeeded" if fate == "done" and healthy else "failed", at)
        seen = dict(self.weights) if isinstance(order.action, RouteSlots) and self.states else None
        self.answer = report.model_copy(update={"observed": seen})
        return self.answer

    def _do(self, order: Order, midway: bool) -> bool:
        match order.action:
            case ProvisionSlot(slot=slot, version=version, replicas=replicas):
                there = self.replicas(slot) if self.version(slot) == version else 0
                if there == 0:
                    self.ill.discard(slot)
                    assert self.weights.get(slot, 0) == 0, f"{slot} is replaced while it has traffic: {self}"
                count = (there + replicas + 1) // 2 if midway else replicas
                self.running.pop(slot, None)
                if count:
                    self.running[slot] = (version, count)
            case AwaitSlotHealthy(slot=slot, replicas=replicas):
                return self.well(slot, replicas)
            case RouteSlots(weights=weights):
                if not midway:
                    self.weights = dict(weights)
            case RetireSlot(slot=slot):
                assert self.weights.get(slot, 0) == 0, f"{slot} is stopped while it has traffic: {self}"
                if not midway:
                    self.running.pop(slot, None)
        return True


def _report(order: Order, result: Result, at: str) -> ReportStep:
    return ReportStep(
        deployment=order.deployment,
        leg=order.leg,
        step=order.step,
        attempt=order.attempt,
        fence=order.fence,
        result=result,
        observedat=at,
    )
