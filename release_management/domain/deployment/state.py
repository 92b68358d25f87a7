"""The state of a deployment."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any, assert_never

from pydantic import BeforeValidator, JsonValue, PlainSerializer, TypeAdapter
from pydantic_core import to_json

from release_management.domain.deployment.events import (
    DeploymentAborting,
    DeploymentApprovalAwaited,
    DeploymentCancelled,
    DeploymentEvent,
    DeploymentExpired,
    DeploymentFastForwarded,
    DeploymentHalted,
    DeploymentInsisted,
    DeploymentPaused,
    DeploymentPlanned,
    DeploymentQueued,
    DeploymentRejected,
    DeploymentReplanned,
    DeploymentRequested,
    DeploymentResumed,
    DeploymentRollbackFailed,
    DeploymentRolledBack,
    DeploymentStarted,
    DeploymentStepErrored,
    DeploymentStepFailed,
    DeploymentStepStarted,
    DeploymentStepSucceeded,
    DeploymentSucceeded,
    DeploymentSuperseded,
    Return,
)
from release_management.domain.deployment.steps import (
    Steps,
    StepState,
    StepStates,
    StepStatus,
)
from release_management.domain.plan import (
    AnyStep,
    Binding,
    Leg,
    OrderedStep,
    PlaceStep,
    Plan,
)
from release_management.domain.plan.steps.await_healthy import AwaitHealthy
from release_management.domain.plan.steps.pause import Pause
from release_management.domain.plan.steps.promote import Promote
from release_management.domain.plan.steps.provision import Provision
from release_management.domain.plan.steps.retire import Retire
from release_management.domain.plan.strategies import StrategyName
from release_management.kernel.aggregate import Aggregate, itself


class DeploymentPhase(StrEnum):
    """The phases of a deployment."""

    ABSENT = "Absent"
    PLANNED = "Planned"
    AWAITING_APPROVAL = "AwaitingApproval"
    QUEUED = "Queued"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    BAKING = "Baking"
    ABORTING = "Aborting"
    SUCCEEDED = "Succeeded"
    ROLLED_BACK = "RolledBack"
    ROLLBACK_FAILED = "RollbackFailed"
    HALTED = "Halted"
    REJECTED = "Rejected"
    EXPIRED = "Expired"
    CANCELLED = "Cancelled"
    SUPERSEDED = "Superseded"


WAITING = frozenset({DeploymentPhase.PLANNED, DeploymentPhase.AWAITING_APPROVAL, DeploymentPhase.QUEUED})
MOVING = frozenset({DeploymentPhase.PROGRESSING, DeploymentPhase.PAUSED, DeploymentPhase.BAKING})
ACTIVE = MOVING | {DeploymentPhase.ABORTING}


_LIST = TypeAdapter(list[Binding])


def _bindings_listed(bindings: Mapping[tuple[str, str], Binding]) -> list[Binding]:
    return list(bindings.values())


def _bindings_keyed(bindings: Any) -> Any:
    return by_place(_LIST.validate_json(to_json(bindings))) if isinstance(bindings, list) else bindings


def by_place(bindings: Iterable[Binding]) -> dict[tuple[str, str], Binding]:
    """Bindings by target and component."""
    return {(binding.target, binding.component): binding for binding in bindings}


Bindings = Annotated[
    Mapping[tuple[str, str], Binding], BeforeValidator(_bindings_keyed), PlainSerializer(_bindings_listed)
]
"""Bindings by target and component; in JSON a list."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The state of a deployment, folded from its events.

    `begun` and `begun_back` are the highest waves of each leg that were begun, -1 before the first. `open` are the
    steps of the leg that were begun and are neither done nor skipped. `successor` is the deployment for which its bake
    ended early.
    """

    id: str = ""
    phase: DeploymentPhase = DeploymentPhase.ABSENT
    release: str = ""
    application: str = ""
    version: str = ""
    environment: str = ""
    targets: tuple[str, ...] = ()
    strategy: StrategyName = "rolling"
    chosen: bool = False
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    plan: Plan | None = None
    digest: str = ""
    by: str = ""
    requested_by: str = ""
    approval: str | None = None
    deadline: str | None = None
    bindings: Bindings = field(default_factory=dict)
    leg: Leg = "forward"
    steps: Steps = field(default_factory=StepStates)
    open: frozenset[int] = frozenset()
    skipped: frozenset[int] = frozenset()
    begun: int = -1
    begun_back: int = -1
    promoted: bool = False
    reverts: str | None = None
    retries: str | None = None
    started_at: str | None = None
    returns: tuple[Return, ...] | None = None
    redeploys: bool = False
    supersede: bool = False
    downgrade: bool = False
    successor: str | None = None

    @property
    def ended(self) -> bool:
        """True if the deployment can no longer move."""
        return self.phase not in WAITING and self.phase not in ACTIVE and self.phase is not DeploymentPhase.ABSENT

    def is_needed(self, leg: Leg, index: int, step: AnyStep) -> bool:
        """Return True if a leg does a step: nothing skips it, and a rollback has a begun wave to undo."""
        if leg == "forward":
            return index not in self.skipped
        return step.since is None or step.since <= self.begun

    def needed(self, leg: Leg) -> list[tuple[int, AnyStep]]:
        """The steps of a leg that are not skipped, with their indexes."""
        steps = self.plan.steps(leg) if self.plan else ()
        return [(index, step) for index, step in enumerate(steps) if self.is_needed(leg, index, step)]

    def next_wave(self) -> list[tuple[int, AnyStep]]:
        """The steps of the next wave of the leg in which any are needed, with their indexes; empty after the last."""
        steps = self.plan.steps(self.leg) if self.plan else ()
        begun = self.begun if self.leg == "forward" else self.begun_back
        found: list[tuple[int, AnyStep]] = []
        for index in range(bisect_right(steps, begun, key=lambda step: step.wave), len(steps)):
            step = steps[index]
            if found and step.wave != found[0][1].wave:
                break
            if self.is_needed(self.leg, index, step):
                found.append((index, step))
        return found

    def binding(self, target: str, component: str) -> Binding | None:
        """The roles of a component at a place."""
        return self.bindings.get((target, component))


def evolve(state: Deployment, event: DeploymentEvent) -> Deployment:
    """Apply one fact. Total: facts that contradict the state change what they can and never raise."""
    match event:
        case DeploymentPlanned():
            return Deployment(
                id=event.deployment,
                phase=DeploymentPhase.PLANNED,
                release=event.release,
                application=event.application,
                version=event.version,
                environment=event.environment,
                targets=event.targets,
                strategy=event.strategy,
                chosen=event.chosen,
                options=event.options,
                plan=event.plan,
                digest=event.digest,
                by=event.by,
                reverts=event.reverts,
                retries=event.retries,
                returns=event.returns,
                redeploys=bool(event.redeploys),
                deadline=event.deadline,
            )
        case DeploymentReplanned():
            return replace(
                state,
                strategy=event.strategy,
                options=event.options,
                targets=event.targets,
                plan=event.plan,
                digest=event.digest,
            )
        case DeploymentRequested(by=by):
            return replace(state, requested_by=by)
        case DeploymentInsisted(supersede=supersede, downgrade=downgrade):
            return replace(state, supersede=state.supersede or supersede, downgrade=state.downgrade or downgrade)
        case DeploymentApprovalAwaited(approval=approval):
            return replace(state, approval=approval, phase=_waits(state, DeploymentPhase.AWAITING_APPROVAL))
        case DeploymentQueued(deadline=deadline):
            return replace(state, phase=DeploymentPhase.QUEUED, deadline=deadline)
        case DeploymentStarted(bindings=bindings, at=at):
            return replace(
                state, phase=DeploymentPhase.PROGRESSING, bindings=by_place(bindings), deadline=None, started_at=at
            )
        case DeploymentStepStarted():
            step = StepState(StepStatus.STARTED, event.attempt, event.deadline)
            return _begin(state, event.leg, event.step, event.wave, step)
        case DeploymentStepSucceeded():
            done = StepState(StepStatus.DONE, event.attempt)
            state = _begin(state, event.leg, event.step, event.wave, done)
            return replace(state, promoted=_promoted(state, event))
        case DeploymentStepFailed():
            step = StepState(StepStatus.FAILED, event.attempt, untouched=event.untouched)
            return _with_step(state, event.leg, event.step, step)
        case DeploymentStepErrored():
            step = StepState(StepStatus.ERRORED, event.attempt, event.retry_at)
            return _with_step(state, event.leg, event.step, step)
        case DeploymentPaused():
            step = StepState(StepStatus.WAITING, 1, event.until or event.deadline, timed=event.until is not None)
            state = _begin(state, event.leg, event.step, event.wave, step)
            phase = DeploymentPhase.BAKING if event.baking else DeploymentPhase.PAUSED
            return replace(state, phase=phase if event.leg == "forward" else state.phase)
        case DeploymentResumed(leg=leg, step=index, successor=successor):
            state = _with_step(state, leg, index, StepState(StepStatus.DONE))
            state = replace(state, successor=successor or state.successor)
            return replace(state, phase=DeploymentPhase.PROGRESSING if leg == "forward" else state.phase)
        case DeploymentFastForwarded(skipped=skipped):
            phase = DeploymentPhase.PROGRESSING if state.phase is DeploymentPhase.PAUSED else state.phase
            opened = state.open if state.leg == "rollback" else state.open.difference(skipped)
            return replace(state, skipped=state.skipped | frozenset(skipped), open=opened, phase=phase)
        case DeploymentAborting():
            return replace(state, phase=DeploymentPhase.ABORTING, leg="rollback", open=frozenset())
        case DeploymentSucceeded():
            return replace(state, phase=DeploymentPhase.SUCCEEDED)
        case DeploymentRolledBack():
            return replace(state, phase=DeploymentPhase.ROLLED_BACK)
        case DeploymentRollbackFailed():
            return replace(state, phase=DeploymentPhase.ROLLBACK_FAILED)
        case DeploymentHalted():
            return replace(state, phase=DeploymentPhase.HALTED)
        case DeploymentRejected():
            return replace(state, phase=DeploymentPhase.REJECTED)
        case DeploymentExpired():
            return replace(state, phase=DeploymentPhase.EXPIRED)
        case DeploymentCancelled():
            return replace(state, phase=DeploymentPhase.CANCELLED)
        case DeploymentSuperseded():
            return replace(state, phase=DeploymentPhase.SUPERSEDED)
        case _:
            assert_never(event)


def _waits(state: Deployment, phase: DeploymentPhase) -> DeploymentPhase:
    return phase if state.requested_by else state.phase


def _begin(state: Deployment, leg: Leg, index: int, wave: int, step: StepState) -> Deployment:
    state = _with_step(state, leg, index, step)
    if leg == "forward":
        return state if wave <= state.begun else replace(state, begun=wave)
    return state if wave <= state.begun_back else replace(state, begun_back=wave)


def _with_step(state: Deployment, leg: Leg, index: int, step: StepState) -> Deployment:
    steps = StepStates(state.steps) if not isinstance(state.steps, StepStates) else state.steps
    opened = state.open
    if leg == state.leg:
        opened = opened - {index} if step.status is StepStatus.DONE else opened | {index}
    return replace(state, steps=steps.having(leg, index, step), open=opened)


def _promoted(state: Deployment, event: DeploymentStepSucceeded) -> bool:
    steps = state.plan.steps(event.leg) if state.plan else ()
    step = steps[event.step] if 0 <= event.step < len(steps) else None
    return step.role == "candidate" if isinstance(step, Promote) else state.promoted


# What decisions ask of a state


def step_at(state: Deployment, leg: Leg, index: int) -> AnyStep:
    """The plan's step at an index of a leg."""
    steps = state.plan.steps(leg) if state.plan else ()
    return steps[index]


