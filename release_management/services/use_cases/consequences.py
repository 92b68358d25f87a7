"""What a deployment's facts mean for its places, its release and its approval, written in the same append."""

from collections.abc import Mapping, Sequence

from release_management.domain import approval as approvals
from release_management.domain import environment_index as estates
from release_management.domain import place as places
from release_management.domain.approval import APPROVAL, ApprovalEvent
from release_management.domain.deployment import decide
from release_management.domain.deployment.effects import doubts, effects
from release_management.domain.deployment.events import (
    DeploymentEvent,
    DeploymentPaused,
    DeploymentStarted,
    DeploymentSucceeded,
)
from release_management.domain.deployment.state import (
    DEPLOYMENT,
    Deployment,
    DeploymentPhase,
    bake,
)
from release_management.domain.environment import (
    ENVIRONMENT,
    ApprovalAwaited,
    ApprovalSettled,
    Environment,
    Retired,
)
from release_management.domain.environment_index import ESTATE
from release_management.domain.place import (
    PLACE,
    ComponentStatus,
    Occupant,
    PlaceEvent,
    PlaceVersionSucceeded,
    PlaceVersionWithdrawn,
)
from release_management.domain.release import (
    RELEASE,
    ReleaseSucceeded,
    ReleaseWithdrawn,
)
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases import holding

_NEVER_BEGUN: Mapping[DeploymentPhase, str] = {
    DeploymentPhase.REJECTED: "its deployment was rejected",
    DeploymentPhase.EXPIRED: "its deployment expired",
    DeploymentPhase.CANCELLED: "its deployment was cancelled",
    DeploymentPhase.SUPERSEDED: "its deployment was superseded",
}
"""The ends of deployments that will not begin, and why their approvals, asked for or given, are void."""


def record(uow: UnitOfWork, id: str, facts: Sequence[DeploymentEvent], fence: int | None = None) -> None:
    """Write a deployment's facts, and what follows from each for its places, its release and its approval.

    `fence` is that of the order whose report led to the facts.
    """
    for fact in facts:
        uow.write(DEPLOYMENT.stream(id), [fact])
        state = uow.deployment(id)
        for target, effect in effects(state, fact, fence):
            _write(uow, state, target, [effect])
        if isinstance(fact, DeploymentSucceeded):
            _succeed(uow, state)
        elif isinstance(fact, DeploymentStarted):
            holding.begin(uow, state)
        if state.ended:
            holding.end(uow, state)
            for target, doubt in doubts(state):
                _write(uow, state, target, [doubt])
            for target in state.targets:
                let_go(uow, state, target)
            retire_what_is_empty(uow, state.environment)
        if state.phase in _NEVER_BEGUN and state.approval is not None:
            given = uow.approval(state.approval)
            write_approval(uow, given.id, approvals.void(given, _NEVER_BEGUN[state.phase]))
    if any(isinstance(fact, DeploymentPaused) for fact in facts):
        _notice(uow, id)
        stop_where_blocked(uow, id)
        if bake(state := uow.deployment(id)) is not None:
            for target in state.targets:
                _write(uow, state, target, places.offer(uow.place(state.environment, state.application, target)))


def let_go(uow: UnitOfWork, state: Deployment, target: str) -> None:
    """Leave a place or its queue. Where another one only keeps an old version there, whose turn it is now may begin."""
    place = uow.place(state.environment, state.application, target)
    was_next = place.queue[:1] == (state.id,)
    _write(uow, state, target, places.release(place, state.id))
    if was_next and place.lock not in (None, state.id) and bake(uow.deployment(place.lock)) is not None:
        _write(uow, state, target, places.offer(uow.place(state.environment, state.application, target)))


def stop_where_blocked(uow: UnitOfWork, id: str) -> None:
    """A pause of a blocked release's deployment is its end: it goes back."""
    state = uow.deployment(id)
    if uow.release(state.release).blocked and (facts := decide.stop_blocked(state, uow.now)):
        record(uow, id, facts)


