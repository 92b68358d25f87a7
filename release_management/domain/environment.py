"""Environment: a destination of releases. Stream `environment:<name>`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal, Self, assert_never

from pydantic import Field, JsonValue, model_validator

from release_management.domain.tiers import DEFAULT_TIER, Tier
from release_management.domain.variables import Variables
from release_management.kernel.aggregate import Aggregate, itself
from release_management.kernel.names import (
    ByName,
    GivenName,
    Labelled,
    Written,
)
from release_management.kernel.types import (
    ActorId,
    Command,
    Fact,
    Line,
    Name,
    Note,
    Percent,
    Personal,
    Value,
)

MAX_TARGETS = 1_000
"""The maximum number of targets of one environment."""
TierSource = Literal["name", "default"]
"""The source of a tier that was not stated: the environment's name, or the default."""


class ApprovalRule(Value):
    """The number of signatures required, the people who may sign (empty: anyone), and whether the release's own may."""

    required: Annotated[int, Field(ge=0, le=20)] = Field(1, description="how many must agree")
    approvers: tuple[ActorId, ...] = Field((), description="who may agree; empty: anyone who is allowed otherwise")
    allow_self: bool = Field(
        False, description="whether the people who made the release or asked for the deployment may agree"
    )


class ApplicationComponents(Value):
    """One application's components on a target, with their settings for the executor."""

    components: ByName[dict[str, JsonValue]] = Field({}, description="each component's settings")


class Target(Labelled):
    """A target: the place of components in an environment.

    `components` holds each component's settings for the executor, for any application; `applications` holds those of
    one application's components, which take precedence. `routes` are the traffic shares that the target can set: any
    percentage, the listed ones, or none at all. `slots` are the physical slots that a version can occupy.
    """

    name: Written = Field("main", description="its name")
    executor: Name = Field("local", description="who carries the steps out; there are `command` and `local`")
    routes: Literal["any", "none"] | tuple[Percent, ...] = Field(
        "any", description="which traffic shares it can set: any, none, or the listed ones in percent"
    )
    slots: Annotated[tuple[GivenName, ...], Field(min_length=1, max_length=8)] = Field(
        ("blue", "green"), description="the physical stands that a version can occupy"
    )
    reversible: bool = Field(
        True, description="whether there is a way back; where not, a failure stops the deployment where it is"
    )
    labels: ByName[Line] = Field({}, description="labels of your own")
    components: ByName[dict[str, JsonValue]] = Field({}, description="each component's settings for the executor")
    applications: ByName[ApplicationComponents] | None = Field(
        None, description="each application's components, with settings that come before `components`"
    )

    def settings_of(self, application: str, component: str) -> Mapping[str, JsonValue] | None:
        """The declared settings of an application's component; None if the target does not run it."""
        own = (self.applications or {}).get(application)
        if own is not None and component in own.components:
            return own.components[component]
        return self.components.get(component)

    def declared(self) -> Iterator[tuple[str | None, str, Mapping[str, JsonValue]]]:
        """Every declared application, component and settings; the application is None if they hold for any."""
        for component, settings in self.components.items():
            yield None, component, settings
        for application, own in (self.applications or {}).items():
            for component, settings in own.components.items():
                yield application, component, settings

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.slots)) != len(self.slots):
            raise ValueError(f"a slot stands twice in {', '.join(self.slots)}; name each once")
        return self


def _part(target: str | None) -> str:
    return "the environment" if target is None else f"target {target}"


# Events


class EnvironmentConfigured(Fact):
    """The environment has this configuration from now on; its targets have facts of their own.

    `tier_source`: the tier was not stated, but derived. Older records do not say so.
    """

    NAME: ClassVar[str] = "environment.configured"
    name: Name = Field(description="its name")
    label: Line = Field(description="the name for people")
    tier: Tier = Field(description="how near to production it is")
    order: int = Field(description="its place among the environments")
    approval: ApprovalRule = Field(description="how many must agree, and who may")
    variables: dict[str, str] = Field(
        {},
        description="environment variables of every process there; `env:NAME` and `file:PATH` are references, "
        "resolved by the executor",
    )
    tier_source: TierSource | None = Field(
        None, description="Nobody has stated the tier: `name`, it follows from the name; `default`, the name says none."
    )

    def _summary(self) -> str:
        return f"environment {self.name}: {self.tier}, {self.approval.required} approvals required"