def waiting_at(state: Deployment) -> tuple[int, StepState] | None:
    """The pause in which the deployment waits now, or None."""
    for index in state.open:
        step = state.steps[state.leg, index]
        if step.status is StepStatus.WAITING:
            return index, step
    return None


def bake(state: Deployment) -> int | None:
    """The bake in which the deployment waits now, a pause that only keeps the old version for a while, or None."""
    waiting = waiting_at(state) if state.phase in ACTIVE else None
    if waiting is None:
        return None
    step = step_at(state, state.leg, waiting[0])
    return waiting[0] if isinstance(step, Pause) and step.baking else None


def past_no_return(state: Deployment) -> bool:
    """Return True if the new version is stable and the old one has begun to be stopped: the point of no return."""
    begun = [step_at(state, *key) for key, known in state.steps.items() if key[0] == "forward" and not known.untouched]
    return state.promoted and any(isinstance(step, Retire) and step.role == "stable" for step in begun)


def found_healthy(state: Deployment, target: str, component: str) -> bool:
    """Return True if the candidate was found healthy, and no more of it is being provisioned or awaited now."""
    begun = [
        (step, known.status)
        for (leg, index), known in state.steps.items()
        if leg == "forward" and isinstance(step := step_at(state, leg, index), Provision | AwaitHealthy)
        if step.role == "candidate" and step.key == (target, component)
    ]
    awaited = any(isinstance(step, AwaitHealthy) for step, _ in begun)
    return awaited and all(status is StepStatus.DONE for _, status in begun)


