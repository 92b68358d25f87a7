"""The facts that follow in a deployment by themselves: the next steps, the end, another attempt, or the rollback.

`now` is RFC 3339 text in UTC with microseconds.
"""

from release_management.domain.deployment.events import (
    DeploymentAborting,
    DeploymentEvent,
    DeploymentHalted,
    DeploymentPaused,
    DeploymentRollbackFailed,
    DeploymentRolledBack,
    DeploymentStepErrored,
    DeploymentStepFailed,
    DeploymentStepStarted,
    DeploymentStepSucceeded,
    DeploymentSucceeded,
)
from release_management.domain.deployment.state import (
    Deployment,
    DeploymentPhase,
    evolve,
    past_no_return,
    step_at,
)
from release_management.domain.orders import ATTEMPTS
from release_management.domain.plan import (
    AnyStep,
    Leg,
    OrderedStep,
)
from release_management.domain.plan.steps.pause import Pause
from release_management.kernel.timestamps import later
from release_management.kernel.types import (
    Personal,
)


def turn_back(
    state: Deployment,
    cause: str,
    reason: str,
    now: str,
    actor: str | None = None,
    note: Personal | None = None,
) -> list[DeploymentEvent]:
    """Begin the rollback; halt where the plan has none and its steps have begun."""
    if state.plan is not None and not state.plan.reversible and state.begun >= 0:
        return [DeploymentHalted(reason=f"{reason}; there is no way back here: a newer version is needed"[:500])]
    aborting = DeploymentAborting.model_validate({"cause": cause, "reason": reason[:500], "by": actor, "note": note})
    return then_advance(state, [aborting], now)


def end_overdue(state: Deployment, leg: Leg, index: int, reason: str, now: str) -> list[DeploymentEvent]:
    """End a step that exceeded its deadline: the step declares whether the release or the machinery is at fault."""
    step = step_at(state, leg, index)
    fault = step.fault_of_lateness(reason) if isinstance(step, OrderedStep) else None
    return (
        retry_or_give_up(state, leg, index, reason, now) if fault is None else fail_step(state, leg, index, fault, now)
    )


def fail_step(
    state: Deployment, leg: Leg, index: int, reason: str, now: str, *, untouched: bool = False
) -> list[DeploymentEvent]:
    """End an attempt by the fault of the release, and give up; in a rollback it counts as an error."""
    if leg == "rollback":
        return retry_or_give_up(state, leg, index, reason, now)
    attempt = state.steps[leg, index].attempt
    failed = DeploymentStepFailed(leg=leg, step=index, attempt=attempt, reason=reason, untouched=untouched)
    return [failed, *_give_up(evolve(state, failed), "failed", leg, index, reason, now)]


def retry_or_give_up(state: Deployment, leg: Leg, index: int, reason: str, now: str) -> list[DeploymentEvent]:
    """End an attempt by an error of the machinery; another one follows later, unless it was the last."""
    attempt = state.steps[leg, index].attempt
    again = attempt < ATTEMPTS[leg]
    retry_at = later(now, min(2.0 ** (attempt - 1), 30.0)) if again else None
    errored = DeploymentStepErrored(leg=leg, step=index, attempt=attempt, reason=reason, retry_at=retry_at)
    if again:
        return [errored]
    return [errored, *_give_up(evolve(state, errored), "errored", leg, index, reason, now)]


def _give_up(state: Deployment, cause: str, leg: Leg, index: int, reason: str, now: str) -> list[DeploymentEvent]:
    sentence = f"step {index + 1} {cause}: {reason}"[:500]
    if leg == "rollback":
        return [DeploymentRollbackFailed(reason=sentence)]
    if past_no_return(state):
        return [DeploymentHalted(reason=f"the new version serves; the old one could not be stopped: {sentence}"[:500])]
    return turn_back(state, cause, sentence, now)


def then_advance(state: Deployment, facts: list[DeploymentEvent], now: str) -> list[DeploymentEvent]:
    """Return these facts, and what follows from them at once."""
    for fact in facts:
        state = evolve(state, fact)
    return [*facts, *_advance(state, now)]


def _advance(state: Deployment, now: str) -> list[DeploymentEvent]:
    """Return the facts that follow at once: the next wave's steps, or the end."""
    facts: list[DeploymentEvent] = []
    while more := _next(state, now):
        facts += more
        for fact in more:
            state = evolve(state, fact)
    return facts


def _next(state: Deployment, now: str) -> list[DeploymentEvent]:
    if state.phase not in (DeploymentPhase.PROGRESSING, DeploymentPhase.ABORTING):
        return []
    if state.open:
        return []
    if wave := state.next_wave():
        return [fact for index, step in wave for fact in begin_step(state, state.leg, index, step, now, 1)]
    if state.leg == "forward":
        return [DeploymentSucceeded()]
    return [DeploymentRolledBack(empty=all(binding.stable is None for binding in state.bindings.values()))]


def begin_step(state: Deployment, leg: Leg, index: int, step: AnyStep, now: str, attempt: int) -> list[DeploymentEvent]:
    """Begin a step: wait in a pause, order it from its executor, or be done with it at once."""
    if isinstance(step, Pause):
        timed = step.duration is not None
        return [
            DeploymentPaused(
                leg=leg,
                step=index,
                wave=step.wave,
                reason=step.reason,
                baking=step.baking,
                until=later(now, step.duration or 0.0) if timed else None,
                deadline=None if timed else later(now, step.deadline),
            )
        ]
    if not isinstance(step, OrderedStep):
        return [DeploymentStepSucceeded(leg=leg, step=index, attempt=attempt, wave=step.wave, observedat=now)]
    binding = state.binding(step.target, step.component)
    if binding is None:
        raise LookupError(f"step {index} of the {leg} leg of deployment {state.id} is bound to no slot")
    configuration = binding.configured(step.configured_role(leg))
    return [
        DeploymentStepStarted(
            leg=leg,
            step=index,
            attempt=attempt,
            wave=step.wave,
            environment=state.environment,
            application=state.application,
            target=step.target,
            component=step.component,
            executor=binding.executor,
            action=step.action(binding),
            settings={**configuration.settings, "slots": list(binding.all_slots)},
            variables=dict(configuration.variables),
            deadline=later(now, step.order_seconds),
        )
    ]