class TargetConfigured(Fact):
    """The target has this configuration from now on."""

    NAME: ClassVar[str] = "environment.target_configured"
    target: Target = Field(description="the target as stated")

    def _summary(self) -> str:
        return f"target {self.target.name}: executor {self.target.executor}, slots {', '.join(self.target.slots)}"


class ApplicationEntered(Fact):
    """A deployment of this application was planned here for the first time."""

    NAME: ClassVar[str] = "environment.application_entered"
    application: Name = Field(description="the application")

    def _summary(self) -> str:
        return f"application {self.application} comes here for the first time"


class ApprovalAwaited(Fact):
    """A deployment to the environment waits for approval."""

    NAME: ClassVar[str] = "environment.approval_awaited"
    deployment: str = Field(description="the deployment's id")

    def _summary(self) -> str:
        return f"{self.deployment} waits for approval"


class ApprovalSettled(Fact):
    """The deployment waits for approval no longer."""

    NAME: ClassVar[str] = "environment.approval_settled"
    deployment: str = Field(description="the deployment's id")

    def _summary(self) -> str:
        return f"{self.deployment} waits for approval no longer"


class RetirementBegun(Fact):
    """The retirement of the environment, or of one target of it, began.

    Deployments stop its components, and nothing new is deployed to it.
    """

    NAME: ClassVar[str] = "environment.retirement_begun"
    target: Name | None = Field(None, description="the target; absent: the whole environment")
    by: ActorId = Field(description="who did it")
    note: Personal | None = Field(None, description="a remark, sealed")

    def _summary(self) -> str:
        return f"{_part(self.target)} is to be retired, says {self.by}"


class RetirementCancelled(Fact):
    """The environment, or one target of it, stays or is restored."""

    NAME: ClassVar[str] = "environment.retirement_cancelled"
    target: Name | None = Field(None, description="the target; absent: the whole environment")
    by: ActorId = Field(description="who did it")

    def _summary(self) -> str:
        return f"{_part(self.target)} stays, says {self.by}"


class Retired(Fact):
    """The environment, or one target of it, is retired: no component runs there any more. The history stays."""

    NAME: ClassVar[str] = "environment.retired"
    target: Name | None = Field(None, description="the target; absent: the whole environment")

    def _summary(self) -> str:
        return f"{_part(self.target)} is retired"


EnvironmentEvent = (
    EnvironmentConfigured
    | TargetConfigured
    | ApplicationEntered
    | ApprovalAwaited
    | ApprovalSettled
    | RetirementBegun
    | RetirementCancelled
    | Retired
)


# Commands


class ApprovalInput(Value):
    """An approval rule as people write it: approvers by name."""

    required: Annotated[int, Field(ge=0, le=20)] = Field(1, description="how many must agree")
    approvers: tuple[Line, ...] = Field((), description="who may agree; empty: anyone who is allowed otherwise")
    allow_self: bool = Field(
        False, description="whether the people who made the release or asked for the deployment may agree"
    )


class ConfigureEnvironment(Command, Labelled):
    """Create an environment, or change the given fields of one.

    `variables` reach the processes; a value `env:NAME` or `file:PATH` is a reference that the executor resolves.
    """

    NAME: ClassVar[str] = "environment.configure"
    tier: Tier | None = Field(None, description="absent: as it is, or what the name suggests")
    order: Annotated[int, Field(ge=0, le=10_000)] | None = Field(None, description="its place among the environments")
    approval: ApprovalInput | None = Field(
        None, description="how many must agree, and who may; a new environment of tier production asks for one"
    )
    variables: Variables | None = Field(
        None,
        description="environment variables of every process there; `env:NAME` and `file:PATH` are references, "
        "resolved by the executor",
    )
    targets: Annotated[tuple[Target, ...], Field(max_length=MAX_TARGETS)] = Field(
        (), description="targets to add or to state anew; others stay"
    )


