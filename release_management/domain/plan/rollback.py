"""The rollback of a plan, compiled from its forward steps.

Every step names the forward wave since which it is needed, so an early failure undoes only what was done.
"""

from collections.abc import Callable

from release_management.domain.plan import AnyStep, PlaceStep
from release_management.domain.plan.builder import Count, PlanBuilder
from release_management.domain.plan.steps.promote import Promote
from release_management.domain.plan.steps.provision import Provision
from release_management.domain.plan.steps.retire import Retire
from release_management.domain.plan.steps.route import Route


def _since(builder: PlanBuilder, matches: Callable[[PlaceStep], bool]) -> Count:
    """Return a function to the first forward wave with a matching step for a rollout target; -1 if there is none.

    For an unsettled rollout target every step is needed, whatever was begun.
    """
    waves: dict[tuple[str, str], int] = {}
    for step in builder.steps:
        if isinstance(step, PlaceStep) and matches(step):
            waves.setdefault(step.key, step.wave)
    return lambda rollout: 0 if rollout.unsettled else waves.get((rollout.target, rollout.component), -1)


def back_by_traffic(forward: PlanBuilder) -> list[AnyStep]:
    """Return the rollback that moves the traffic back first, if the stable version still runs in full.

    No pause of it awaits a person.
    """
    leaving = {(rollout.target, rollout.component) for rollout in forward.leaving}

    def shrinks(step: PlaceStep) -> bool:
        """Return True if the step reduces a stable version that a rollback restores.

        A stable version that is replaced has no rollback once it is being stopped.
        """
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
    """Return the rollback that stops the new version, then starts the old one."""
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
