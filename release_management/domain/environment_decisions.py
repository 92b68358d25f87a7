"""The decisions on an environment."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from release_management.domain.environment import (
    MAX_TARGETS,
    ApplicationEntered,
    ApprovalAwaited,
    ApprovalInput,
    ApprovalRule,
    ApprovalSettled,
    ConfigureEnvironment,
    Environment,
    EnvironmentConfigured,
    EnvironmentEvent,
    KeepEnvironment,
    Retired,
    RetireEnvironment,
    RetirementBegun,
    RetirementCancelled,
    Target,
    TargetConfigured,
    TierSource,
    evolve,
)
from release_management.domain.tiers import (
    DEFAULT_TIER,
    Tier,
    suggested_tier,
)
from release_management.kernel.errors import ErrorCode
from release_management.kernel.suggestions import what_there_is
from release_management.kernel.types import Refused, Unsealed

# Commands, given by the decisions on deployments and approvals only


@dataclass(frozen=True, slots=True)
class NoteApplications:
    """Record that deployments of these applications are planned here, unless that is recorded already."""

    applications: Collection[str]


@dataclass(frozen=True, slots=True)
class NoteWaiting:
    """Record that a deployment waits for approval here, or no longer does."""

    deployment: str
    waits: bool


@dataclass(frozen=True, slots=True)
class RetireEmpty:
    """Retire the environment, or its targets, if they are being retired and are `empty`: no component runs there."""

    empty: Collection[str]


EnvironmentCommand = (
    ConfigureEnvironment | RetireEnvironment | KeepEnvironment | NoteApplications | NoteWaiting | RetireEmpty
)


# Decisions


@dataclass(frozen=True, slots=True)
class EnvironmentFacts:
    """The further input of a decision on an environment.

    `next_order` is the order of an environment that is added at the end; `people` maps the names of approvers to their
    ids.
    """

    actor: str
    next_order: int = 0
    people: Mapping[str, str] = field(default_factory=dict)


def decide(command: EnvironmentCommand, state: Environment, facts: EnvironmentFacts) -> list[EnvironmentEvent]:
    """Decide on one environment."""
    match command:
        case ConfigureEnvironment():
            return _configure(command, state, facts)
        case RetireEnvironment():
            return _begin_retirement(command, state, facts.actor)
        case KeepEnvironment():
            return _keep(command, state, facts.actor)
        case NoteApplications(applications=applications):
            new = [name for name in dict.fromkeys(applications) if name not in state.applications]
            return [ApplicationEntered(application=name) for name in new]
        case NoteWaiting(deployment=deployment, waits=waits):
            if waits == (deployment in state.awaiting):
                return []
            return [ApprovalAwaited(deployment=deployment) if waits else ApprovalSettled(deployment=deployment)]
        case RetireEmpty(empty=empty):
            return _retire_empty(empty, state)
        case _:
            assert_never(command)


def being_retired(state: Environment) -> tuple[str, ...]:
    """The targets that are being retired."""
    return tuple(state.targets) if state.retiring else tuple(sorted(state.leaving))


def _retire_empty(empty: Collection[str], state: Environment) -> list[EnvironmentEvent]:
    if state.retiring and all(target in empty for target in state.targets):
        return [Retired()]
    return [Retired(target=target) for target in sorted(state.leaving) if target in empty]


def _configure(command: ConfigureEnvironment, state: Environment, facts: EnvironmentFacts) -> list[EnvironmentEvent]:
    """Configure the environment. An environment of tier production requires one approval unless stated otherwise."""
    approval = None if command.approval is None else _rule(command.approval, facts)
    _check_targets(command, state)
    _check_rule(command.name, approval)
    _check_staying(command, state)
    exists = bool(state.name)
    last = state.order if exists else facts.next_order
    tier, source = _tier(command, state)
    if approval is None:
        approval = state.approval if exists else ApprovalRule(required=1 if tier == "production" else 0)
    configured = EnvironmentConfigured(
        name=command.name,
        label=command.label or state.label or command.name,
        tier=tier,
        order=last if command.order is None else command.order,
        approval=approval,
        variables=dict(state.variables) if command.variables is None else command.variables,
        tier_source=source,
    )
    targets = [_with_its_label(target, state) for target in command.targets]
    return [
        *([configured] if not exists or evolve(state, configured) != state else []),
        *(TargetConfigured(target=target) for target in targets if state.targets.get(target.name) != target),
    ]


def _check_targets(command: ConfigureEnvironment, state: Environment) -> None:
    """Refuse targets that are named twice, and too many targets."""
    names = [target.name for target in command.targets]
    if len(set(names)) != len(names):
        raise Refused(
            f"environment {command.name}: a target stands twice in {', '.join(names)}; name each once",
            code=ErrorCode.INVALID,
        )
    if len({*names, *state.targets}) > MAX_TARGETS:
        raise Refused(
            f"environment {command.name}: it would have {len({*names, *state.targets})} targets and may have "
            f"{MAX_TARGETS}; spread them over several environments",
            code=ErrorCode.INVALID,
        )


def _check_rule(environment: str, approval: ApprovalRule | None) -> None:
    """Refuse a rule that requires more signatures than there are people who may sign."""
    if approval is not None and approval.approvers and approval.required > len(set(approval.approvers)):
        raise Refused(
            f"environment {environment}: {approval.required} approvals are required of "
            f"{len(set(approval.approvers))} approvers; name more approvers or require fewer",
            code=ErrorCode.INVALID,
        )


def _check_staying(command: ConfigureEnvironment, state: Environment) -> None:
    """Refuse to configure an environment or targets that are being retired, or are retired."""
    names = [target.name for target in command.targets]
    if state.retired or state.retiring:
        raise Refused(
            f"environment {command.name} is retired; to take it back: relman env keep {command.name}",
            code=ErrorCode.CONFLICT,
        )
    if retiring := [name for name in names if name in state.leaving]:
        raise Refused(
            f"environment {command.name}: target {retiring[0]} is being retired; to keep it: "
            f"relman env keep {command.name} --target {retiring[0]}",
            code=ErrorCode.CONFLICT,
        )


def _with_its_label(target: Target, state: Environment) -> Target:
    """Return the target with its present label, unless another one is given."""
    known = state.targets.get(target.name)
    if target.label is not None or known is None or known.label is None:
        return target
    return target.model_copy(update={"label": known.label})


def _begin_retirement(command: RetireEnvironment, state: Environment, actor: str) -> list[EnvironmentEvent]:
    """Begin to retire the environment or one of its targets; if that has begun or ended already, nothing follows."""
    if state.retired or (command.target is None and state.retiring):
        return []
    if command.target is not None and command.target not in state.targets:
        known = what_there_is(command.target, state.targets)
        raise Refused(f"environment {state.name} has no target {command.target!r}{known}", code=ErrorCode.NOT_FOUND)
    if command.target in state.leaving:
        return []
    note = None if command.reason is None else Unsealed(subject=actor, text=command.reason)
    return [RetirementBegun(target=command.target, by=actor, note=note)]


def _keep(command: KeepEnvironment, state: Environment, actor: str) -> list[EnvironmentEvent]:
    """Cancel a retirement, or restore a retired environment."""
    if command.target is None:
        retiring = state.retiring or state.retired
    elif command.target in state.targets:
        retiring = command.target in state.leaving
    else:
        raise Refused(
            f"environment {state.name} has no target {command.target!r}; configure it to have it again",
            code=ErrorCode.NOT_FOUND,
        )
    return [RetirementCancelled(target=command.target, by=actor)] if retiring else []


def _tier(command: ConfigureEnvironment, state: Environment) -> tuple[Tier, TierSource | None]:
    """Return the tier, and the source from which it was derived if nobody stated it."""
    if command.tier is not None:
        return command.tier, None
    if state.name:
        return state.tier, state.tier_source
    suggested = suggested_tier(command.name)
    return (DEFAULT_TIER, "default") if suggested is None else (suggested, "name")


def _rule(rule: ApprovalInput, facts: EnvironmentFacts) -> ApprovalRule:
    """Return the rule as it is recorded, with approvers by their ids."""
    approvers = tuple(facts.people[name] for name in rule.approvers)
    return ApprovalRule(required=rule.required, approvers=approvers, allow_self=rule.allow_self)
