"""The base of a plan's steps, and the declaration of a kind of step.

A kind of step is one file of `steps`, with everything that the program knows of it: the step as a plan has it, its
words, and, where an executor carries it out, the action that is ordered and what that changes at the place.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from release_management.domain.component import Slot
from release_management.domain.place_events import PlaceEvent
from release_management.domain.plan.binding import Binding
from release_management.domain.plan.roles import Leg, Role
from release_management.kernel.types import Name, Value

ORDER_SECONDS = 600.0
"""Seconds that an executor may take for a step, unless its kind states another limit."""


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step that was done, of the deployment `deployment`; its roles are bound by `binding`.

    `fence` is that of the order; `observed` are the traffic shares that the load balancer stated at `observedat`.
    """

    deployment: str
    binding: Binding
    observedat: str
    observed: dict[str, int] | None = None
    fence: int | None = None


@dataclass(frozen=True, slots=True)
class LegAtPlace:
    """The summary of a leg for one component at one place: whether it routes traffic, and brings a new version."""

    routes: bool
    brings: bool


class Step(Value):
    """The fields of every step. `since` (rollback only): needed once the forward leg has begun that wave."""

    wave: Annotated[int, Field(ge=0)] = Field(
        description="steps of one wave run side by side, waves one after the other; from 0"
    )
    since: int | None = Field(
        None, description="only on the way back: needed once the forward wave of this number has begun"
    )

    @abstractmethod
    def describe(self) -> str:
        """Return a one-line description for people."""

    @classmethod
    def describe_alike(cls, step: Mapping[str, Any], where: str) -> str:
        """Return a one-line description of like steps of many components or targets. `step` is the first, as JSON."""
        return f"{step['verb']} {where}"

    def is_skippable(self, *, outdone: bool) -> bool:
        """Return True if a promotion in full skips it; `outdone`: a later traffic step stands in for it."""
        return False


class PlaceStep(Step):
    """A step for one component on one target."""

    target: Name = Field(description="the target in the environment")
    component: Name = Field(description="the component")

    @property
    def key(self) -> tuple[str, str]:
        """The target and the component."""
        return self.target, self.component

    def effect(self, done: StepDone) -> PlaceEvent | None:
        """The fact about the place that is true once the step is done; None where it changes nothing there."""
        return None

    @property
    def earlier_traffic(self) -> Literal["outdone", "needed"] | None:
        """The effect on earlier traffic steps if all are promoted at once; None: it has none."""
        return None

    def reaches_users(self, leg: LegAtPlace) -> bool:
        """Return True if users notice this step of the forward leg."""
        return False

    def ends_exposure(self, leg: LegAtPlace) -> bool:
        """Return True if users no longer meet the new version after this step of the rollback."""
        return False


class StepAction(Value):
    """The action that is ordered for one step, in the executor's terms: with slots instead of roles.

    `NEEDED_BY`: which deployments ask for it in any case; None: only those whose plan says so.
    """

    NEEDED_BY: ClassVar[Literal["every deployment", "shifted traffic"] | None] = None

    def intended(self, deployment: str, component: str) -> PlaceEvent | None:
        """The fact about the place that is true as soon as this is ordered; None where there is none."""
        return None

    @property
    def must_be_well(self) -> Mapping[Slot, int]:
        """The slots that are asked about before it is begun, with how many instances must be well in each."""
        return {}


def verb_of(kind: type[Step | StepAction]) -> str:
    """The verb of a kind of step, or of what is ordered for it."""
    return str(kind.model_fields["verb"].default)


class OrderedStep(PlaceStep):
    """A step that an executor carries out."""

    @abstractmethod
    def action(self, binding: Binding) -> StepAction:
        """Return the action for the executor."""

    @abstractmethod
    def configured_role(self, leg: Leg) -> Role:
        """The role whose configuration the order carries."""

    @property
    def order_seconds(self) -> float:
        """The seconds that the executor may take."""
        return ORDER_SECONDS

    @property
    def changed_role(self) -> Role | None:
        """The role in whose slot something else may run, until it is known that the step was done."""
        return None

    def fault_of_lateness(self, reason: str) -> str | None:
        """Return why the release is bad if the step was not done in time; None: the machinery broke."""
        return None
