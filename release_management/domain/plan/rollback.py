"""The way back, compiled from the steps of the way forward.

Every step says since which forward wave it is needed, so an early failure undoes only what was done.
"""

from collections.abc import Callable

from release_management.domain.plan import AnyStep, PlaceStep
from release_management.domain.plan.builder import Count, PlanBuilder
from release_management.domain.plan.steps.promote import Promote
from release_management.domain.plan.steps.provision import Provision
from release_management.domain.plan.steps.retire import Retire
from release_management.domain.plan.steps.route import Route


def _since(builder: PlanBuilder, matches: Callable[[PlaceStep], bool]) -> Count:
    """The first forward wave with such a step for the stand; -1 where there is none.

    Where the stand was unsettled every step is needed, whatever was begun.
    """
    waves: dict[tuple[str, str], int] = {}
    for step in builder.steps:
        if isinstance(step, PlaceStep) and matches(step):
            waves.setdefault(step.key, step.wave)
    return lambda rollout: 0 if rollout.unsettled else waves.get((rollout.target, rollout.component), -1)


def back_by_traffic(forward: PlanBuilder) -> list[AnyStep]:
    """Traffic back first, where the stable version still stands in full; then the rest. No pause for a person."""
    leaving = {(rollout.target, rollout.component) for rollout in forward.leaving}

    def shrinks(step: PlaceStep) -> bool:
        """Less of the stable version runs; one that is replaced and has begun to go has no way back."""
        if isinstance(step, Retire):
            return step.role == "stable" and step.key in leaving
        return isinstance(step, Provision) and step.role == "stable"

    shrunk = _since(forward, shrinks)
    routed = _since(forward, lambda step: isinstance(step, Route))
    promoted = _since(forward, lambda step: isinstance(step, Promote))
    provisioned = _since(forward, lambda step: isinstance(step, Provision) and step.role == "candidate")
    back = PlanBuilder(forward.rollouts, forward.options)
    back.provision(lambda rollout: rollout.stable_replicas, "stable", shrunk)
    back.await_healthy(lambda rollout: rollout.stable_replicas, "stable", shrunk)
    back.route(lambda s: {"stable": 100, "candidate": 0} if s.serving else {"candidate": 0}, routed)
    back.promote("stable", promoted)
    first_route = min((routed(rollout) for rollout in forward.rollouts if routed(rollout) >= 0), default=None)
    if first_route is not None and any(rollout.serving for rollout in forward.rollouts):
        delay = forward.options.abort_scale_down_delay
        back.pause("before the aborted version is stopped", delay, baking=True, since=first_route)
    back.retire("candidate", provisioned)
    return back.steps


def back_by_recreate(forward: PlanBuilder) -> list[AnyStep]:
    """Stop the new version, then start the old one."""
    closed = _since(forward, lambda step: isinstance(step, Route))
    opened = _since(forward, lambda step: isinstance(step, Route) and step.weights.get("candidate") == 100)
    retired = _since(forward, lambda step: isinstance(step, Retire))
    provisioned = _since(forward, lambda step: isinstance(step, Provision))
    back = PlanBuilder(forward.rollouts, forward.options)
    back.route(lambda s: {"stable": 0, "candidate": 0} if s.serving else {"candidate": 0}, opened)
    back.retire("candidate", provisioned)
    back.provision(lambda rollout: rollout.stable_replicas, "stable", retired)
    back.await_healthy(lambda rollout: rollout.stable_replicas, "stable", retired)
    back.route(lambda s: {"stable": 100, "candidate": 0} if s.serving else None, closed)
    back.promote("stable", retired)
    return back.steps
