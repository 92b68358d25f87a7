"""Find the versions that a rollback restores, by component and by place."""

from collections.abc import Iterator

from release_management.domain import place as places
from release_management.domain.deployment.events import Return
from release_management.domain.deployment.state import Deployment
from release_management.domain.environment import Environment
from release_management.domain.place import Place, Success
from release_management.domain.place_component import ComponentStatus
from release_management.domain.plan import Binding
from release_management.domain.plan.slots import is_clean
from release_management.domain.policy import ROLLBACK_WINDOW
from release_management.kernel.errors import ErrorCode
from release_management.kernel.timestamps import later
from release_management.kernel.types import Refused
from release_management.services.gateway.unit_of_work import UnitOfWork


def from_deployment(uow: UnitOfWork, state: Deployment) -> tuple[Return, ...]:
    """Return the version before of each component that the deployment brought, on each target that still exists.

    A component that it was the first to bring is stopped. Raises `Refused` if a component has no version left.
    """
    targets = uow.environment(state.environment).targets
    returns: list[Return] = []
    for binding in state.bindings.values():
        if binding.target not in targets:
            continue
        place = uow.place(state.environment, state.application, binding.target)
        before = success_before(uow, state.application, place, binding.target, binding.component, state.id)
        if before is None and binding.stable is not None:
            raise Refused(_nothing_before(state, binding), code=ErrorCode.CONFLICT)
        returns.append(_to(place, binding.target, binding.component, before))
    return tuple(returns)


def _nothing_before(state: Deployment, binding: Binding) -> str:
    place = f"{binding.component} on {binding.target} in {state.environment}"
    return (
        f"{place}: no version from before deployment {state.id} is left to go back to; "
        "each was rolled back or is blocked, or never succeeded there: deploy the version that you want"
    )


def from_version(uow: UnitOfWork, application: str, environment: Environment, version: str) -> tuple[Return, ...]:
    """Return each component's content in that release, on each target; a component that it never ran there stays.

    A component that a complete release lacks is stopped. Raises `Refused` if the version has succeeded nowhere.
    """
    ref = f"{application}@{version}"
    release = uow.release(ref)
    named = {component.name for component in release.components}
    returns: list[Return] = []
    found = False
    for name in environment.targets:
        place = uow.place(environment.name, application, name)
        for component, status in place.components.items():
            success = _success_of(uow, place, name, component, version)
            found |= success is not None
            given_up = release.complete and component not in named
            if success is None and status.at_work and not given_up:
                success = places.newest(place, component)
                if success is None:
                    continue
            if success is not None or status.at_work:
                returns.append(_to(place, name, component, success))
    if not found:
        raise Refused(
            f"{ref} is no version to go back to in {environment.name}: it never succeeded there, or was rolled back, "
            f"or {places.REMEMBERED} others have succeeded since; deploy it: relman deploy {ref} {environment.name}",
            code=ErrorCode.CONFLICT,
        )
    return tuple(returns)


def _to(place: Place, target: str, component: str, success: Success | None) -> Return:
    newest = places.newest(place, component)
    return Return(
        target=target,
        component=component,
        to=None if success is None else success.deployment,
        version=None if success is None else success.version,
        leaves=None if newest is None else newest.deployment,
    )


def success_before(
    uow: UnitOfWork, application: str, place: Place, target: str, component: str, leaving: str
) -> Success | None:
    """Return a component's newest success before the deployment `leaving`, without those of blocked releases."""
    for success in places.earlier(place, component, leaving):
        if _brought(uow, success, target, component) and not uow.release(f"{application}@{success.version}").blocked:
            return success
    return None


def _success_of(uow: UnitOfWork, place: Place, target: str, component: str, version: str) -> Success | None:
    """Return a component's newest success in this version."""
    for success in reversed(place.succeeded.get(component, ())):
        if success.version == version and _brought(uow, success, target, component):
            return success
    return None


def _brought(uow: UnitOfWork, success: Success, target: str, component: str) -> bool:
    """Return True if the record says what the deployment brought there."""
    binding = uow.deployment(success.deployment).binding(target, component)
    return binding is not None and binding.candidate is not None


def under_way(uow: UnitOfWork, state: Deployment) -> str | None:
    """Return the rollback of the deployment that holds or awaits its places, or None."""
    for target in state.targets:
        place = uow.place(state.environment, state.application, target)
        for other in (place.lock, *place.queue):
            if other is not None and uow.deployment(other).reverts == state.id:
                return other
    return None


