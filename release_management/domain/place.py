"""Place: one application on one target of one environment. Stream `place:<environment>/<application>/<target>`.

It is the unit that is locked, queued for, and known to run something; at most one deployment holds it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar, assert_never

from pydantic import Field

from release_management.domain.component import Component, Slot
from release_management.domain.condition import Condition, SlotCondition
from release_management.domain.configuration import Configuration
from release_management.kernel.aggregate import Aggregate
from release_management.kernel.digest import digest_of
from release_management.kernel.types import (
    Digest,
    Fact,
    Line,
    Name,
    Percent,
    Version,
)

V = TypeVar("V")
REMEMBERED = 50
"""The number of successes of a component that a place remembers."""


def _percentages(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{share} % {slot}" for slot, share in sorted(weights.items())) or "none"


# Events


class PlaceLocked(Fact):
    """The deployment locked the place."""

    NAME: ClassVar[str] = "place.locked"
    deployment: str = Field(description="the deployment's id")

    def _summary(self) -> str:
        return f"held by {self.deployment}"


class PlaceUnlocked(Fact):
    """The deployment released the lock; `next` is the deployment that has waited longest, if any waits."""

    NAME: ClassVar[str] = "place.unlocked"
    deployment: str = Field(description="the deployment's id")
    next: str | None = Field(None, description="the deployment whose turn it is")

    def _summary(self) -> str:
        return f"let go by {self.deployment}{f'; next is {self.next}' if self.next else ''}"


class PlaceQueued(Fact):
    """The deployment joined the queue of the place."""

    NAME: ClassVar[str] = "place.queued"
    deployment: str = Field(description="the deployment's id")

    def _summary(self) -> str:
        return f"{self.deployment} waits"


class PlaceUnqueued(Fact):
    """The deployment left the queue; `next` is the deployment whose turn it is, if the place is free and any waits."""

    NAME: ClassVar[str] = "place.unqueued"
    deployment: str = Field(description="the deployment's id")
    next: str | None = Field(None, description="the deployment whose turn it is")

    def _summary(self) -> str:
        return f"{self.deployment} no longer waits"


class PlaceOffered(Fact):
    """The place's holder is in its bake, which only keeps the old version; `next` has waited longest."""

    NAME: ClassVar[str] = "place.offered"
    deployment: str = Field(description="the deployment's id")
    next: str = Field(description="the deployment whose turn it is")

    def _summary(self) -> str:
        return f"{self.deployment} only keeps the version that goes; next is {self.next}"


class PlaceSlotProvisioned(Fact):
    """The slot runs `replicas` instances of this version. `configuration`: theirs; older records do not contain it."""

    NAME: ClassVar[str] = "place.slot_provisioned"
    deployment: str = Field(description="the deployment's id")
    component: Name = Field(description="the component")
    slot: Slot = Field(description="the slot")
    content: Component = Field(description="what runs there")
    replicas: int = Field(description="how many instances")
    fence: int | None = Field(None, description="the fence of the order that did it")
    configuration: Configuration | None = Field(None, description="what it runs with; older records do not say")

    def _summary(self) -> str:
        return f"{self.slot} runs {self.replicas} of {self.content.name} {self.content.version}"


class PlaceSlotRetired(Fact):
    """Nothing runs in the slot any more."""

    NAME: ClassVar[str] = "place.slot_retired"
    deployment: str = Field(description="the deployment's id")
    component: Name = Field(description="the component")
    slot: Slot = Field(description="the slot")
    fence: int | None = Field(None, description="the fence of the order that did it")

    def _summary(self) -> str:
        return f"{self.slot} no longer runs {self.component}"


class PlaceSlotDoubted(Fact):
    """The deployment ended without knowing the result of its last order for the slot.

    The slot's content is uncertain until a version is provisioned there or the slot is retired.
    """

    NAME: ClassVar[str] = "place.slot_doubted"
    deployment: str = Field(description="the deployment's id")
    component: Name = Field(description="the component")
    slot: Slot = Field(description="the slot")

    def _summary(self) -> str:
        return f"what {self.slot} runs of {self.component} is uncertain: its last order is not known to be done"


