"""The decisions on a deployment: from a command, the state and further input to the facts that follow.

`before_start` decides until the deployment starts, `walk` decides how it goes through its plan, and `progress` adds
what follows at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from release_management.domain.condition import SeenSlot
from release_management.domain.deployment import before_start, walk
from release_management.domain.deployment.before_start import BeforeStart
from release_management.domain.deployment.commands import (
    Abort,
    Expire,
    ExpireStep,
    Promote,
    ReportStep,
    Resume,
    RetryStep,
)
from release_management.domain.deployment.events import DeploymentEvent
from release_management.domain.deployment.state import Deployment
from release_management.domain.plan import Binding

# Commands, given by other decisions only


@dataclass(frozen=True, slots=True)
class Start:
    """Start the deployment. The giver has evaluated the rules, holds the places, and has bound every step to slots."""

    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True)
class GiveWay:
    """Roll back or stop waiting for the deployment `successor`, which brings the release `to`."""

    to: str
    successor: str


@dataclass(frozen=True, slots=True)
class EndBake:
    """End the bake early and stop the old version, for `successor`, which waits for nothing else."""

    successor: str


@dataclass(frozen=True, slots=True)
class StopBlocked:
    """Roll back, since the release is blocked, if the deployment waits in a pause or a bake."""


@dataclass(frozen=True, slots=True)
class NoticeCondition:
    """Evaluate an executor's observation of a component's slots."""

    target: str
    component: str
    slots: Sequence[SeenSlot]


WalkCommand = (
    Start
    | ReportStep
    | ExpireStep
    | RetryStep
    | Resume
    | Expire
    | Promote
    | Abort
    | GiveWay
    | EndBake
    | StopBlocked
    | NoticeCondition
)
DeploymentCommand = BeforeStart | WalkCommand


# Decisions


@dataclass(frozen=True, slots=True)
class DeploymentFacts:
    """The further input of a decision on a deployment: the actor, and the time."""

    actor: str
    now: str


def decide(command: DeploymentCommand, state: Deployment, facts: DeploymentFacts) -> list[DeploymentEvent]:
    """Decide on one deployment. Raises `Refused`, and `NotYet` where a timer comes too early."""
    if isinstance(command, BeforeStart):
        return before_start.decide(command, state, facts.actor, facts.now)
    return _walk(command, state, facts.actor, facts.now)


def _walk(command: WalkCommand, state: Deployment, actor: str, now: str) -> list[DeploymentEvent]:
    match command:
        case Start(bindings=bindings):
            return walk.start(state, bindings, now)
        case ReportStep():
            return walk.report(state, command, now)
        case ExpireStep(leg=leg, step=step, attempt=attempt):
            return walk.expire_step(state, leg, step, attempt, now)
        case RetryStep(leg=leg, step=step, attempt=attempt):
            return walk.retry_step(state, leg, step, attempt, now)
        case Resume(leg=leg, step=step):
            return walk.resume(state, leg, step, now)
        case Expire():
            return walk.expire(state, now)
        case Promote(step=pause, full=full):
            return walk.promote(state, pause, full, actor, now)
        case Abort(reason=reason):
            return walk.abort(state, actor, reason, now)
        case GiveWay(to=release, successor=successor):
            return walk.supersede(state, release, successor, now)
        case EndBake(successor=successor):
            return walk.end_bake(state, successor, actor, now)
        case StopBlocked():
            return walk.stop_blocked(state, now)
        case NoticeCondition(target=target, component=component, slots=slots):
            return walk.notice(state, target, component, slots, now)
        case _:
            assert_never(command)
