"""The layout of a component's HAProxy: the part that only a restart can change, derived from the present versions.

A slot brings its own settings. While two versions are present, HAProxy listens on the ports of both, whichever of them
has the traffic, and checks each at its own health path and interval; an outdated port is closed when the last version
with it has ended. HAProxy has each time-out only once, for all slots: the longest one of the present versions.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from release_management.adapters.executors.local.settings import (
    Balancing,
    HealthCheck,
    longest,
)
from release_management.adapters.executors.local.state import ComponentState


@dataclass(frozen=True, slots=True)
class Layout:
    """The ports of 127.0.0.1; per slot the number of server lines, the health path and the health check.

    `waits` and `check_timeout`, a health check's, hold for all slots. `stop_grace` is how many seconds an HAProxy may
    take to finish its requests when it is ended.
    """

    ports: tuple[int, ...]
    rooms: Mapping[str, int]
    health: Mapping[str, str]
    checks: Mapping[str, HealthCheck]
    waits: Balancing
    check_timeout: float
    stop_grace: float

    @property
    def shape(self) -> str:
        """A digest of the layout: if it changes, HAProxy must be restarted."""
        slots = [
            (slot, room, self.health[slot], check.interval, check.rise, check.fall)
            for slot, room in sorted(self.rooms.items())
            for check in [self.checks[slot]]
        ]
        parts = (self.ports, slots, self.waits.model_dump(), self.check_timeout)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def layout(state: ComponentState) -> Layout:
    """Return the layout of a state. A slot that was never provisioned gets the settings with the traffic."""
    assert state.settings is not None, "nothing was provisioned"
    slots = dict.fromkeys(state.settings.slots, state.settings)
    slots |= {
        slot: slot_state.settings for slot, slot_state in state.slots.items() if slot in slots or slot_state.instances
    }
    slot_settings = [slot_state.settings for slot_state in state.occupied] or [state.settings]
    return Layout(
        ports=state.listens,
        rooms={slot: max([settings.max_replicas, *_indexes(state, slot)]) for slot, settings in slots.items()},
        health={slot: settings.health for slot, settings in slots.items()},
        checks={slot: settings.health_check for slot, settings in slots.items()},
        waits=longest(settings.balancer for settings in slot_settings),
        check_timeout=max(settings.health_check.timeout for settings in slot_settings),
        stop_grace=max(settings.stop_grace for settings in slots.values()),
    )


def _indexes(state: ComponentState, slot: str) -> list[int]:
    return [each.index for each in state.slots[slot].instances] if slot in state.slots else []