class PlaceTrafficIntended(Fact):
    """These traffic shares, in percent per slot, are intended from now on."""

    NAME: ClassVar[str] = "place.traffic_intended"
    deployment: str = Field(description="the deployment's id")
    component: Name = Field(description="the component")
    weights: dict[Slot, Percent] = Field(description="the shares in percent per slot; they sum to 100, or are all 0")

    def _summary(self) -> str:
        return f"wanted traffic of {self.component}: {_percentages(self.weights)}"


class PlaceTrafficObserved(Fact):
    """The load balancer stated these shares in percent per slot at `observedat`."""

    NAME: ClassVar[str] = "place.traffic_observed"
    deployment: str = Field(description="the deployment's id")
    component: Name = Field(description="the component")
    weights: dict[Slot, Percent] = Field(description="the shares in percent per slot; they sum to 100, or are all 0")
    observedat: str = Field(description="when the executor saw it")
    fence: int | None = Field(None, description="the fence of the order that did it")

    def _summary(self) -> str:
        return f"observed traffic of {self.component}: {_percentages(self.weights)}"


class PlaceConditionChanged(Fact):
    """An executor observed another condition than before, of the component or of one of its slots.

    `by` is the executor, `observedat` the time of its observation, and `fence` the newest order that the component had
    seen then. A condition that lasts is not recorded again.
    """

    NAME: ClassVar[str] = "place.condition_changed"
    component: Name = Field(description="the component")
    condition: Condition = Field(
        description="`well`, `drifted` (it serves, but not as recorded), `degraded` (a part does not serve), `down`, "
        "or `unknown`"
    )
    reason: Line | None = Field(None, description="why, in a sentence")
    slots: tuple[SlotCondition, ...] = Field((), description="what was seen of each slot")
    by: Name = Field(description="the executor that looked")
    fence: int = Field(description="that of the newest order which the component had seen when the look began")
    observedat: str = Field(description="when the executor saw it")

    def _summary(self) -> str:
        return f"{self.component} is seen {self.condition}{f': {self.reason}' if self.reason else ''}"


class PlacePromoted(Fact):
    """The slot's version is the stable one now."""

    NAME: ClassVar[str] = "place.promoted"
    deployment: str = Field(description="the deployment's id")
    component: Name = Field(description="the component")
    slot: Slot = Field(description="the slot")

    def _summary(self) -> str:
        return f"{self.slot} is the stable {self.component}"


class PlaceVersionSucceeded(Fact):
    """The release's deployment succeeded here at the time `at`.

    `components` maps each component that it brought to the digest of its running content. Records without it brought
    all components that the place knew then.
    """

    NAME: ClassVar[str] = "place.version_succeeded"
    deployment: str = Field(description="the deployment's id")
    version: Version = Field(description="the version")
    components: dict[Name, Digest] | None = Field(
        None,
        description="the components that it brought, each with the digest of what runs now; absent: all that the "
        "place knew",
    )
    at: str | None = Field(None, description="when")

    def _summary(self) -> str:
        return f"{self.version} succeeded here"


class PlaceVersionWithdrawn(Fact):
    """The deployment `deployment` rolled the release back here, which is no version to return to any more.

    `withdrawn` is the deployment that was rolled back; records without it mean every deployment of the version.
    `components` are those that were rolled back; records without it mean all of them.
    """

    NAME: ClassVar[str] = "place.version_withdrawn"
    deployment: str = Field(description="the deployment's id")
    version: Version = Field(description="the version")
    withdrawn: str | None = Field(
        None, description="the deployment that was rolled back; absent: every deployment of the version"
    )
    components: tuple[Name, ...] | None = Field(
        None, description="the components that went back; absent: all that the deployment brought"
    )

    def _summary(self) -> str:
        return f"{self.version} was rolled back here"


PlaceEvent = (
    PlaceLocked
    | PlaceUnlocked
    | PlaceQueued
    | PlaceUnqueued
    | PlaceOffered
    | PlaceSlotProvisioned
    | PlaceSlotRetired
    | PlaceSlotDoubted
    | PlaceTrafficIntended
    | PlaceTrafficObserved
    | PlaceConditionChanged
    | PlacePromoted
    | PlaceVersionSucceeded
    | PlaceVersionWithdrawn
)


# State


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


