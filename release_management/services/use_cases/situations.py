"""Gather the input of the rules about a deployment."""

from collections.abc import Collection

from release_management.domain.deployment.events import gives_up
from release_management.domain.deployment.state import (
    Deployment,
    DeploymentPhase,
    bake,
)
from release_management.domain.pipeline import Pipeline, walked
from release_management.domain.place import Place
from release_management.domain.place import newest as newest_success
from release_management.domain.policy import Gate, TriggerCondition
from release_management.domain.release import Release
from release_management.domain.rules import Situation
from release_management.domain.version_order import older
from release_management.domain.versions import Scheme
from release_management.kernel.digest import digest_of
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases.returning import goes_freely


def situation(uow: UnitOfWork, state: Deployment) -> Situation:
    """Return the input of the rules for a deployment."""
    release = uow.release(state.release)
    environment = uow.environment(state.environment)
    pipeline = uow.pipeline(release.pipeline) if release.pipeline else Pipeline()
    gates: dict[str, Gate] = {}
    triggers: tuple[TriggerCondition, ...] = ()
    for policy in uow.policies(state.application, state.environment):
        gates.update(policy.gates)
        triggers = policy.triggers or triggers
    return Situation(
        deployment=state.id,
        release=release,
        environment=environment if gives_up(state.returns) else environment.staying,
        places={name: uow.place(state.environment, state.application, name) for name in state.targets},
        gates=gates,
        triggers=triggers,
        approval=uow.approval(state.approval),
        digest=approval_digest(release, state),
        stages=walked(release.stages, pipeline, uow.estate().environments),
        reverts=state.reverts is not None,
        gives_up=gives_up(state.returns),
        recent=goes_freely(uow, state),
        newer=None if state.returns is not None or state.reverts or state.downgrade else _newer(uow, state, release),
        blocked=_blocked(uow, state),
        replaced=_replaced(uow, state),
        yielding=yielding(uow, state),
    )


def _blocked(uow: UnitOfWork, state: Deployment) -> tuple[str, ...]:
    """Return the blocked releases whose components the deployment brings."""
    if state.returns is None:
        brought = [state.release]
    else:
        versions = [each.version for each in state.returns if each.version is not None]
        brought = [f"{state.application}@{version}" for version in dict.fromkeys(versions)]
    return tuple(ref for ref in brought if uow.release(ref).blocked)


def before(place: Place, id: str) -> tuple[str, ...]:
    """Return the deployments that wait for the place before this one; all, if it does not wait there."""
    return place.queue[: place.queue.index(id)] if id in place.queue else place.queue


def yielding(uow: UnitOfWork, state: Deployment) -> tuple[str, ...]:
    """Return the deployments that hold its places and end their bake early for it; none if it waits for more."""
    holders: dict[str, None] = {}
    for target in state.targets:
        place = uow.place(state.environment, state.application, target)
        if before(place, state.id):
            return ()
        if place.lock is None or place.lock == state.id:
            continue
        holder = uow.deployment(place.lock)
        baking = bake(holder) is not None and not _would_be_replaced(state, holder)
        if not baking and (holder.successor is None or holder.successor != state.id):
            return ()
        holders[holder.id] = None
    return tuple(holders)


def _would_be_replaced(state: Deployment, holder: Deployment) -> bool:
    """Return True if a rollback has nothing left to revert once the holder has succeeded (it may still roll back)."""
    if state.reverts is None or holder.phase is DeploymentPhase.ABORTING:
        return False
    return any(_touches(holder, each.target, {each.component}) for each in state.returns or ())


def taking_away(uow: UnitOfWork, state: Deployment) -> list[str]:
    """Return the deployments that hold or await the release's places, and bring another version there."""
    found: list[str] = []
    release = uow.release(state.release)
    for target, place in _places(uow, state):
        names = {component.name for component in release.components if component.name in place.components}
        for other in (*((place.lock,) if place.lock else ()), *place.queue):
            known = uow.deployment(other)
            if other != state.id and known.phase is not DeploymentPhase.ABORTING and _touches(known, target, names):
                found.append(other)
    return list(dict.fromkeys(found))


def _newer(uow: UnitOfWork, state: Deployment, release: Release) -> str | None:
    """Return the newer version that runs at the release's places, or is on its way there before it, or None."""
    names = {component.name for component in release.components}
    scheme = uow.policies(state.application)[0].versions
    for target, place in _places(uow, state):
        for name in sorted(names & set(place.components)):
            success = newest_success(place, name)
            at_work = success is not None and place.components[name].at_work
            if success is not None and at_work and _is_older(uow, release, success.version, scheme):
                return f"{success.version} runs as {name} on {target} in {state.environment}, and is newer"
        ahead = () if state.supersede else (*((place.lock,) if place.lock else ()), *before(place, state.id))
        for other in ahead:
            known = uow.deployment(other)
            continues = known.phase is not DeploymentPhase.ABORTING and _touches(known, target, names)
            if other != state.id and continues and _is_older(uow, release, known.version, scheme):
                return f"{known.version} is on its way to {target} in {state.environment} ({other}), and is newer"
    return None


def _is_older(uow: UnitOfWork, release: Release, version: str, scheme: Scheme) -> bool:
    """Return True if the release comes before its application's `version`; by creation if the versions do not tell."""
    known = older(release.version, version, scheme)
    return uow.created_before(release.ref, f"{release.application}@{version}") if known is None else known


def _places(uow: UnitOfWork, state: Deployment) -> list[tuple[str, Place]]:
    names = uow.environment(state.environment).targets
    return [(name, uow.place(state.environment, state.application, name)) for name in names]


def _touches(deployment: Deployment, target: str, components: Collection[str]) -> bool:
    """Return True if the deployment changes one of the components there; older plans do not say which they change."""
    changes = None if deployment.plan is None else deployment.plan.changes
    if changes is None:
        return target in deployment.targets
    return any(change.target == target and change.component in components for change in changes)


def _replaced(uow: UnitOfWork, state: Deployment) -> str | None:
    """Return the place where another deployment has succeeded since the rollback was planned, or None."""
    targets = uow.environment(state.environment).targets
    for each in state.returns or () if state.reverts is not None else ():
        if each.target not in targets:
            continue
        newest = newest_success(uow.place(state.environment, state.application, each.target), each.component)
        if newest is not None and newest.deployment != each.leaves:
            return (
                f"{each.component} on {each.target} in {state.environment} was brought by deployment "
                f"{newest.deployment} ({newest.version}) since; roll that back, or deploy the version that you want"
            )
    return None


def approval_digest(release: Release, state: Deployment) -> str:
    """Return the digest that an approval is bound to: the release's content, the plan, and the evidence."""
    content = [release.content, release.added] if release.added else release.content
    return digest_of([content, state.digest, sorted(release.attestations.items())])
