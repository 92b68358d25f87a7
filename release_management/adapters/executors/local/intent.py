"""Change a component's intended state by an order."""

from typing import assert_never

from release_management.adapters.executors.base.variables import check_environment
from release_management.adapters.executors.local.settings import ComponentSettings, check_settings
from release_management.adapters.executors.local.state import ComponentState, SlotState
from release_management.domain.orders import Order
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots


def intend(state: ComponentState, order: Order) -> str | None:
    """Change the intent as ordered; or leave it unchanged, and return the reason."""
    match order.action:
        case ProvisionSlot() as action:
            return _provision(state, order, action)
        case RouteSlots() as action:
            return _route(state, order, action)
        case RetireSlot() as action:
            if action.slot in state.slots:
                state.slots[action.slot].replicas = 0
            state.weights.pop(action.slot, None)
            return None
        case AwaitSlotHealthy():
            return None if state.settings is not None else "nothing has been provisioned here"
        case _:
            assert_never(order.action)


def _provision(state: ComponentState, order: Order, action: ProvisionSlot) -> str | None:
    settings = _settings(order)
    if isinstance(settings, str):
        return settings
    if action.slot not in settings.slots:
        return f"there is no slot {action.slot}; the settings name {', '.join(settings.slots)}"
    if action.replicas > settings.max_replicas:
        return f"{action.replicas} replicas are asked for; the settings allow {settings.max_replicas} (max_replicas)"
    if state.settings is None or not any(state.weights.values()):
        state.settings = settings
    state.setback = None
    present = state.slots.get(action.slot)
    slot_state = SlotState(
        version=action.version,
        artifact=action.artifact,
        artifact_digest=action.artifact_digest,
        config=action.config,
        variables=order.variables,
        settings=settings,
        replicas=action.replicas,
        instances=present.instances if present is not None else [],
        asked=f"{order.deployment}/{order.leg}",
    )
    for instance in slot_state.instances:
        instance.exits, instance.not_before = 0, 0.0
        instance.last_exit, instance.watched, instance.trouble = None, False, None
        if present is None or present.asked != slot_state.asked:
            instance.lapses = None
    state.slots[action.slot] = slot_state
    for slot, each in state.slots.items():
        if slot not in settings.slots:
            each.replicas = 0
    return None


def _route(state: ComponentState, order: Order, action: RouteSlots) -> str | None:
    for slot, share in action.weights.items():
        if share and (slot not in state.slots or not state.slots[slot].replicas):
            return f"nothing is provisioned in {slot}, so that it cannot get {share} % of the traffic"
    if any(action.weights.values()):
        settings = _settings(order)
        if isinstance(settings, str):
            return settings
        state.settings = settings
    state.weights = {slot: share for slot, share in action.weights.items() if share}
    state.setback = None
    return None


def _settings(order: Order) -> ComponentSettings | str:
    """Return the order's settings; or a sentence on what is wrong with them, or with the variables."""
    try:
        config = order.action.config if isinstance(order.action, ProvisionSlot) else {}
        check_environment({**config, **order.variables})
        return check_settings(order.settings)
    except ValueError as error:
        return f"the settings of {order.component} cannot be used: {error}"
