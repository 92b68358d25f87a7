"""What a deployment's facts mean for its places, its release and its approval, written in the same append."""

from collections.abc import Mapping, Sequence

from release_management.domain import approval as approvals
from release_management.domain import estate as estates
from release_management.domain import place as places
from release_management.domain.approval import APPROVAL, ApprovalEvent
from release_management.domain.deployment import decide
from release_management.domain.deployment.events import (
    DeploymentEvent,
    DeploymentPaused,
    DeploymentStarted,
    DeploymentStepStarted,
    DeploymentStepSucceeded,
    DeploymentSucceeded,
)
from release_management.domain.deployment.state import DEPLOYMENT, Deployment, Phase, bake, doubted
from release_management.domain.environment import ENVIRONMENT, ApprovalAwaited, ApprovalSettled, Environment, Retired
from release_management.domain.estate import ESTATE
from release_management.domain.orders import RouteSlots
from release_management.domain.place import (
    PLACE,
    Occupant,
    PlaceEvent,
    PlacePromoted,
    PlaceSlotDoubted,
    PlaceSlotProvisioned,
    PlaceSlotRetired,
    PlaceTrafficIntended,
    PlaceTrafficObserved,
    PlaceVersionSucceeded,
    PlaceVersionWithdrawn,
    Standing,
)
from release_management.domain.plan import Promote, Provision, Retire, Route
from release_management.domain.release import RELEASE, ReleaseSucceeded, ReleaseWithdrawn
from release_management.services.decisions import holding
from release_management.services.desk import Desk

_NEVER_BEGUN: Mapping[Phase, str] = {
    Phase.REJECTED: "its deployment was rejected",
    Phase.EXPIRED: "its deployment expired",
    Phase.CANCELLED: "its deployment was cancelled",
    Phase.SUPERSEDED: "its deployment was superseded",
}
"""The ends of deployments that will not begin, and why their approvals, asked for or given, are void."""


def record(desk: Desk, id: str, facts: Sequence[DeploymentEvent], fence: int | None = None) -> None:
    """Write a deployment's facts, and what follows from each for its places, its release and its approval.

    `fence` is that of the order whose report led to the facts.
    """
    for fact in facts:
        desk.write(DEPLOYMENT.stream(id), [fact])
        state = desk.deployment(id)
        if isinstance(fact, DeploymentStepStarted) and isinstance(fact.action, RouteSlots):
            intended = PlaceTrafficIntended(deployment=id, component=fact.component, weights=fact.action.weights)
            _write(desk, state, fact.target, [intended])
        elif isinstance(fact, DeploymentStepSucceeded):
            _stand(desk, state, fact, fence)
        elif isinstance(fact, DeploymentSucceeded):
            _succeed(desk, state)
        elif isinstance(fact, DeploymentStarted):
            holding.begin(desk, state)
        if state.ended:
            holding.end(desk, state)
            for target, component, slot in doubted(state):
                _write(desk, state, target, [PlaceSlotDoubted(deployment=id, component=component, slot=slot)])
            for target in state.targets:
                let_go(desk, state, target)
            retire_what_is_empty(desk, state.environment)
        if state.phase in _NEVER_BEGUN and state.approval is not None:
            given = desk.approval(state.approval)
            write_approval(desk, given.id, approvals.void(given, _NEVER_BEGUN[state.phase]))
    if any(isinstance(fact, DeploymentPaused) for fact in facts):
        _notice(desk, id)
        stop_where_blocked(desk, id)
        if bake(state := desk.deployment(id)) is not None:
            for target in state.targets:
                _write(desk, state, target, places.offer(desk.place(state.environment, state.application, target)))


def let_go(desk: Desk, state: Deployment, target: str) -> None:
    """Leave a place or its queue. Where another one only keeps an old version there, whose turn it is now may begin."""
    place = desk.place(state.environment, state.application, target)
    was_next = place.queue[:1] == (state.id,)
    _write(desk, state, target, places.release(place, state.id))
    if was_next and place.lock not in (None, state.id) and bake(desk.deployment(place.lock)) is not None:
        _write(desk, state, target, places.offer(desk.place(state.environment, state.application, target)))


def stop_where_blocked(desk: Desk, id: str) -> None:
    """A pause of a blocked release's deployment is its end: it goes back."""
    state = desk.deployment(id)
    if desk.release(state.release).blocked and (facts := decide.stop_blocked(state, desk.now)):
        record(desk, id, facts)


