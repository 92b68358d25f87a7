"""Going back from what a deployment brought, and trying again what did not succeed."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain import place as places
from release_management.domain.deployment.commands import Abort, Retry, Rollback
from release_management.domain.deployment.events import Binding, Return
from release_management.domain.deployment.state import ACTIVE, WAITING, Deployment, Phase
from release_management.domain.place import Standing, Success
from release_management.domain.slots import settled
from release_management.domain.strategies import StrategyName
from release_management.domain.words import Command, Refused
from release_management.services.decisions.deployments import abort_deployment, answer, request
from release_management.services.decisions.planning import Wanted, plan
from release_management.services.desk import Desk


def rollback(command: Rollback, desk: Desk) -> None:
    """Abort what runs. Leave what has succeeded, or could not go back, by a new deployment of what was there before.

    Each component goes back on each target to what succeeded there before it.
    """
    state = desk.deployment(command.deployment)
    if state.phase in ACTIVE or state.phase in WAITING:
        abort_deployment(Abort(deployment=state.id, reason=command.reason), desk)
        return
    if state.phase is Phase.ROLLBACK_FAILED:
        done = _back_already(desk, state)
        if done is not None:
            answer(desk, done)
            return
    elif state.phase is not Phase.SUCCEEDED:
        answer(desk, state.id)
        return
    returns: list[Return] = []
    releases: list[str] = []
    for binding in state.bindings.values():
        if state.phase is Phase.SUCCEEDED:
            _check_newest(desk, state, binding)
        success = _success_before(desk, state, binding)
        to = None if success is None else success.deployment
        returns.append(Return(target=binding.target, component=binding.component, to=to))
        releases += [] if success is None else [success.version]
    if not releases:
        raise Refused(
            f"nothing of what {state.release} brought to {state.environment} had succeeded there before; "
            "deploy the version that you want"
        )
    release = Counter(releases).most_common(1)[0][0]
    wanted = Wanted(
        f"{state.application}@{release}",
        state.environment,
        _fastest(desk, state),
        reverts=state.id,
        returns=tuple(returns),
    )
    request(desk, plan(desk, wanted), None, note=command.reason)


def _check_newest(desk: Desk, state: Deployment, binding: Binding) -> None:
    """Refuse to go back from what does not run any more."""
    place = desk.place(state.environment, state.application, binding.target)
    if binding.candidate is None:
        standing = place.components.get(binding.component, Standing())
        newest = state.id if standing.serving is None else None
    else:
        successes = place.succeeded.get(binding.component, ())
        newest = successes[-1].deployment if successes else None
    if newest != state.id:
        raise Refused(
            f"{binding.component} of deployment {state.id} is not what runs on {binding.target} in "
            f"{state.environment} any more; roll back the newest one"
        )


def _success_before(desk: Desk, state: Deployment, binding: Binding) -> Success | None:
    """What the component goes back to: the newest success before, past those of blocked releases."""
    place = desk.place(state.environment, state.application, binding.target)
    for success in places.earlier(place, binding.component, state.id):
        bound = desk.deployment(success.deployment).binding(binding.target, binding.component)
        release = desk.release(f"{state.application}@{success.version}")
        if bound is not None and bound.candidate is not None and not release.blocked:
            return success
    return None


def _back_already(desk: Desk, state: Deployment) -> str | None:
    """The deployment that has gone back in its stead, or does; None where something is left to be set right."""
    unsettled = False
    gone_back: list[str] = []
    for binding in state.bindings.values():
        place = desk.place(state.environment, state.application, binding.target)
        if place.lock is not None:
            if desk.deployment(place.lock).reverts == state.id:
                return place.lock
            raise Refused(
                f"deployment {place.lock} is at work where {state.id} could not go back; let it end, or abort it first"
            )
        target = desk.environment(state.environment).targets[binding.target]
        standing = place.components.get(binding.component, Standing())
        unsettled |= standing.serving is None or not settled(standing, target.slots)
        successes = place.succeeded.get(binding.component, ())
        gone_back += [each.deployment for each in successes if desk.deployment(each.deployment).reverts == state.id]
    if unsettled:
        return None
    if not gone_back:
        raise Refused(
            f"nothing is left of deployment {state.id} in {state.environment} that could be taken back: "
            "another has set it right; roll back the newest one, or deploy the version that you want"
        )
    return gone_back[-1]


def _fastest(desk: Desk, state: Deployment) -> StrategyName:
    """The fastest way that the targets can go: all traffic at once where they can, else recreate."""
    targets = desk.environment(state.environment).targets
    able = all(len(targets[name].slots) > 1 and targets[name].routes != "none" for name in state.targets)
    return "blue-green" if able else "recreate"


def retry(command: Retry, desk: Desk) -> None:
    """Deploy again what has ended without success."""
    state = desk.deployment(command.deployment)
    if not state.ended:
        raise Refused(f"deployment {state.id} is {state.phase}; only one that has ended can be retried")
    if state.phase is Phase.SUCCEEDED:
        answer(desk, state.id)
        return
    strategy = state.strategy if state.chosen else None
    wanted = Wanted(
        state.release,
        state.environment,
        strategy,
        state.options,
        retries=state.id,
        reverts=state.reverts,
        returns=state.returns,
        redeploys=state.redeploys,
    )
    request(desk, plan(desk, wanted), None)


HANDLERS: Mapping[type[Command], Callable[[Any, Desk], None]] = {
    Rollback: rollback,
    Retry: retry,
}
