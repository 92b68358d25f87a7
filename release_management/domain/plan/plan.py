"""A plan: the list of steps that a strategy compiles to. It is shown, approved, recorded, then walked.

Steps of one wave run side by side; the next wave begins when all of them succeeded. Steps speak of the roles `stable`
(what runs) and `candidate` (what comes); roles are bound to slots when the deployment starts.
"""

from typing import Annotated

from pydantic import Field

from release_management.domain.configuration_difference import Difference
from release_management.domain.plan.steps import AnyStep
from release_management.kernel.digest import digest_of
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import (
    Digest,
    Line,
    Name,
    Refused,
    Value,
    Version,
)

MAX_STEPS = 20_000
"""The maximum number of steps of each leg of a plan."""


class PlannedChange(Value):
    """The change of one component at one place by a plan: from the stable version to the candidate.

    `candidate` None: the component is given up here. `artifact` and `configuration` are digests of what comes;
    `differs` are the settings and variables that have other values than those of the stable version.
    """

    target: Name = Field(description="the target in the environment")
    component: Name = Field(description="the component")
    stable: Version | None = Field(None, description="the version that is stable there")
    candidate: Version | None = Field(None, description="the version that comes; absent: the component is given up")
    artifact: Digest | None = Field(None, description="SHA-256 of the artifact that comes")
    configuration: Digest | None = Field(None, description="SHA-256 of the configuration that comes")
    differs: Annotated[tuple[Difference, ...], Field(strict=False)] = Field(
        (), description="the settings and variables with other values than those of the stable version"
    )

    def __str__(self) -> str:
        """One line for a person."""
        where = f"{self.component} on {self.target}"
        if self.candidate is None:
            return f"{where}: {self.stable or 'what is there'} is given up, and is stopped"
        names = ", ".join(dict.fromkeys(difference.name for difference in self.differs))
        differs = f"; configuration differs: {names}" if names else ""
        if self.stable is None:
            return f"{where}: {self.candidate}, the first one there"
        if self.stable == self.candidate:
            return f"{where}: {self.candidate} again{differs}"
        return f"{where}: {self.stable} → {self.candidate}{differs}"


class Plan(Value):
    """The forward steps and the rollback, compiled together.

    `changes` are the changes of each component at each place; plans of older records have none. `reversible` False:
    the deployment stops in place of a rollback (`Halted`), and a newer version is needed.
    """

    strategy: Name = Field(description="the strategy that was compiled")
    version: Version = Field(description="the version")
    forward: tuple[AnyStep, ...] = Field(description="the steps")
    rollback: tuple[AnyStep, ...] = Field(
        (), description="the steps of the way back; `since` says which of them an early failure needs"
    )
    reversible: bool = Field(
        True, description="whether there is a way back; where not, a failure stops the deployment where it is"
    )
    notes: tuple[Line, ...] = Field((), description="what the reader of the plan should know")
    changes: tuple[PlannedChange, ...] | None = Field(
        None, description="what the plan changes of which component at which place; absent in older records"
    )

    def steps(self, leg: str) -> tuple[AnyStep, ...]:
        """The steps of a leg: `forward` or `rollback`."""
        return self.forward if leg == "forward" else self.rollback

    @property
    def digest(self) -> str:
        """SHA-256 of the plan's canonical JSON: what an approval is bound to."""
        return digest_of(self.model_dump(mode="json"))


def bounded(plan: Plan) -> Plan:
    """Refuse a plan that is too long to be recorded, approved and walked as one."""
    longest = max(len(plan.forward), len(plan.rollback))
    if longest > MAX_STEPS:
        raise Refused(
            f"the plan has {longest:,} steps and may have {MAX_STEPS:,}: deploy fewer components or targets "
            "at once, or use fewer traffic steps",
            code=ErrorCode.INVALID,
        )
    return plan
