"""The status of one component at a place: what runs in its slots, and where its traffic goes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar, assert_never

from release_management.domain.component import Component
from release_management.domain.condition import Condition, SlotCondition
from release_management.domain.configuration import Configuration
from release_management.domain.place_events import (
    PlaceConditionChanged,
    PlacePromoted,
    PlaceSlotDoubted,
    PlaceSlotProvisioned,
    PlaceSlotRetired,
    PlaceTrafficIntended,
    PlaceTrafficObserved,
)
from release_management.kernel.digest import digest_of

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Occupant:
    """The version in a slot, with its configuration (None: not recorded)."""

    content: Component
    replicas: int
    configuration: Configuration | None = None

    def same(self, other: "Occupant") -> bool:
        """Return True if both run the same; a configuration that was not recorded counts as the same."""
        unknown = self.configuration is None or other.configuration is None
        return (self.content, self.replicas) == (other.content, other.replicas) and (
            unknown or self.configuration == other.configuration
        )

    @property
    def digest(self) -> str:
        """SHA-256 of what runs, how many, and with what."""
        configuration = None if self.configuration is None else self.configuration.digest
        return digest_of([self.content.model_dump(mode="json"), self.replicas, configuration])


@dataclass(frozen=True, slots=True)
class Seen:
    """The condition that was observed last. `slots` are the observations of each slot."""

    condition: Condition
    reason: str | None
    slots: tuple[SlotCondition, ...]
    fence: int
    observedat: str


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """The status of a component at the place: the content of each slot, the stable slot, intended and observed traffic.

    `former` was the stable slot before, until it is retired or another version takes it. `certain`: the intended shares
    are known to be set. `reach` holds the greatest share that each slot may have now; empty if no shares were ever
    intended. `seen` is the condition that an executor observed last; `fence` is that of the newest order that was
    carried out, so that an earlier observation can be told from a later one. `doubted`: the slots whose content may
    differ from `slots`.
    """

    slots: Mapping[str, Occupant] = field(default_factory=dict)
    stable: str | None = None
    intended: Mapping[str, int] = field(default_factory=dict)
    observed: Mapping[str, int] = field(default_factory=dict)
    former: str | None = None
    certain: bool = True
    reach: Mapping[str, int] = field(default_factory=dict)
    seen: Seen | None = None
    fence: int = 0
    doubted: frozenset[str] = frozenset()

    @property
    def at_work(self) -> bool:
        """True if anything runs at the place, or may run there, as far as is known."""
        return bool(self.doubted) or any(occupant.replicas > 0 for occupant in self.slots.values())

    @property
    def serving(self) -> Occupant | None:
        """The stable version, or None if none runs."""
        occupant = self.slots.get(self.stable) if self.stable else None
        return occupant if occupant is not None and occupant.replicas > 0 else None


ComponentEvent = (
    PlaceSlotProvisioned
    | PlaceSlotRetired
    | PlaceSlotDoubted
    | PlaceTrafficIntended
    | PlaceTrafficObserved
    | PlaceConditionChanged
    | PlacePromoted
)


def evolve_component(status: ComponentStatus, event: ComponentEvent) -> ComponentStatus:
    """Apply one fact to the component that it names."""
    if isinstance(event, PlaceSlotProvisioned | PlaceSlotRetired | PlaceTrafficObserved) and event.fence is not None:
        status = replace(status, fence=max(status.fence, event.fence))
    match event:
        case PlaceConditionChanged():
            seen = Seen(event.condition, event.reason, event.slots, event.fence, event.observedat)
            return replace(status, seen=seen)
        case PlaceSlotProvisioned():
            occupant = Occupant(event.content, event.replicas, event.configuration)
            former = status.former
            occupant_before = status.slots.get(event.slot)
            if (
                event.slot == former
                and occupant_before
                and not replace(occupant_before, replicas=event.replicas).same(occupant)
            ):
                former = None
            slots = {**status.slots, event.slot: occupant}
            return replace(status, slots=slots, former=former, doubted=status.doubted - {event.slot})
        case PlaceSlotRetired(slot=slot):
            status = _with_shares_set(status)
            return replace(
                status,
                slots=_without(status.slots, slot),
                reach=_without(status.reach, slot),
                stable=None if status.stable == slot else status.stable,
                former=None if status.former == slot else status.former,
                doubted=status.doubted - {slot},
            )
        case PlaceSlotDoubted(slot=slot):
            return replace(status, doubted=status.doubted | {slot})
        case PlaceTrafficIntended(weights=weights):
            before = status.reach or ({status.stable: 100} if status.stable else {})
            if status.certain and _shares(before) == _shares(weights):
                return replace(status, intended=weights)
            reach = {slot: max(before.get(slot, 0), weights.get(slot, 0)) for slot in {**before, **weights}}
            return replace(status, intended=weights, reach=reach, certain=False)
        case PlaceTrafficObserved(weights=weights):
            return replace(status, observed=weights, reach=weights, certain=True)
        case PlacePromoted(slot=slot):
            former = status.former if status.stable == slot else status.stable
            return replace(_with_shares_set(status), stable=slot, former=former)
        case _:
            assert_never(event)


def _with_shares_set(status: ComponentStatus) -> ComponentStatus:
    """Return the status with the intended shares set, as they are before every promotion or retirement."""
    return status if status.certain else replace(status, reach=status.intended, certain=True)


def _without(slots: Mapping[str, V], slot: str) -> dict[str, V]:
    return {name: value for name, value in slots.items() if name != slot}


def _shares(weights: Mapping[str, int]) -> dict[str, int]:
    return {slot: share for slot, share in weights.items() if share}
