"""What the executor remembers of a component: its fence, its reports, the program that runs for it now, and what it
looks after between orders."""

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
    """What a slot should run."""

    version: str
    replicas: int


class CommandState(TargetState):
    """`program` leads the process group of the order with the highest fence, until that order has its report.

    The rest is what the orders asked for so far: the newest settings and variables (secrets are references), what
    should run in each slot, and the traffic. `settings` is None until something was provisioned.
    """

    program: Process | None = None
    settings: dict[str, Any] | None = None
    variables: dict[str, str] = {}
    slots: dict[str, Intended] = {}
    weights: dict[str, int] = {}

    def intend(self, order: Order) -> None:
        """Remember what an order asks for."""
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


class Folder(TargetFolder[CommandState]):
    """A component's folder, which holds the last order and what the programs wrote, too."""

    FILE = "command.json"

    def _parse(self, raw: bytes) -> CommandState:
        return CommandState.model_validate_json(raw)

    def _new(self) -> CommandState:
        return CommandState()
