"""The step `provision`: run a version in a role."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from release_management.domain.component import Slot
from release_management.domain.place_events import PlaceSlotProvisioned
from release_management.domain.plan.binding import Binding
from release_management.domain.plan.roles import Leg, Role
from release_management.domain.plan.step import (
    LegAtPlace,
    OrderedStep,
    StepAction,
    StepDone,
)
from release_management.kernel.types import Digest, Version


class ProvisionSlot(StepAction):
    """Run `replicas` instances of `version` in `slot`. Idempotent."""

    NEEDED_BY: ClassVar = "every deployment"
    verb: Literal["provision"] = Field("provision", description="which kind it is")
    slot: Slot = Field(description="the slot")
    version: Version = Field(description="the version")
    artifact: str | None = Field(
        None, description="where the artifact is; free text that the command of a component can use"
    )
    artifact_digest: Digest | None = Field(
        None, description="SHA-256 of the artifact where the caller gave it, else of its reference"
    )
    config: dict[str, str] = Field({}, description="environment variables of the component's processes")
    replicas: Annotated[int, Field(ge=0, le=100)] = Field(description="how many instances")


class Provision(OrderedStep):
    """Run so many replicas of the role's version. Idempotent."""

    verb: Literal["provision"] = Field("provision", description="which kind it is")
    role: Role = Field(description="`stable` is what runs, `candidate` is what comes")
    replicas: Annotated[int, Field(ge=0, le=100)] = Field(description="how many instances")

    def describe(self) -> str:
        """Return a sentence on the replicas, their role and their place."""
        return f"run {self.replicas} of the {self.role} version of {self.component} on {self.target}"

    @classmethod
    def describe_alike(cls, step: Mapping[str, Any], where: str) -> str:
        """Return the sentence for many such steps, without the replicas, which may differ."""
        return f"run the {step['role']} version of {where}"

    def action(self, binding: Binding) -> ProvisionSlot:
        """Return the action with the role's content, for its slot."""
        content = binding.content(self.role)
        return ProvisionSlot(
            slot=binding.slot(self.role),
            version=content.version,
            artifact=content.artifact,
            artifact_digest=content.artifact_digest,
            config=content.config,
            replicas=self.replicas,
        )

    def configured_role(self, leg: Leg) -> Role:
        """The role that is provisioned."""
        return self.role

    def effect(self, done: StepDone) -> PlaceSlotProvisioned:
        """Yield the fact that the slot runs so many replicas of the role's version."""
        return PlaceSlotProvisioned(
            deployment=done.deployment,
            component=self.component,
            slot=done.binding.slot(self.role),
            content=done.binding.content(self.role),
            replicas=self.replicas,
            fence=done.fence,
            configuration=done.binding.configured(self.role),
        )

    @property
    def changed_role(self) -> Role:
        """The role that is provisioned."""
        return self.role

    @property
    def earlier_traffic(self) -> Literal["needed"] | None:
        """Return True if the stable version shrinks, whose traffic must be moved before."""
        return "needed" if self.role == "stable" else None

    def reaches_users(self, leg: LegAtPlace) -> bool:
        """Return True if nothing routes: the new version then reaches users as soon as it runs."""
        return (self.role == "candidate" or not leg.brings) and not leg.routes
