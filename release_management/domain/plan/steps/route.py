"""The step `route`: set the traffic shares of the roles."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from release_management.domain.component import Slot
from release_management.domain.place_events import PlaceTrafficIntended, PlaceTrafficObserved
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
from release_management.kernel.types import Percent


def _check_whole(weights: Mapping[Any, int]) -> None:
    if sum(weights.values()) not in (0, 100):
        raise ValueError(f"weights sum to {sum(weights.values())}; they must sum to 100, or all be 0")


class RouteSlots(StepAction):
    """Set the traffic shares in percent per slot; a slot that is not named gets 0. They sum to 100, or are all 0.

    If a slot of `healthy` is not healthy, nothing is done, and the report is `unwell`.
    """

    NEEDED_BY: ClassVar = "shifted traffic"
    verb: Literal["route"] = Field("route", description="which kind it is")
    weights: dict[Slot, Percent] = Field(description="the shares in percent per slot; they sum to 100, or are all 0")
    healthy: HealthySlots = Field(
        {},
        description="how many instances of which slots must be well before; else nothing is done, and the report is "
        "`unwell`",
    )

    @model_validator(mode="after")
    def _whole(self) -> "RouteSlots":
        _check_whole(self.weights)
        return self

    @property
    def must_be_well(self) -> Mapping[Slot, int]:
        """Those of `healthy`."""
        return self.healthy

    def intended(self, deployment: str, component: str) -> PlaceTrafficIntended:
        """The intended shares, whether they are set yet or not."""
        return PlaceTrafficIntended(deployment=deployment, component=component, weights=self.weights)


class Route(OrderedStep):
    """Set traffic shares in percent: they sum to 100, or are all 0 if no version serves."""

    verb: Literal["route"] = Field("route", description="which kind it is")
    weights: dict[Role, Percent] = Field(description="the shares in percent per role; they sum to 100, or are all 0")
    healthy: HealthyRoles = Field(
        {}, description="how many instances of which roles must be well before; else the deployment goes back"
    )

    @model_validator(mode="after")
    def _whole(self) -> "Route":
        _check_whole(self.weights)
        return self

    def describe(self) -> str:
        """Return a sentence on the share of each role."""
        return f"route {self.component} on {self.target}: {_shares(self.weights)}"

    @classmethod
    def describe_alike(cls, step: Mapping[str, Any], where: str) -> str:
        """Return the sentence for many such steps with the same shares."""
        return f"route {where}: {_shares(step['weights'])}"

    def action(self, binding: Binding) -> RouteSlots:
        """Return the action with the shares by slot; roles that share a slot share its traffic."""
        shares: dict[str, int] = {}
        for role, share in self.weights.items():
            slot = binding.slot(role)
            shares[slot] = shares.get(slot, 0) + share
        return RouteSlots(weights=shares, healthy=slots_of(self.healthy, binding))

    def configured_role(self, leg: Leg) -> Role:
        """The role that gains traffic: the candidate as soon as it gets a share."""
        if not self.weights.get("candidate"):
            return "stable"
        return "candidate" if leg == "forward" else "stable"

    def effect(self, done: StepDone) -> PlaceTrafficObserved | None:
        """Yield the fact on the shares that the load balancer stated, if it stated any."""
        if done.observed is None:
            return None
        return PlaceTrafficObserved(
            deployment=done.deployment,
            component=self.component,
            weights=done.observed,
            observedat=done.observedat,
            fence=done.fence,
        )

    def is_skippable(self, *, outdone: bool) -> bool:
        """Return True for a share on the way to a larger one; not for taking all traffic from the candidate."""
        return outdone and self.weights.get("candidate", 0) > 0

    @property
    def earlier_traffic(self) -> Literal["outdone"]:
        """The last shares count."""
        return "outdone"

    def reaches_users(self, leg: LegAtPlace) -> bool:
        """The new version gets traffic, or the old one loses it, or gets all of it back where nothing new comes."""
        moved = self.weights.get("candidate", 0) > 0 or self.weights.get("stable", 100) < 100
        return moved or not leg.brings or not any(self.weights.values())

    def ends_exposure(self, leg: LegAtPlace) -> bool:
        """The old version has all traffic again, or nothing has."""
        return self.weights.get("candidate", 0) == 0 and self.weights.get("stable") != 0


def _shares(weights: Mapping[Any, int]) -> str:
    return ", ".join(f"{share} % {role}" for role, share in weights.items())
