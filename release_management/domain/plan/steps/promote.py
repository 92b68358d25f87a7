"""The step `promote`: a role's version becomes the stable one."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from release_management.domain.place_events import PlacePromoted
from release_management.domain.plan.roles import Role
from release_management.domain.plan.step import PlaceStep, StepDone


class Promote(PlaceStep):
    """The role's version becomes the place's stable one. No order is sent; the fact is recorded at once."""

    verb: Literal["promote"] = Field("promote", description="which kind it is")
    role: Role = Field(description="`stable` is what runs, `candidate` is what comes")

    def describe(self) -> str:
        """Return a sentence on the role that becomes stable."""
        return f"the {self.role} version of {self.component} on {self.target} is stable now"

    @classmethod
    def describe_alike(cls, step: Mapping[str, Any], where: str) -> str:
        """Return the sentence for many such steps."""
        return f"the {step['role']} version of {where} is stable now"

    def effect(self, done: StepDone) -> PlacePromoted:
        """Yield the fact that the role's slot is the stable one."""
        slot = done.binding.slot(self.role)
        return PlacePromoted(deployment=done.deployment, component=self.component, slot=slot)