def _notice(desk: Desk, id: str) -> None:
    """A pause begins: what was seen since the newest step may say already that the candidate is not well."""
    state = desk.deployment(id)
    for binding in state.bindings.values():
        place = desk.place(state.environment, state.application, binding.target)
        standing = place.components.get(binding.component, Standing())
        if standing.seen is not None and standing.seen.fence >= standing.fence:
            facts = decide.notice(state, binding.target, binding.component, standing.seen.slots, desk.now)
            if facts:
                record(desk, id, facts)
                return


def write_approval(desk: Desk, id: str, facts: Sequence[ApprovalEvent]) -> None:
    """Write an approval's facts; its environment knows which deployments wait for approval."""
    desk.write(APPROVAL.stream(id), facts)
    state = desk.approval(id)
    stream = ENVIRONMENT.stream(state.environment)
    listed = state.deployment in desk.environment(state.environment).awaiting
    if state.phase is approvals.Phase.WAITING and not listed:
        desk.write(stream, [ApprovalAwaited(deployment=state.deployment)])
    elif state.phase is not approvals.Phase.WAITING and listed:
        desk.write(stream, [ApprovalSettled(deployment=state.deployment)])


def retire_what_is_empty(desk: Desk, name: str) -> None:
    """Retire an environment, or targets of it, that are to go and run nothing any more."""
    environment = desk.environment(name)
    stream = ENVIRONMENT.stream(name)
    if environment.retiring and all(_empty(desk, environment, target) for target in environment.targets):
        desk.write(stream, [Retired()])
        desk.write(ESTATE.stream(), estates.unlist(name, desk.estate()))
        return
    for target in sorted(environment.leaving):
        if _empty(desk, environment, target):
            desk.write(stream, [Retired(target=target)])


def _empty(desk: Desk, environment: Environment, target: str) -> bool:
    found = [desk.place(environment.name, application, target) for application in environment.applications]
    return all(place.lock is None and not any(each.at_work for each in place.components.values()) for place in found)


def _write(desk: Desk, state: Deployment, target: str, facts: Sequence[PlaceEvent]) -> None:
    desk.write(PLACE.stream(state.environment, state.application, target), facts)


def _stand(desk: Desk, state: Deployment, fact: DeploymentStepSucceeded, fence: int | None) -> None:
    """A step is done: the place is as the step wanted it."""
    step = state.plan.steps(fact.leg)[fact.step] if state.plan else None
    if not isinstance(step, Provision | Route | Promote | Retire):
        return
    binding = state.binding(step.target, step.component)
    if binding is None:
        return
    event: PlaceEvent
    match step:
        case Provision(role=role, replicas=replicas):
            event = PlaceSlotProvisioned(
                deployment=state.id,
                component=step.component,
                slot=binding.slot(role),
                content=binding.content(role),
                replicas=replicas,
                fence=fence,
                configuration=binding.configured(role),
            )
        case Retire(role=role):
            slot = binding.slot(role)
            event = PlaceSlotRetired(deployment=state.id, component=step.component, slot=slot, fence=fence)
        case Promote(role=role):
            event = PlacePromoted(deployment=state.id, component=step.component, slot=binding.slot(role))
        case Route():
            if fact.observed is None:
                return
            event = PlaceTrafficObserved(
                deployment=state.id,
                component=step.component,
                weights=fact.observed,
                observedat=fact.observedat,
                fence=fence,
            )
    _write(desk, state, step.target, [event])


def _succeed(desk: Desk, state: Deployment) -> None:
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
        success = PlaceVersionSucceeded(deployment=state.id, version=version, components=components, at=desk.now)
        _write(desk, state, target, [success])
    if brought or not state.bindings:
        succeeded = ReleaseSucceeded(environment=state.environment, deployment=state.id)
        desk.write(RELEASE.stream(state.release), [succeeded])
    if state.reverts is not None:
        _withdraw(desk, state, desk.deployment(state.reverts))


def _withdraw(desk: Desk, state: Deployment, left: Deployment) -> None:
    """What was rolled back is no success any more, where it went back."""
    if left.phase is not Phase.SUCCEEDED:
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
        _write(desk, left, target, [withdrawn])
    if left.release != state.release:
        desk.write(RELEASE.stream(left.release), [ReleaseWithdrawn(environment=left.environment, deployment=state.id)])
