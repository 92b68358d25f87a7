"""The step `retire`: stop the version of a role."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from release_management.domain.component import Slot
from release_management.domain.place_events import PlaceSlotRetired
from release_management.domain.plan.binding import Binding
from release_management.domain.plan.roles import Leg, Role
from release_management.domain.plan.step import (
    LegAtPlace,
    OrderedStep,
    StepAction,
    StepDone,
)
from release_management.domain.plan.wellness import (
    HealthyRoles,
    HealthySlots,
    slots_of,
)


class RetireSlot(StepAction):
    """Stop everything in `slot`, after requests in flight are finished.

    If a slot of `healthy` is not healthy, nothing is done, and the report is `unwell`.
    """

    NEEDED_BY: ClassVar = "every deployment"
    verb: Literal["retire"] = Field("retire", description="which kind it is")
    slot: Slot = Field(description="the slot")
    healthy: HealthySlots = Field(
        {},
        description="how many instances of which slots must be well before; else nothing is done, and the report is "
        "`unwell`",
    )

    @property
    def must_be_well(self) -> Mapping[Slot, int]:
        """Those of `healthy`."""
        return self.healthy


class Retire(OrderedStep):
    """Stop the version of the role."""

    verb: Literal["retire"] = Field("retire", description="which kind it is")
    role: Role = Field(description="`stable` is what runs, `candidate` is what comes")
    healthy: HealthyRoles = Field(
        {}, description="how many instances of which roles must be well before; else the deployment goes back"
    )

    def describe(self) -> str:
        """Return a sentence on the role that is stopped."""
        return f"stop the {self.role} version of {self.component} on {self.target}"

    @classmethod
    def describe_alike(cls, step: Mapping[str, Any], where: str) -> str:
        """Return the sentence for many such steps."""
        return f"stop the {step['role']} version of {where}"

    def action(self, binding: Binding) -> RetireSlot:
        """Return the action for the role's slot."""
        return RetireSlot(slot=binding.slot(self.role), healthy=slots_of(self.healthy, binding))

    def configured_role(self, leg: Leg) -> Role:
        """The role that is stopped."""
        return self.role

    def effect(self, done: StepDone) -> PlaceSlotRetired:
        """Yield the fact that the slot is empty."""
        return PlaceSlotRetired(
            deployment=done.deployment,
            component=self.component,
            slot=done.binding.slot(self.role),
            fence=done.fence,
        )

    @property
    def changed_role(self) -> Role:
        """The role that is stopped."""
        return self.role

    @property
    def earlier_traffic(self) -> Literal["needed"] | None:
        """Return True for the stable version, whose traffic must be moved before."""
        return "needed" if self.role == "stable" else None

    def reaches_users(self, leg: LegAtPlace) -> bool:
        """Return True: users lose the old version."""
        return self.role == "stable"

    def ends_exposure(self, leg: LegAtPlace) -> bool:
        """Return True if nothing routes: the new version is then gone for users once it is stopped."""
        return self.role == "candidate" and not leg.routes
