"""The executor's durable state of a component: fence, reports, the running program, and the intent for observations."""

from typing import Any, assert_never

from release_management.adapters.executors.base.folder import (
    Kept,
    TargetFolder,
    TargetState,
)
from release_management.adapters.executors.base.processes import Process
from release_management.domain.orders import Order
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots


class Intended(Kept):
    """The version and the instances that a slot should run."""

    version: str
    replicas: int


class CommandState(TargetState):
    """`program` leads the process group of the order with the highest fence, until that order has its report.

    The rest is the intent of the orders so far: the newest settings and variables (secrets are references), the version
    per slot, and the traffic weights. `settings` is None until something was provisioned.
    """

    program: Process | None = None
    settings: dict[str, Any] | None = None
    variables: dict[str, str] = {}
    slots: dict[str, Intended] = {}
    weights: dict[str, int] = {}

    def intend(self, order: Order) -> None:
        """Record an order's intent."""
        match order.action:
            case ProvisionSlot(slot=slot, version=version, replicas=replicas):
                self.settings, self.variables = dict(order.settings), dict(order.variables)
                self.slots[slot] = Intended(version=version, replicas=replicas)
            case RouteSlots(weights=weights):
                self.weights = dict(weights)
            case RetireSlot(slot=slot):
                self.slots.pop(slot, None)
            case AwaitSlotHealthy():
                pass
            case _:
                assert_never(order.action)


class CommandFolder(TargetFolder[CommandState]):
    """A component's folder, which also holds the last order and the programs' logs."""

    FILE = "command.json"

    def _parse(self, raw: bytes) -> CommandState:
        return CommandState.model_validate_json(raw)

    def _new(self) -> CommandState:
        return CommandState()
