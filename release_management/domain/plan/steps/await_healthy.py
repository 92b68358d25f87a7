"""The step `await_healthy`: what runs in a role is healthy for some time, before a deadline."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from release_management.domain.component import Slot
from release_management.domain.plan.binding import Binding
from release_management.domain.plan.roles import Leg, Role
from release_management.domain.plan.step import OrderedStep, StepAction
from release_management.kernel.types import Seconds


class AwaitSlotHealthy(StepAction):
    """All `replicas` instances of `slot` have been healthy for `min_ready` seconds without a break.

    `again` (absent where false): they were found healthy before. Nothing is waited for beyond a moment, and an instance
    that has ended since then is not well, though another runs in its place.
    """

    NEEDED_BY: ClassVar = "every deployment"
    verb: Literal["await_healthy"] = Field("await_healthy", description="which kind it is")
    slot: Slot = Field(description="the slot")
    replicas: Annotated[int, Field(ge=0, le=100)] = Field(description="how many instances")
    min_ready: Seconds = Field(0.0, description="how long it must be healthy without a break")
    again: Annotated[bool, Field(exclude_if=lambda again: not again)] = Field(
        False, description="they were found healthy before, and are asked whether they are still, and have been since"
    )


class AwaitHealthy(OrderedStep):
    """The role's replicas are healthy for `min_ready` seconds without a break, before `deadline` seconds have passed.

    `again`: they were found healthy before, and must still be, without a restart since.
    """

    verb: Literal["await_healthy"] = Field("await_healthy", description="which kind it is")
    role: Role = Field(description="`stable` is what runs, `candidate` is what comes")
    replicas: Annotated[int, Field(ge=0, le=100)] = Field(description="how many instances")
    min_ready: Seconds = Field(0.0, description="how long it must be healthy without a break")
    deadline: Seconds = Field(description="how long it may take")
    again: Annotated[bool, Field(exclude_if=lambda again: not again)] = Field(
        False, description="it was healthy before: it is asked whether it still is, and has been since"
    )

    def describe(self) -> str:
        """Return a sentence on the replicas that must be healthy, and for how long."""
        condition = f"{self.replicas} of {self.component} ({self.role}) on {self.target} are healthy"
        if self.again:
            return f"ask again whether {condition}"
        held = f" for {self.min_ready:g} s" if self.min_ready else ""
        return f"wait until {condition}{held}, at most {self.deadline:g} s"

    @classmethod
    def describe_alike(cls, step: Mapping[str, Any], where: str) -> str:
        """Return the sentence for many such steps, without numbers, which may differ."""
        return f"wait until {where} ({step['role']}) are healthy"

    def action(self, binding: Binding) -> AwaitSlotHealthy:
        """Return the action for the role's slot, with the deadline."""
        slot = binding.slot(self.role)
        return AwaitSlotHealthy(slot=slot, replicas=self.replicas, min_ready=self.min_ready, again=self.again)

    def configured_role(self, leg: Leg) -> Role:
        """The role whose health is checked."""
        return self.role

    @property
    def order_seconds(self) -> float:
        """The time that the strategy's options allow."""
        return self.deadline

    def fault_of_lateness(self, reason: str) -> str:
        """Return "failed": a version that is not healthy in time is bad."""
        return f"not healthy in time: {reason}"
