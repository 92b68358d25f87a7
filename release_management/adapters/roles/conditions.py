"""An executor's health and metrics say how the components are that it looks after."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from functools import partial

from release_management.adapters.nats.watching import Watcher
from release_management.adapters.roles.health import Health
from release_management.domain.condition import SEVERITY
from release_management.services import measures
from release_management.services.looks import ComponentLook, Key
from release_management.services.ports import Clock

LOOK_SECONDS = 0.5
COMPONENTS = "components"
"""What a role's health says of components stands in its details under this name, by the executor's name."""


async def show_components(watcher: Watcher, name: str, clock: Clock, health: Health) -> None:
    """Show what was seen last, until cancelled. A component that is not well is a warning: the role itself works."""
    shown: dict[Key, ComponentLook] = {}
    while True:
        for key in shown.keys() - watcher.shown.keys():
            _forget(key, shown[key])
            health.clear(f"component {'/'.join(key)}")
        for key, look in watcher.shown.items():
            _measure(key, look, shown.get(key), clock)
            name = "/".join(key)
            part = f"component {name}"
            if look.condition == "well":
                health.clear(part)
            else:
                health.warn(part, f"{name} is {look.condition} since {look.since}: {look.reason}")
        shown = dict(watcher.shown)
        known = health.details.get(COMPONENTS, {})
        health.details[COMPONENTS] = {**known, name: list(_rows(shown.values()))}
        await asyncio.sleep(LOOK_SECONDS)


def _rows(looks: Iterable[ComponentLook]) -> Iterable[dict[str, object]]:
    for look in looks:
        yield {
            "component": "/".join(look.key),
            "condition": look.condition,
            "since": look.since,
            "reason": look.reason,
            "looked_at": look.observedat,
        }


def _measure(key: Key, look: ComponentLook, before: ComponentLook | None, clock: Clock) -> None:
    for condition in SEVERITY:
        measures.COMPONENT_CONDITION.labels(*key, condition).set(condition == look.condition)
    measures.COMPONENT_LOOK_SECONDS.labels(*key).set_function(partial(_age, look.observedat, clock))
    gone = {slot.slot for slot in before.slots} - {slot.slot for slot in look.slots} if before is not None else set()
    for slot in gone:
        _forget_slot(key, slot)
    for seen in look.slots:
        for kind, count in (("wanted", seen.wanted), ("running", seen.running), ("healthy", seen.healthy)):
            if count is not None:
                measures.COMPONENT_INSTANCES.labels(*key, seen.slot, kind).set(count)


def _forget(key: Key, look: ComponentLook) -> None:
    for condition in SEVERITY:
        measures.COMPONENT_CONDITION.remove(*key, condition)
    measures.COMPONENT_LOOK_SECONDS.remove(*key)
    for slot in look.slots:
        _forget_slot(key, slot.slot)


def _forget_slot(key: Key, slot: str) -> None:
    for kind in ("wanted", "running", "healthy"):
        measures.COMPONENT_INSTANCES.remove(*key, slot, kind)


def _age(observedat: str, clock: Clock) -> float:
    return max(0.0, (clock.now() - datetime.fromisoformat(observedat)).total_seconds())
