"""The effects of a deployment's facts on its places: the facts about a place that follow from them."""

from collections.abc import Iterator

from release_management.domain.deployment.events import (
    DeploymentEvent,
    DeploymentStepStarted,
    DeploymentStepSucceeded,
)
from release_management.domain.deployment.state import (
    Deployment,
    doubted,
    step_at,
)
from release_management.domain.place_events import PlaceEvent, PlaceSlotDoubted
from release_management.domain.plan import PlaceStep
from release_management.domain.plan.step import StepDone

Effect = tuple[str, PlaceEvent]
"""A target's name, and a fact about the application's place on that target."""


def effects(state: Deployment, fact: DeploymentEvent, fence: int | None = None) -> Iterator[Effect]:
    """Yield the effects on its place of a step that was ordered, or done: the step itself defines them.

    `state` is the deployment's. `fence` is that of the order whose report led to the fact.
    """
    if isinstance(fact, DeploymentStepStarted):
        intended = fact.action.intended(state.id, fact.component)
        if intended is not None:
            yield fact.target, intended
    elif isinstance(fact, DeploymentStepSucceeded):
        step = step_at(state, fact.leg, fact.step)
        binding = state.binding(*step.key) if isinstance(step, PlaceStep) else None
        if isinstance(step, PlaceStep) and binding is not None:
            effect = step.effect(StepDone(state.id, binding, fact.observedat, fact.observed, fence))
            if effect is not None:
                yield step.target, effect


def doubts(state: Deployment) -> Iterator[Effect]:
    """Yield the slots that an ended deployment leaves in doubt: the result of its last order there is unknown."""
    for target, component, slot in doubted(state):
        yield target, PlaceSlotDoubted(deployment=state.id, component=component, slot=slot)