class RetireEnvironment(Command):
    """Retire the environment, or one target of it: plans, which are subject to the rules, stop the components there.

    `applications` names applications that have been there, for logs that are older than the environment's own list.
    """

    NAME: ClassVar[str] = "environment.retire"
    NEEDS_WORKERS: ClassVar[bool] = True
    name: GivenName = Field(description="its name")
    target: GivenName | None = Field(None, description="only this target of it; absent: the whole environment")
    applications: Annotated[tuple[GivenName, ...], Field(max_length=1_000)] = Field(
        (), description="applications that have been there, for logs that are older than the environment's own list"
    )
    reason: Note | None = Field(None, description="why, in a sentence")


class KeepEnvironment(Command):
    """Keep the environment, or one target of it, after all; a retired environment is restored."""

    NAME: ClassVar[str] = "environment.keep"
    name: GivenName = Field(description="its name")
    target: GivenName | None = Field(None, description="only this target of it; absent: the whole environment")


# State


@dataclass(frozen=True, slots=True)
class Environment:
    """The state of an environment; `name` is empty while it does not exist.

    `applications` have been deployed here. `awaiting` are deployments that wait for approval. `retiring` and `retired`
    concern the whole environment, `leaving` are targets that are being retired.
    """

    name: str = ""
    label: str = ""
    tier: Tier = DEFAULT_TIER
    tier_source: TierSource | None = None
    order: int = 0
    approval: ApprovalRule = field(default_factory=lambda: ApprovalRule(required=0))
    variables: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    applications: tuple[str, ...] = ()
    awaiting: tuple[str, ...] = ()
    retiring: bool = False
    retired: bool = False
    leaving: frozenset[str] = frozenset()

    @property
    def staying(self) -> "Environment":
        """The environment without its retiring targets, to which no component is deployed any more."""
        retired = self.targets.keys() if self.retiring or self.retired else self.leaving
        remaining = {
            name: target.model_copy(update={"components": {}}) if name in retired else target
            for name, target in self.targets.items()
        }
        return replace(self, targets=remaining)


def evolve(state: Environment, event: EnvironmentEvent) -> Environment:
    """Apply one fact."""
    match event:
        case EnvironmentConfigured():
            return replace(
                state,
                name=event.name,
                label=event.label,
                tier=event.tier,
                tier_source=event.tier_source,
                order=event.order,
                approval=event.approval,
                variables=event.variables,
            )
        case TargetConfigured(target=target):
            return replace(state, targets={**state.targets, target.name: target})
        case ApplicationEntered(application=application):
            return replace(state, applications=(*state.applications, application))
        case ApprovalAwaited(deployment=deployment):
            return replace(state, awaiting=(*state.awaiting, deployment))
        case ApprovalSettled(deployment=deployment):
            return replace(state, awaiting=tuple(each for each in state.awaiting if each != deployment))
        case RetirementBegun(target=name):
            return replace(state, retiring=True) if name is None else replace(state, leaving=state.leaving | {name})
        case RetirementCancelled(target=name):
            if name is None:
                return replace(state, retiring=False, retired=False)
            return replace(state, leaving=state.leaving - {name})
        case Retired(target=name):
            if name is None:
                return replace(state, retired=True, retiring=False)
            remaining = {other: target for other, target in state.targets.items() if other != name}
            return replace(state, targets=remaining, leaving=state.leaving - {name})
        case _:
            assert_never(event)


# Declaration


ENVIRONMENT = Aggregate("environment", Environment(), EnvironmentEvent, evolve, itself)