@dataclass(frozen=True, slots=True)
class Success:
    """A deployment that brought a component here and succeeded. `version` is its release's.

    `digest` is that of the content, and `at` the time; older records contain neither.
    """

    version: str
    deployment: str
    digest: str | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The state of a place.

    `succeeded` holds for each component the newest `REMEMBERED` successes, oldest first, without withdrawn ones.
    """

    lock: str | None = None
    queue: tuple[str, ...] = ()
    components: Mapping[str, ComponentStatus] = field(default_factory=dict)
    succeeded: Mapping[str, tuple[Success, ...]] = field(default_factory=dict)


def evolve(state: Place, event: PlaceEvent) -> Place:
    """Apply one fact.

    Successes beyond `REMEMBERED` are forgotten, so the state does not grow with the place's age.
    """
    match event:
        case PlaceLocked(deployment=deployment):
            return replace(state, lock=deployment, queue=tuple(d for d in state.queue if d != deployment))
        case PlaceUnlocked():
            return replace(state, lock=None)
        case PlaceQueued(deployment=deployment):
            return replace(state, queue=(*state.queue, deployment))
        case PlaceUnqueued(deployment=deployment):
            return replace(state, queue=tuple(d for d in state.queue if d != deployment))
        case PlaceOffered():
            return state
        case PlaceVersionSucceeded():
            return replace(state, succeeded=_remember(state, event))
        case PlaceVersionWithdrawn():
            remaining = {
                component: tuple(each for each in successes if not _withdrawn(component, each, event))
                for component, successes in state.succeeded.items()
            }
            return replace(state, succeeded=remaining)
        case _:
            status = _evolve_component(state.components.get(event.component, ComponentStatus()), event)
            return replace(state, components={**state.components, event.component: status})


def _remember(state: Place, event: PlaceVersionSucceeded) -> dict[str, tuple[Success, ...]]:
    """Add a success to the components that it brought; the same content of the same version counts once, as newest."""
    brought: Mapping[str, str | None] = (
        dict.fromkeys(state.components) if event.components is None else event.components
    )
    succeeded = dict(state.succeeded)
    for component, digest in brought.items():
        new = Success(event.version, event.deployment, digest, event.at)
        others = (s for s in succeeded.get(component, ()) if (s.version, s.digest) != (new.version, new.digest))
        succeeded[component] = (*others, new)[-REMEMBERED:]
    return succeeded


def _withdrawn(component: str, success: Success, event: PlaceVersionWithdrawn) -> bool:
    if event.components is not None and component not in event.components:
        return False
    if event.withdrawn is None:
        return success.version == event.version
    return success.deployment == event.withdrawn


ComponentEvent = (
    PlaceSlotProvisioned
    | PlaceSlotRetired
    | PlaceSlotDoubted
    | PlaceTrafficIntended
    | PlaceTrafficObserved
    | PlaceConditionChanged
    | PlacePromoted
)


def _evolve_component(status: ComponentStatus, event: ComponentEvent) -> ComponentStatus:
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


# What decisions ask of a state


def free_for(state: Place, deployment: str) -> bool:
    """Return True if the deployment may lock the place now: no deployment holds it, and none has waited longer."""
    if state.lock is not None:
        return state.lock == deployment
    return not state.queue or state.queue[0] == deployment


def newest(state: Place, component: str) -> Success | None:
    """The newest success of a component here."""
    successes = state.succeeded.get(component, ())
    return successes[-1] if successes else None


def earlier(state: Place, component: str, leaving: str) -> tuple[Success, ...]:
    """Return the versions to which the component could be rolled back from the deployment `leaving`, newest first.

    Successes with the same content as `leaving` are left out, and so are withdrawn ones.
    """
    successes = state.succeeded.get(component, ())
    left = next((each for each in successes if each.deployment == leaving), None)
    return tuple(
        each
        for each in reversed(successes)
        if left is None or ((each.version, each.digest) != (left.version, left.digest) and not _same(each, left))
    )


def _same(one: Success, other: Success) -> bool:
    return one.digest is not None and one.digest == other.digest


# Declaration


def _key(environment: str, application: str, target: str) -> str:
    return f"{environment}/{application}/{target}"


PLACE = Aggregate("place", Place(), PlaceEvent, evolve, _key)
