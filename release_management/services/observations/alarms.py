"""Damp observed conditions, and decide which are worth a report."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from release_management.domain.condition import (
    Condition,
    Observation,
    SeenSlot,
)
from release_management.domain.damping import Damped, damp, is_worse
from release_management.services.observations.looks import (
    ComponentLook,
    Key,
    key_of,
)

REFRESH_SECONDS = 900.0
"""Seconds after which a lasting condition is reported again, in case a report was lost."""


@dataclass(slots=True)
class _AlarmSource:
    """A component as a whole, or one of its slots with one version."""

    damped: Damped
    since: str
    reason: str | None


@dataclass(slots=True)
class _Component:
    parts: dict[Hashable, _AlarmSource] = field(default_factory=dict)
    reported: object = None
    reported_at: float = 0.0


class Alarms:
    """Remembers the conditions of one executor's components. `monotonic` is in seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._components: dict[Key, _Component] = {}

    def take(self, seen: Observation, *, settles: bool = False) -> ComponentLook:
        """Take an observation; return it with damped conditions.

        While it `settles`, something starts or ends as intended: a part that is worse then has not relapsed.
        """
        known = self._components.setdefault(key_of(seen), _Component())
        before, known.parts = known.parts, {}
        slots = []
        for slot in seen.slots:
            part = self._damp(known, before, ("slot", slot.slot, slot.version), slot, seen.observedat, settles)
            slots.append(slot.model_copy(update={"condition": part.damped.condition, "reason": part.reason}))
        # Another version is not damped by the condition of an earlier one.
        running = frozenset((slot.slot, slot.version) for slot in seen.slots)
        whole = self._damp(known, before, running, seen, seen.observedat, settles)
        shown = {"condition": whole.damped.condition, "reason": whole.reason, "slots": tuple(slots)}
        return ComponentLook.model_validate({**dict(seen), **shown, "since": whole.since})

    def _damp(
        self,
        known: _Component,
        before: dict[Hashable, _AlarmSource],
        name: Hashable,
        seen: SeenSlot | Observation,
        observedat: str,
        settles: bool,
    ) -> _AlarmSource:
        now = self._monotonic()
        earlier = before.get(name)
        if settles and earlier is not None and is_worse(seen.condition, earlier.damped.condition):
            earlier = None
        damped = damp(earlier.damped if earlier is not None else None, seen.condition, now)
        same = earlier is not None and earlier.damped.condition == damped.condition
        part = known.parts[name] = _AlarmSource(damped, earlier.since if earlier and same else observedat, seen.reason)
        if damped.better_since is not None and earlier is not None:
            hold_text = f"{seen.condition} for {now - damped.better_since:.0f} s, and must be for {damped.hold:.0f} s"
            bad = (earlier.reason or "").partition(_AGAIN)[0]
            part.reason = f"{bad}{_AGAIN}{hold_text}"[:500] if bad else hold_text
        return part

    def news(self, look: ComponentLook) -> bool:
        """Return True if the observation differs from the last report, or that is too old."""
        known = self._components[look.key]
        stale = self._monotonic() - known.reported_at >= REFRESH_SECONDS
        return stale or known.reported != _essence(look)

    def was_reported(self, look: ComponentLook) -> None:
        """Record that the observation was reported."""
        known = self._components[look.key]
        known.reported, known.reported_at = _essence(look), self._monotonic()

    def forget(self, keep: set[Key]) -> None:
        """Forget all components but these."""
        self._components = {key: known for key, known in self._components.items() if key in keep}


_AGAIN = "; seen "


def _essence(look: ComponentLook) -> tuple[object, ...]:
    """Return the parts whose change is reported; also the fence: a report before a newer order may not count."""
    unhealthy: list[tuple[str, str | None, Condition]] = [
        (slot.slot, slot.version, slot.condition) for slot in look.slots if slot.condition != "well"
    ]
    return look.condition, tuple(unhealthy), look.fence
