"""Show the conditions of an executor's components in its health and metrics."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial

from release_management.adapters.nats.watching import Watcher
from release_management.domain.condition import SEVERITY, SeenSlot
from release_management.runtime.roles.kit.health import Health
from release_management.services import telemetry
from release_management.services.observations.looks import (
    FRESH_SECONDS,
    ComponentLook,
    Key,
)
from release_management.services.ports import Clock

LOOK_SECONDS = 0.5
COMPONENTS = "components"
"""The name in a role's health details for its components' conditions, by the executor's name."""


async def show_components(watcher: Watcher, executor: str, clock: Clock, health: Health) -> None:
    """Show the newest observations, until cancelled; then remove them."""
    shown = ShownComponents(executor, clock, health)
    try:
        while True:
            shown.show(watcher.shown)
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        shown.show({})


class ShownComponents:
    """The conditions of one executor's components, in health and metrics.

    A component that is not well is a warning: the role itself works. An observation that is too old counts as unknown.
    """

    def __init__(self, executor: str, clock: Clock, health: Health) -> None:
        self._executor = executor
        self._clock = clock
        self._health = health
        self._shown: dict[Key, ComponentLook] = {}

    def show(self, looks: Mapping[Key, ComponentLook]) -> None:
        """Show these observations, and remove components without one."""
        for key in self._shown.keys() - looks.keys():
            self._forget(key)
        for key, look in looks.items():
            self._show(key, self._now_known(look))
        executors = self._health.details.get(COMPONENTS, {})
        self._health.details[COMPONENTS] = {**executors, self._executor: list(self._rows())}

    def _now_known(self, look: ComponentLook) -> ComponentLook:
        """Return the observation, or an unknown condition if it is too old."""
        age = self._age(look.observedat)
        if age <= FRESH_SECONDS:
            return look
        reason = f"nobody has looked for {age:.0f} s; last seen {look.condition}"
        unknown = {"condition": "unknown", "reason": reason, "since": look.observedat, "slots": ()}
        return look.model_copy(update=unknown)

    def _show(self, key: Key, look: ComponentLook) -> None:
        before = self._shown.get(key)
        _measure_condition(key, look)
        telemetry.COMPONENT_LOOK_SECONDS.labels(*key).set_function(partial(self._age, look.observedat))
        for slot in _slots(before) - _slots(look):
            _forget_slot(key, slot)
        for seen in look.slots:
            _measure_slot(key, seen)
        component = "/".join(key)
        part = f"component {component}"
        if look.condition == "well":
            self._health.clear(part)
        else:
            self._health.warn(part, f"{component} is {look.condition} since {look.since}: {look.reason}")
        self._shown[key] = look

    def _forget(self, key: Key) -> None:
        look = self._shown.pop(key)
        for condition in SEVERITY:
            telemetry.COMPONENT_CONDITION.remove(*key, condition)
        telemetry.COMPONENT_LOOK_SECONDS.remove(*key)
        for slot in _slots(look):
            _forget_slot(key, slot)
        self._health.clear(f"component {'/'.join(key)}")

    def _rows(self) -> Iterator[dict[str, object]]:
        for key, look in self._shown.items():
            yield {
                "component": "/".join(key),
                "condition": look.condition,
                "since": look.since,
                "reason": look.reason,
                "looked_at": look.observedat,
                "age": round(self._age(look.observedat), 1),
            }

    def _age(self, observedat: str) -> float:
        return max(0.0, (self._clock.now() - datetime.fromisoformat(observedat)).total_seconds())


def _slots(look: ComponentLook | None) -> set[str]:
    return {slot.slot for slot in look.slots} if look is not None else set()


def _measure_condition(key: Key, look: ComponentLook) -> None:
    for condition in SEVERITY:
        telemetry.COMPONENT_CONDITION.labels(*key, condition).set(condition == look.condition)


def _measure_slot(key: Key, seen: SeenSlot) -> None:
    for kind, count in (("wanted", seen.wanted), ("running", seen.running), ("healthy", seen.healthy)):
        if count is None:
            telemetry.COMPONENT_INSTANCES.remove(*key, seen.slot, kind)
        else:
            telemetry.COMPONENT_INSTANCES.labels(*key, seen.slot, kind).set(count)


def _forget_slot(key: Key, slot: str) -> None:
    for kind in ("wanted", "running", "healthy"):
        telemetry.COMPONENT_INSTANCES.remove(*key, slot, kind)
