"""Environment: where releases go. Stream `environment:<name>`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal, Self, assert_never

from pydantic import Field, JsonValue, model_validator

from release_management.domain.names import ByName, GivenName, Labelled, Written
from release_management.domain.words import ActorId, Command, Fact, Line, Name, Percent, Refused, Value

MAX_TARGETS = 1_000
"""The targets of one environment."""
Tier = Literal["development", "testing", "staging", "production"]
TIERS: dict[str, Tier] = {
    "dev": "development",
    "development": "development",
    "test": "testing",
    "testing": "testing",
    "qa": "testing",
    "stage": "staging",
    "staging": "staging",
    "uat": "staging",
    "prod": "production",
    "production": "production",
    "live": "production",
}


def tier_of(name: str) -> Tier:
    """The tier that an environment's name suggests (`prod-eu` is production); `development` where it says nothing."""
    return next((TIERS[word] for word in name.split("-") if word in TIERS), "development")


class ApprovalRule(Value):
    """How many must grant, who may (empty: anyone), and whether the release's own people may."""

    required: Annotated[int, Field(ge=0, le=20)] = 1
    approvers: tuple[ActorId, ...] = ()
    allow_self: bool = False


class Target(Labelled):
    """Where components run in an environment.

    `components` holds each component's settings for the executor. `routes` says which traffic shares it can set:
    any percentage, the listed ones, or none at all. `slots` are the physical stands that a version can occupy.
    """

    name: Written = "main"
    executor: Name = "local"
    routes: Literal["any", "none"] | tuple[Percent, ...] = "any"
    slots: Annotated[tuple[GivenName, ...], Field(min_length=1, max_length=8)] = ("blue", "green")
    reversible: bool = True
    labels: ByName[Line] = {}
    components: ByName[dict[str, JsonValue]] = {}

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.slots)) != len(self.slots):
            raise ValueError(f"a slot stands twice in {', '.join(self.slots)}; name each once")
        return self


# Events


class EnvironmentConfigured(Fact):
    """The environment is as stated from now on; its targets are stated on their own."""

    NAME: ClassVar[str] = "environment.configured"
    name: Name
    label: Line
    tier: Tier
    order: int
    approval: ApprovalRule
    variables: dict[str, str] = {}


class TargetConfigured(Fact):
    """The target is as stated from now on."""

    NAME: ClassVar[str] = "environment.target_configured"
    target: Target


EnvironmentEvent = EnvironmentConfigured | TargetConfigured


# Commands


class ApprovalWish(Value):
    """An approval rule as people write it: approvers by name."""

    required: Annotated[int, Field(ge=0, le=20)] = 1
    approvers: tuple[Line, ...] = ()
    allow_self: bool = False


class ConfigureEnvironment(Command, Labelled):
    """Create an environment or change what is given; what is not given stays.

    `variables` reach the processes; a value `env:NAME` or `file:PATH` is a reference that the executor resolves.
    """

    NAME: ClassVar[str] = "environment.configure"
    tier: Tier | None = None
    order: Annotated[int, Field(ge=0, le=10_000)] | None = None
    approval: ApprovalWish | None = None
    variables: dict[str, str] | None = None
    targets: Annotated[tuple[Target, ...], Field(max_length=200)] = ()


# State


@dataclass(frozen=True, slots=True)
class Environment:
    """What is known of an environment; `name` is empty while it does not exist."""

    name: str = ""
    label: str = ""
    tier: Tier = "development"
    order: int = 0
    approval: ApprovalRule = field(default_factory=lambda: ApprovalRule(required=0))
    variables: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)


def evolve(state: Environment, event: EnvironmentEvent) -> Environment:
    """Apply one fact."""
    match event:
        case EnvironmentConfigured():
            return replace(
                state,
                name=event.name,
                label=event.label,
                tier=event.tier,
                order=event.order,
                approval=event.approval,
                variables=event.variables,
            )
        case TargetConfigured(target=target):
            return replace(state, targets={**state.targets, target.name: target})
        case _:
            assert_never(event)


# Decisions


def decide(command: ConfigureEnvironment, state: Environment, approval: ApprovalRule | None) -> list[EnvironmentEvent]:
    """Configure; `approval` is the command's rule with the approvers' names turned into ids.

    Tier production defaults to one approval by somebody else.
    """
    names = [target.name for target in command.targets]
    if len(set(names)) != len(names):
        raise Refused(f"environment {command.name}: a target stands twice in {', '.join(names)}; name each once")
    if len({*names, *state.targets}) > MAX_TARGETS:
        raise Refused(
            f"environment {command.name}: it would have {len({*names, *state.targets})} targets and may have "
            f"{MAX_TARGETS}; spread them over several environments"
        )
    if approval is not None and approval.approvers and approval.required > len(set(approval.approvers)):
        raise Refused(
            f"environment {command.name}: {approval.required} approvals are required of "
            f"{len(set(approval.approvers))} approvers; name more approvers or require fewer"
        )
    exists = bool(state.name)
    tier = command.tier or (state.tier if exists else tier_of(command.name))
    if approval is None:
        approval = state.approval if exists else ApprovalRule(required=1 if tier == "production" else 0)
    configured = EnvironmentConfigured(
        name=command.name,
        label=command.label or state.label or command.name,
        tier=tier,
        order=state.order if command.order is None else command.order,
        approval=approval,
        variables=dict(state.variables) if command.variables is None else command.variables,
    )
    facts: list[EnvironmentEvent] = []
    if not exists or evolve(state, configured) != state:
        facts.append(configured)
    targets = [_with_its_label(target, state) for target in command.targets]
    facts += [TargetConfigured(target=target) for target in targets if state.targets.get(target.name) != target]
    return facts


def _with_its_label(target: Target, state: Environment) -> Target:
    """The target with the label that it has, unless another one is given."""
    known = state.targets.get(target.name)
    if target.label is not None or known is None or known.label is None:
        return target
    return target.model_copy(update={"label": known.label})
