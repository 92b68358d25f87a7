"""The decisions on a deployment before it starts: planned, requested, waiting, or ended without a start.

Other decisions, which have compiled the plan and evaluated the rules, give all these commands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from pydantic import JsonValue

from release_management.domain.deployment.events import (
    DeploymentApprovalAwaited,
    DeploymentEvent,
    DeploymentExpired,
    DeploymentInsisted,
    DeploymentPlanned,
    DeploymentQueued,
    DeploymentRejected,
    DeploymentReplanned,
    DeploymentRequested,
    DeploymentSuperseded,
    Return,
)
from release_management.domain.deployment.state import (
    WAITING,
    Deployment,
    DeploymentPhase,
)
from release_management.domain.plan.planning import Draft
from release_management.domain.plan.strategies import StrategyName, parse_options
from release_management.kernel.timestamps import later
from release_management.kernel.types import Unsealed

QUEUE_SECONDS = 86_400.0
"""Seconds for which a queued deployment waits for its places before it expires."""
REASON_LENGTH = 500


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """The input of a plan: a release (`application@version`), an environment, and options.

    `reverts` and `retries` name the deployment that a rollback or a retry follows; `returns` are a rollback's targets.
    """

    release: str
    environment: str
    strategy: StrategyName | None = None
    options: Mapping[str, JsonValue] | None = None
    reverts: str | None = None
    retries: str | None = None
    returns: tuple[Return, ...] | None = None
    redeploys: bool = False


# Commands


@dataclass(frozen=True, slots=True)
class KeepPlan:
    """Record a compiled plan as the deployment with this id."""

    deployment: str
    plan_request: PlanRequest
    compiled: Draft


@dataclass(frozen=True, slots=True)
class Replan:
    """Record a newly compiled plan if it differs from the recorded one; `reason` says why it differs."""

    compiled: Draft
    reason: str


@dataclass(frozen=True, slots=True)
class RequestDeployment:
    """Request that the plan be carried out; `note` is the person's reason."""

    note: str | None = None


@dataclass(frozen=True, slots=True)
class Insist:
    """Add a demand to a waiting deployment: others give way, or an older version may come. See `DeploymentInsisted`."""

    supersede: bool = False
    downgrade: bool = False


@dataclass(frozen=True, slots=True)
class AwaitApproval:
    """Wait for the approval with this id."""

    approval: str


@dataclass(frozen=True, slots=True)
class Queue:
    """Wait for places that the deployments `behind` hold, or await before this one."""

    behind: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reject:
    """End the deployment, since a rule forbids it now."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lapse:
    """End the deployment, since its approval expired; its own deadline is `Expire`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Supersede:
    """End the deployment, since the deployment `successor` replaces it."""

    successor: str


BeforeStart = KeepPlan | Replan | RequestDeployment | Insist | AwaitApproval | Queue | Reject | Lapse | Supersede


# Decisions


def decide(command: BeforeStart, state: Deployment, actor: str, now: str) -> list[DeploymentEvent]:
    """Decide on a deployment that has not begun."""
    match command:
        case KeepPlan():
            return [_planned(command, actor, now)]
        case Replan():
            return _replanned(command, state)
        case RequestDeployment(note=note):
            if state.phase is not DeploymentPhase.PLANNED:
                return []
            return [DeploymentRequested(by=actor, note=None if note is None else Unsealed(subject=actor, text=note))]
        case Insist():
            return _insisted(command, state, actor)
        case AwaitApproval(approval=approval):
            return [DeploymentApprovalAwaited(approval=approval)]
        case Queue(behind=behind):
            if state.phase is DeploymentPhase.QUEUED:
                return []
            return [DeploymentQueued(behind=behind, deadline=later(now, QUEUE_SECONDS))]
        case Reject(reason=reason):
            return [DeploymentRejected(reason=_first_line(reason))]
        case Lapse(reason=reason):
            return [DeploymentExpired(reason=_first_line(reason))]
        case Supersede(successor=successor):
            return [DeploymentSuperseded(successor=successor)]
        case _:
            assert_never(command)


def _planned(command: KeepPlan, actor: str, now: str) -> DeploymentPlanned:
    plan_request, compiled = command.plan_request, command.compiled
    application, _, version = plan_request.release.partition("@")
    return DeploymentPlanned(
        deployment=command.deployment,
        release=plan_request.release,
        application=application,
        version=version,
        environment=plan_request.environment,
        targets=compiled.targets,
        strategy=compiled.strategy,
        chosen=plan_request.strategy is not None,
        options=dict(plan_request.options or {}),
        plan=compiled.plan,
        digest=compiled.plan.digest,
        by=actor,
        reverts=plan_request.reverts,
        retries=plan_request.retries,
        returns=plan_request.returns,
        redeploys=plan_request.redeploys or None,
        deadline=later(now, plan_seconds(compiled.strategy, compiled.options)),
    )


def plan_seconds(strategy: StrategyName, options: Mapping[str, JsonValue]) -> float:
    """Return the seconds that a plan with these options may wait to be deployed."""
    return parse_options(strategy, dict(options)).plan_deadline


def _replanned(command: Replan, state: Deployment) -> list[DeploymentEvent]:
    compiled = command.compiled
    if compiled.plan.digest == state.digest:
        return []
    return [
        DeploymentReplanned(
            strategy=compiled.strategy,
            options=dict(state.options),
            targets=compiled.targets,
            plan=compiled.plan,
            digest=compiled.plan.digest,
            reason=command.reason,
        )
    ]


def _insisted(command: Insist, state: Deployment, actor: str) -> list[DeploymentEvent]:
    """Record only demands that are new, and only while the deployment waits."""
    supersede = command.supersede and not state.supersede
    downgrade = command.downgrade and not state.downgrade
    if state.phase not in WAITING or not (supersede or downgrade):
        return []
    return [DeploymentInsisted(by=actor, supersede=supersede, downgrade=downgrade)]


def _first_line(reason: str) -> str:
    return reason.splitlines()[0][:REASON_LENGTH]
