"""The moves of a deployment through its plan, by a report, a time or a person: from its state to the facts.

`progress` has what follows from these facts at once.
`now` is RFC 3339 text in UTC with microseconds; such texts compare as times.
"""

from collections.abc import Sequence

from release_management.domain.condition import SeenSlot
from release_management.domain.deployment.events import (
    DeploymentCancelled,
    DeploymentEvent,
    DeploymentExpired,
    DeploymentFastForwarded,
    DeploymentResumed,
    DeploymentStarted,
    DeploymentStepSucceeded,
    DeploymentSuperseded,
)
from release_management.domain.deployment.progress import (
    begin_step,
    end_overdue,
    fail_step,
    retry_or_give_up,
    then_advance,
    turn_back,
)
from release_management.domain.deployment.state import (
    ACTIVE,
    MOVING,
    WAITING,
    Deployment,
    DeploymentPhase,
    bake,
    found_healthy,
    past_no_return,
    skippable,
    step_at,
    waiting_at,
)
from release_management.domain.deployment.steps import StepStatus
from release_management.domain.orders import Report
from release_management.domain.plan import (
    Binding,
    Leg,
    PlaceStep,
)
from release_management.domain.plan.steps.pause import Pause
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import (
    NotYet,
    Refused,
    Unsealed,
)


def start(state: Deployment, bindings: tuple[Binding, ...], now: str) -> list[DeploymentEvent]:
    """Start the plan; the caller has evaluated the rules, holds the places, and binds every step of the plan."""
    if state.phase not in WAITING or state.plan is None:
        return []
    bound = {(binding.target, binding.component) for binding in bindings}
    for step in (*state.plan.forward, *state.plan.rollback):
        if isinstance(step, PlaceStep) and step.key not in bound:
            raise Refused(
                f"deployment {state.id}: {step.component} on {step.target} has no slot; plan it again",
                code=ErrorCode.CONFLICT,
            )
    return then_advance(state, [DeploymentStarted(bindings=bindings, at=now)], now)


def report(state: Deployment, said: Report, now: str) -> list[DeploymentEvent]:
    """Take an executor's report. A report on anything but an outstanding order changes nothing."""
    step = state.steps.get((said.leg, said.step))
    current = step is not None and step.status is StepStatus.STARTED and step.attempt == said.attempt
    if said.deployment != state.id or state.phase not in ACTIVE or said.leg != state.leg or step is None or not current:
        return []
    reason = said.reason or f"the executor answered {said.result}"
    if said.result == "succeeded":
        if step.due is not None and said.observedat > step.due:
            return end_overdue(state, said.leg, said.step, "done only after the step's deadline", now)
        done = DeploymentStepSucceeded(
            leg=said.leg,
            step=said.step,
            attempt=said.attempt,
            wave=step_at(state, said.leg, said.step).wave,
            observed=said.observed,
            observedat=said.observedat,
        )
        return then_advance(state, [done], now)
    if said.result in ("failed", "unwell"):
        return fail_step(state, said.leg, said.step, reason, now, untouched=said.result == "unwell")
    return retry_or_give_up(state, said.leg, said.step, reason, now)


def expire_step(state: Deployment, leg: Leg, index: int, attempt: int, now: str) -> list[DeploymentEvent]:
    """End an attempt whose deadline has passed without a report. Raises `NotYet`."""
    step = state.steps.get((leg, index))
    if state.phase not in ACTIVE or leg != state.leg or step is None or step.status is not StepStatus.STARTED:
        return []
    if step.attempt != attempt or step.due is None:
        return []
    _wait_until(step.due, now)
    return end_overdue(state, leg, index, "no word from the executor before the step's deadline", now)


def retry_step(state: Deployment, leg: Leg, index: int, attempt: int, now: str) -> list[DeploymentEvent]:
    """Try an errored step again once its time has come. Raises `NotYet`."""
    step = state.steps.get((leg, index))
    if state.phase not in ACTIVE or leg != state.leg or step is None or step.status is not StepStatus.ERRORED:
        return []
    if step.attempt != attempt or step.due is None:
        return []
    _wait_until(step.due, now)
    return begin_step(state, leg, index, step_at(state, leg, index), now, attempt + 1)


def resume(state: Deployment, leg: Leg, index: int, now: str) -> list[DeploymentEvent]:
    """End a timed pause once its time is over. Raises `NotYet`."""
    waiting = waiting_at(state)
    if state.phase not in ACTIVE or leg != state.leg or waiting is None or waiting[0] != index:
        return []
    _, step = waiting
    if not step.timed or step.due is None:
        return []
    _wait_until(step.due, now)
    return then_advance(state, [DeploymentResumed(leg=leg, step=index, by="system:timers")], now)


def expire(state: Deployment, now: str) -> list[DeploymentEvent]:
    """End a waiting phase whose deadline has passed. Raises `NotYet`."""
    if state.phase in (DeploymentPhase.PLANNED, DeploymentPhase.QUEUED) and state.deadline is not None:
        _wait_until(state.deadline, now)
        if state.phase is DeploymentPhase.PLANNED:
            return [DeploymentExpired(reason="nobody deployed it before the plan's deadline")]
        return [DeploymentExpired(reason="the place did not become free before the deadline")]
    waiting = waiting_at(state)
    if state.phase is DeploymentPhase.PAUSED and waiting is not None:
        _, step = waiting
        if not step.timed and step.due is not None:
            _wait_until(step.due, now)
            return turn_back(state, "deadline", "nobody promoted it before the pause's deadline", now)
    return []


