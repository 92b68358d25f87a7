"""The environment variables that a program gets."""

from collections.abc import Callable, Mapping

from release_management.adapters.executors.base.variables import resolve
from release_management.adapters.executors.command.settings import CommandSettings
from release_management.adapters.executors.command.state import CommandFolder
from release_management.adapters.system.process_environment import inherited
from release_management.domain.orders import Order
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.route import RouteSlots

ORDER_VARIABLES: Mapping[str, Callable[[Order], object]] = {
    "verb": lambda order: order.action.verb,
    "deployment": lambda order: order.deployment,
    "environment": lambda order: order.environment,
    "application": lambda order: order.application,
    "target": lambda order: order.target,
    "component": lambda order: order.component,
    "slot": lambda order: getattr(order.action, "slot", None),
    "version": lambda order: getattr(order.action, "version", None),
    "artifact": lambda order: getattr(order.action, "artifact", None),
    "replicas": lambda order: getattr(order.action, "replicas", None),
    "again": lambda order: "1" if getattr(order.action, "again", False) else None,
    "weights": lambda order: _weights(order),
    "leg": lambda order: order.leg,
    "step": lambda order: order.step,
    "attempt": lambda order: order.attempt,
    "fence": lambda order: order.fence,
    "deadline": lambda order: order.deadline,
}
"""The order, for programs that do not read JSON: `RELMAN_VERB` and so on. What the verb does not have is empty."""


def environment(order: Order, settings: CommandSettings, folder: CommandFolder) -> dict[str, str]:
    """Return the harmless part of our environment, the component's and the environment's variables, and `RELMAN_…`.

    The order's fields are the `RELMAN_…` variables. Raises `SecretMissing`.
    """
    config = order.action.config if isinstance(order.action, ProvisionSlot) else {}
    fields = {f"RELMAN_{name.upper()}": field(order) for name, field in ORDER_VARIABLES.items()}
    variables = {name: "" if value is None else str(value) for name, value in fields.items()}
    return {**inherited(), **settings.env, **config, **resolve(order.variables, folder), **variables}


def _weights(order: Order) -> str | None:
    if not isinstance(order.action, RouteSlots):
        return None
    return " ".join(f"{slot}={share}" for slot, share in sorted(order.action.weights.items()))