def gone_back(uow: UnitOfWork, state: Deployment) -> str | None:
    """Return the rollback of the deployment that has succeeded and whose content still runs, or None."""
    for binding in state.bindings.values():
        place = uow.place(state.environment, state.application, binding.target)
        newest = places.newest(place, binding.component)
        if newest is not None and uow.deployment(newest.deployment).reverts == state.id:
            return newest.deployment
    return None


def check_newest(uow: UnitOfWork, state: Deployment) -> None:
    """Refuse to revert a deployment whose content does not run any more."""
    for binding in state.bindings.values():
        place = uow.place(state.environment, state.application, binding.target)
        newest = places.newest(place, binding.component)
        status = place.components.get(binding.component, ComponentStatus())
        removed = binding.candidate is None
        if (status.serving is not None) if removed else (newest is None or newest.deployment != state.id):
            raise Refused(
                f"{binding.component} of deployment {state.id} is not what runs on {binding.target} in "
                f"{state.environment} any more; roll back the newest one",
                code=ErrorCode.CONFLICT,
            )


def check_unsettled(uow: UnitOfWork, state: Deployment) -> None:
    """Refuse if a failed deployment has left nothing to repair, or another one is at work there."""
    for place, binding in _bound_places(uow, state):
        if place.lock is not None:
            raise Refused(
                f"deployment {place.lock} is at work where {state.id} could not go back; let it end, or abort it first",
                code=ErrorCode.CONFLICT,
            )
        slots = uow.environment(state.environment).targets[binding.target].slots
        status = place.components.get(binding.component, ComponentStatus())
        if (status.serving is None and binding.stable is not None) or not is_clean(status, slots):
            return
    raise Refused(
        f"nothing is left of deployment {state.id} in {state.environment} that could be taken back: "
        "another has set it right; roll back the newest one, or deploy the version that you want",
        code=ErrorCode.CONFLICT,
    )


def _bound_places(uow: UnitOfWork, state: Deployment) -> Iterator[tuple[Place, Binding]]:
    """Yield the deployment's bindings with their places, on the targets that still exist."""
    targets = uow.environment(state.environment).targets
    for binding in state.bindings.values():
        if binding.target in targets:
            yield uow.place(state.environment, state.application, binding.target), binding


def newest_there(uow: UnitOfWork, application: str, environment: Environment) -> str:
    """Return the application's deployment under way in an environment, or else the one that succeeded there last."""
    found = [(name, uow.place(environment.name, application, name)) for name in environment.targets]
    holding = list(dict.fromkeys(place.lock for _, place in found if place.lock is not None))
    if len(holding) > 1:
        raise Refused(
            f"deployments {' and '.join(holding)} of {application} are under way in {environment.name}; "
            "roll back one of them: relman deployment rollback ID",
            code=ErrorCode.CONFLICT,
        )
    if holding:
        return holding[0]
    for name, place in found:
        for component, status in place.components.items():
            if not is_clean(status, environment.targets[name].slots):
                raise Refused(
                    f"the last deployment of {component} on {name} in {environment.name} did not end cleanly; roll "
                    "that one back (relman deployment list shows it), or say which version you want, with --to VERSION",
                    code=ErrorCode.CONFLICT,
                )
    successes = [each for _, place in found for known in place.succeeded.values() for each in known[-1:]]
    if not successes:
        raise Refused(
            f"nothing of {application} has succeeded in {environment.name}; there is nothing to take back",
            code=ErrorCode.CONFLICT,
        )
    return max(successes, key=lambda each: (each.at or "", each.deployment)).deployment


def goes_freely(uow: UnitOfWork, state: Deployment) -> bool:
    """Return True if a rollback needs neither approval nor gates: each version that it restores is recent enough.

    A version is recent if it succeeded within the policy's window, or ran directly before.
    """
    if state.returns is None or state.reverts is None:
        return True
    policies = uow.policies(state.application, state.environment)
    windows = [policy.rollback_window for policy in policies if policy.rollback_window is not None]
    window = windows[-1] if windows else ROLLBACK_WINDOW
    return all(_is_recent(uow, state, each, window) for each in state.returns)


def _is_recent(uow: UnitOfWork, state: Deployment, returning: Return, window: float) -> bool:
    if returning.to is None or returning.to == returning.leaves:
        return True
    place = uow.place(state.environment, state.application, returning.target)
    known = place.succeeded.get(returning.component, ())
    success = next((each for each in known if each.deployment == returning.to), None)
    if success is not None and success.at is not None and uow.now <= later(success.at, window):
        return True
    before = success_before(
        uow, state.application, place, returning.target, returning.component, returning.leaves or ""
    )
    return before is not None and before.deployment == returning.to