def promote(state: Deployment, step: int | None, full: bool, actor: str, now: str) -> list[DeploymentEvent]:
    """End a pause; `full` skips the remaining pauses and the traffic steps before the last.

    `step` is the pause that was seen. Without it only what pauses once is promoted: else the pause that was seen may be
    over, and this may be another one.
    """
    waiting = waiting_at(state)
    if state.phase is DeploymentPhase.SUCCEEDED:
        return []
    if state.phase not in MOVING:
        raise Refused(
            f"deployment {state.id} is {state.phase}; only a running one can be promoted", code=ErrorCode.CONFLICT
        )
    if step is not None and (done := state.steps.get(("forward", step))) and done.status is StepStatus.DONE:
        return []
    if full and step is None:
        skipped = skippable(state)
        if not skipped:
            return []
        return then_advance(state, [DeploymentFastForwarded(skipped=skipped, by=actor)], now)
    if waiting is None or (step is not None and waiting[0] != step):
        if waiting is None or step is None:
            raise Refused(
                f"deployment {state.id} is {state.phase} and waits for nobody; "
                "promote it when it is Paused, or promote it in full",
                code=ErrorCode.CONFLICT,
            )
        raise Refused(
            f"deployment {state.id} does not wait at step {step + 1}, but at step {waiting[0] + 1}; "
            f"{_name_step(state)}",
            code=ErrorCode.CONFLICT,
        )
    if step is None and _pauses(state) != [waiting[0]]:
        raise Refused(
            f"deployment {state.id} waits at step {waiting[0] + 1} and may pause more than once; {_name_step(state)}",
            code=ErrorCode.INVALID,
        )
    if full:
        return then_advance(state, [DeploymentFastForwarded(skipped=skippable(state), by=actor)], now)
    return then_advance(state, [DeploymentResumed(leg="forward", step=waiting[0], by=actor)], now)


def _pauses(state: Deployment) -> list[int]:
    """The forward pauses of the plan, without the bake."""
    steps = () if state.plan is None else state.plan.forward
    return [index for index, step in enumerate(steps) if isinstance(step, Pause) and not step.baking]


def _name_step(state: Deployment) -> str:
    waiting = waiting_at(state)
    number = "N" if waiting is None else waiting[0] + 1
    return f"look at it, and name the pause that you saw: relman deployment promote {state.id} --step {number}"


def abort(state: Deployment, actor: str, note: str | None, now: str) -> list[DeploymentEvent]:
    """Roll back; before the start: cancel. A deployment that has ended without success stays as it is."""
    text = None if note is None else Unsealed(subject=actor, text=note)
    if state.phase in WAITING:
        return [DeploymentCancelled(by=actor, note=text)]
    if state.phase is DeploymentPhase.SUCCEEDED:
        raise Refused(
            f"deployment {state.id} has succeeded; to leave its version, roll it back", code=ErrorCode.CONFLICT
        )
    if state.phase not in MOVING:
        return []
    if past_no_return(state):
        raise Refused(
            f"deployment {state.id} has begun to stop the old version; let it end, then roll it back",
            code=ErrorCode.CONFLICT,
        )
    return turn_back(state, "person", "somebody aborted it", now, actor, text)


def supersede(state: Deployment, by: str, successor: str, now: str) -> list[DeploymentEvent]:
    """Give way to another deployment, `successor`, which brings `by`: roll back, or stop waiting.

    A deployment that is about to end by itself is left to do so.
    """
    if state.phase in WAITING:
        return [DeploymentSuperseded(successor=successor)]
    if state.phase not in MOVING or past_no_return(state):
        return []
    return turn_back(state, "superseded", f"superseded by {by}", now)


def end_bake(state: Deployment, successor: str, actor: str, now: str) -> list[DeploymentEvent]:
    """End the bake and stop the old version for `successor`, which waits for nothing else.

    The health of the stable version is checked first, as after the whole bake.
    """
    index = bake(state)
    if index is None:
        return []
    resumed = DeploymentResumed(leg=state.leg, step=index, by=actor, successor=successor)
    return then_advance(state, [resumed], now)


def stop_blocked(state: Deployment, now: str) -> list[DeploymentEvent]:
    """Roll back the deployment of a blocked release if it waits in a pause or a bake.

    A rollback goes on, and so does a deployment that has begun to stop the old version.
    """
    if (
        state.phase not in (DeploymentPhase.PAUSED, DeploymentPhase.BAKING)
        or state.reverts is not None
        or past_no_return(state)
    ):
        return []
    return turn_back(state, "blocked", f"{state.release} is blocked", now)


def notice(
    state: Deployment, target: str, component: str, slots: Sequence[SeenSlot], now: str
) -> list[DeploymentEvent]:
    """Evaluate an observation: a candidate that was found healthy, and is not any more, is rolled back.

    Nothing follows while the candidate is provisioned or awaited, nor once the old version is being stopped.
    """
    binding = state.binding(target, component)
    if state.phase not in MOVING or binding is None or binding.candidate is None:
        return []
    seen = next((slot for slot in slots if slot.slot == binding.candidate_slot and not _well(slot)), None)
    if seen is None or past_no_return(state) or not found_healthy(state, target, component):
        return []
    version = f"{component} {binding.candidate.version} on {target}"
    reason = f"{version} is not well any more: {seen.slot} is {seen.condition}"
    return turn_back(state, "unwell", f"{reason}: {seen.reason}" if seen.reason else reason, now)


def _well(seen: SeenSlot) -> bool:
    """Return True unless something is known to be wrong.

    A degraded slot is well if enough instances are healthy again.
    """
    if seen.condition == "degraded":
        return (seen.healthy or 0) >= seen.wanted and not seen.restarts
    return seen.condition != "down"


def _wait_until(due: str, now: str) -> None:
    """Raise `NotYet` before the due time.

    An outcome without facts would be final, since a timer repeats its command under one id.
    """
    if now < due:
        raise NotYet(due)