def doubted(state: Deployment) -> tuple[tuple[str, str, str], ...]:
    """The slots (target, component, slot) whose last order is not known to be done: their content is uncertain."""
    last: dict[tuple[str, str, str], StepStatus] = {}
    legs: tuple[Leg, ...] = ("forward", "rollback")
    for leg in legs:
        for index, step in enumerate(state.plan.steps(leg) if state.plan else ()):
            known = state.steps.get((leg, index))
            if known is None or known.untouched or not isinstance(step, OrderedStep) or step.changed_role is None:
                continue
            if binding := state.binding(*step.key):
                last[(*step.key, binding.slot(step.changed_role))] = known.status
    return tuple(slot for slot, status in last.items() if status is not StepStatus.DONE)


def skippable(state: Deployment) -> tuple[int, ...]:
    """The steps not begun, and the pauses not over, that a promotion in full skips; each step declares whether it can.

    A traffic step is skipped if a later one sets the traffic anew, unless the stable version shrinks or is stopped in
    between, which needs its traffic moved before.
    """
    skipped: list[int] = []
    outdone: set[tuple[str, str]] = set()
    for index, step in reversed(state.needed("forward")):
        known = state.steps.get(("forward", index))
        is_left = known is None or known.status is StepStatus.WAITING
        if is_left and step.is_skippable(outdone=isinstance(step, PlaceStep) and step.key in outdone):
            skipped.append(index)
        if isinstance(step, PlaceStep) and step.earlier_traffic == "outdone":
            outdone.add(step.key)
        elif isinstance(step, PlaceStep) and step.earlier_traffic == "needed":
            outdone.discard(step.key)
    return tuple(reversed(skipped))


# Declaration


def _missing(id: str) -> str:
    return f"deployment {id} does not exist; relman deployment list shows those that do"


DEPLOYMENT = Aggregate("deployment", Deployment(), DeploymentEvent, evolve, itself, _missing)