def _notice(uow: UnitOfWork, id: str) -> None:
    """A pause begins: what was seen since the newest step may say already that the candidate is not well."""
    state = uow.deployment(id)
    for binding in state.bindings.values():
        place = uow.place(state.environment, state.application, binding.target)
        standing = place.components.get(binding.component, ComponentStatus())
        if standing.seen is not None and standing.seen.fence >= standing.fence:
            facts = decide.notice(state, binding.target, binding.component, standing.seen.slots, uow.now)
            if facts:
                record(uow, id, facts)
                return


def write_approval(uow: UnitOfWork, id: str, facts: Sequence[ApprovalEvent]) -> None:
    """Write an approval's facts; its environment knows which deployments wait for approval."""
    uow.write(APPROVAL.stream(id), facts)
    state = uow.approval(id)
    stream = ENVIRONMENT.stream(state.environment)
    listed = state.deployment in uow.environment(state.environment).awaiting
    if state.phase is approvals.ApprovalPhase.WAITING and not listed:
        uow.write(stream, [ApprovalAwaited(deployment=state.deployment)])
    elif state.phase is not approvals.ApprovalPhase.WAITING and listed:
        uow.write(stream, [ApprovalSettled(deployment=state.deployment)])


def retire_what_is_empty(uow: UnitOfWork, name: str) -> None:
    """Retire an environment, or targets of it, that are to go and run nothing any more."""
    environment = uow.environment(name)
    stream = ENVIRONMENT.stream(name)
    if environment.retiring and all(_empty(uow, environment, target) for target in environment.targets):
        uow.write(stream, [Retired()])
        uow.write(ESTATE.stream(), estates.unlist(name, uow.estate()))
        return
    for target in sorted(environment.leaving):
        if _empty(uow, environment, target):
            uow.write(stream, [Retired(target=target)])


def _empty(uow: UnitOfWork, environment: Environment, target: str) -> bool:
    found = [uow.place(environment.name, application, target) for application in environment.applications]
    return all(place.lock is None and not any(each.at_work for each in place.components.values()) for place in found)


def _write(uow: UnitOfWork, state: Deployment, target: str, facts: Sequence[PlaceEvent]) -> None:
    uow.write(PLACE.stream(state.environment, state.application, target), facts)


def _succeed(uow: UnitOfWork, state: Deployment) -> None:
    """The release has succeeded here; where what it reverts had succeeded, that no longer counts.

    What a rollback brings counts as a success of the release that it is from.
    """
    from_release = {(each.target, each.component): each.version for each in state.returns or ()}
    brought: dict[tuple[str, str], dict[str, str]] = {}
    for binding in state.bindings.values():
        if binding.candidate is not None:
            version = from_release.get((binding.target, binding.component)) or state.version
            occupant = Occupant(binding.candidate, binding.replicas, binding.configuration)
            brought.setdefault((binding.target, version), {})[binding.component] = occupant.digest
    for (target, version), components in brought.items():
        success = PlaceVersionSucceeded(deployment=state.id, version=version, components=components, at=uow.now)
        _write(uow, state, target, [success])
    if brought or not state.bindings:
        succeeded = ReleaseSucceeded(environment=state.environment, deployment=state.id)
        uow.write(RELEASE.stream(state.release), [succeeded])
    if state.reverts is not None:
        _withdraw(uow, state, uow.deployment(state.reverts))


def _withdraw(uow: UnitOfWork, state: Deployment, left: Deployment) -> None:
    """What was rolled back is no success any more, where it went back."""
    if left.phase is not DeploymentPhase.SUCCEEDED:
        return
    gone: dict[str, list[str]] = {}
    for each in state.returns or ():
        if each.leaves == left.id != each.to:
            gone.setdefault(each.target, []).append(each.component)
    for target in left.targets if state.returns is None else gone:
        withdrawn = PlaceVersionWithdrawn(
            deployment=state.id,
            version=left.version,
            withdrawn=left.id,
            components=None if state.returns is None else tuple(gone[target]),
        )
        _write(uow, left, target, [withdrawn])
    if left.release != state.release:
        uow.write(RELEASE.stream(left.release), [ReleaseWithdrawn(environment=left.environment, deployment=state.id)])
