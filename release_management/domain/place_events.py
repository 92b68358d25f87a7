"""The events of a place, each with its name in the log."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from release_management.domain.component import Component, Slot
from release_management.domain.condition import Condition, SlotCondition
from release_management.domain.configuration import Configuration
from release_management.kernel.types import (
    Digest,
    Fact,
    Line,
    Name,
    Percent,
    Version,
)


def _percentages(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{share} % {slot}" for slot, share in sorted(weights.items())) or "none"


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
