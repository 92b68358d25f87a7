"""Write the consequences of a deployment's facts for its places, its release and its approval, in the same append."""

from collections.abc import Mapping, Sequence

from release_management.domain import approval as approvals
from release_management.domain import environment_decisions as environments
from release_management.domain import environment_index as estates
from release_management.domain import place_decisions as places
from release_management.domain import release_decisions as releases
from release_management.domain.approval import (
    APPROVAL,
    ApprovalCommand,
    ApprovalFacts,
    VoidApproval,
)
from release_management.domain.deployment.decide import (
    DeploymentCommand,
    DeploymentFacts,
    NoticeCondition,
    StopBlocked,
    decide,
)
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
from release_management.domain.environment import ENVIRONMENT, Environment
from release_management.domain.environment_decisions import (
    EnvironmentCommand,
    EnvironmentFacts,
    NoteWaiting,
    RetireEmpty,
)
from release_management.domain.environment_index import ESTATE, UnlistEnvironment
from release_management.domain.place import PLACE
from release_management.domain.place_component import ComponentStatus
from release_management.domain.place_decisions import (
    LetGo,
    Offer,
    PlaceCommand,
    PlaceFacts,
    RememberSuccess,
    WithdrawPlaceSuccess,
)
from release_management.domain.place_events import PlaceEvent
from release_management.domain.release import RELEASE
from release_management.domain.release_decisions import (
    NoteSuccess,
    ReleaseCommand,
    ReleaseFacts,
)
from release_management.domain.successes import brought, taken_back
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases import holding

_NEVER_BEGUN: Mapping[DeploymentPhase, str] = {
    DeploymentPhase.REJECTED: "its deployment was rejected",
    DeploymentPhase.EXPIRED: "its deployment expired",
    DeploymentPhase.CANCELLED: "its deployment was cancelled",
    DeploymentPhase.SUPERSEDED: "its deployment was superseded",
}
"""The phases of deployments that ended before the start, and why their approvals are void."""


def record(uow: UnitOfWork, id: str, facts: Sequence[DeploymentEvent], fence: int | None = None) -> None:
    """Write a deployment's facts, and their consequences for its places, its release and its approval.

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
            decide_approval(uow, state.approval, VoidApproval(_NEVER_BEGUN[state.phase]))
    if any(isinstance(fact, DeploymentPaused) for fact in facts):
        _notice(uow, id)
        stop_where_blocked(uow, id)
        if bake(state := uow.deployment(id)) is not None:
            for target in state.targets:
                decide_place(uow, state, target, Offer())


def decide_deployment(uow: UnitOfWork, id: str, command: DeploymentCommand, fence: int | None = None) -> bool:
    """Decide on a deployment and write the facts and their consequences; return True if there are any.

    `fence` is as in `record`.
    """
    facts = decide(command, uow.state(DEPLOYMENT, id), DeploymentFacts(uow.actor, uow.now))
    record(uow, id, facts, fence)
    return bool(facts)


def decide_place(uow: UnitOfWork, state: Deployment, target: str, command: PlaceCommand) -> None:
    """Decide on a place of a deployment."""
    place = uow.place(state.environment, state.application, target)
    _write(uow, state, target, places.decide(command, place, PlaceFacts(uow.now)))


def decide_approval(uow: UnitOfWork, id: str, command: ApprovalCommand) -> None:
    """Decide on an approval, and record in its environment whether its deployment waits for approval."""
    facts = approvals.decide(command, uow.approval(id), ApprovalFacts(uow.actor, uow.now))
    uow.write(APPROVAL.stream(id), facts)
    state = uow.approval(id)
    decide_environment(
        uow, state.environment, NoteWaiting(state.deployment, waits=state.phase is approvals.ApprovalPhase.WAITING)
    )


def decide_environment(uow: UnitOfWork, name: str, command: EnvironmentCommand) -> None:
    """Decide on an existing environment."""
    facts = EnvironmentFacts(uow.actor)
    uow.write(ENVIRONMENT.stream(name), environments.decide(command, uow.environment(name), facts))


def let_go(uow: UnitOfWork, state: Deployment, target: str) -> None:
    """Release a place or leave its queue.

    If another deployment holds the place in its bake, the next one in turn may start.
    """
    place = uow.place(state.environment, state.application, target)
    was_next = place.queue[:1] == (state.id,)
    decide_place(uow, state, target, LetGo(state.id))
    if was_next and place.lock not in (None, state.id) and bake(uow.deployment(place.lock)) is not None:
        decide_place(uow, state, target, Offer())


def stop_where_blocked(uow: UnitOfWork, id: str) -> None:
    """Roll back a deployment of a blocked release that has come to a pause."""
    if uow.release(uow.deployment(id).release).blocked:
        decide_deployment(uow, id, StopBlocked())


def _notice(uow: UnitOfWork, id: str) -> None:
    """Roll back a deployment at the beginning of a pause if its candidate is already observed to be unhealthy."""
    state = uow.deployment(id)
    for binding in state.bindings.values():
        place = uow.place(state.environment, state.application, binding.target)
        status = place.components.get(binding.component, ComponentStatus())
        if status.seen is not None and status.seen.fence >= status.fence:
            notice = NoticeCondition(binding.target, binding.component, status.seen.slots)
            if decide_deployment(uow, id, notice):
                return


def retire_what_is_empty(uow: UnitOfWork, name: str) -> None:
    """Retire an environment, or targets of it, that are being retired and run nothing any more."""
    environment = uow.environment(name)
    empty = [target for target in environments.being_retired(environment) if _empty(uow, environment, target)]
    decide_environment(uow, name, RetireEmpty(empty))
    if uow.environment(name).retired and not environment.retired:
        uow.write(ESTATE.stream(), estates.decide(UnlistEnvironment(name), uow.estate()))


def _empty(uow: UnitOfWork, environment: Environment, target: str) -> bool:
    found = [uow.place(environment.name, application, target) for application in environment.applications]
    return all(place.lock is None and not any(each.at_work for each in place.components.values()) for place in found)


def _write(uow: UnitOfWork, state: Deployment, target: str, facts: Sequence[PlaceEvent]) -> None:
    uow.write(PLACE.stream(state.environment, state.application, target), facts)


def _succeed(uow: UnitOfWork, state: Deployment) -> None:
    """Record the release's success here; a success that the deployment reverts is withdrawn."""
    successes = brought(state)
    for (target, version), components in successes.items():
        decide_place(uow, state, target, RememberSuccess(state.id, version, components))
    if successes or not state.bindings:
        decide_release(uow, state.release, NoteSuccess(state.environment, state.id))
    if state.reverts is not None:
        _withdraw(uow, state, uow.deployment(state.reverts))


def _withdraw(uow: UnitOfWork, state: Deployment, left: Deployment) -> None:
    """Withdraw the successes that were rolled back."""
    for target, components in taken_back(state, left).items():
        decide_place(uow, left, target, WithdrawPlaceSuccess(state.id, left.version, left.id, components))
    if left.phase is DeploymentPhase.SUCCEEDED and left.release != state.release:
        decide_release(uow, left.release, releases.WithdrawReleaseSuccess(left.environment, state.id))


def decide_release(uow: UnitOfWork, ref: str, command: ReleaseCommand) -> None:
    """Decide on the release of a deployment."""
    uow.write(RELEASE.stream(ref), releases.decide(command, uow.state(RELEASE, ref), ReleaseFacts(uow.actor)))
