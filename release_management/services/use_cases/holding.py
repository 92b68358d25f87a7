"""Claims that only one component of an executor can have: checked when planned, held while it runs."""

from collections.abc import Iterator, Sequence

from release_management.domain import holdings
from release_management.domain.configuration import Configuration
from release_management.domain.deployment.state import (
    Deployment,
    DeploymentPhase,
    doubted,
)
from release_management.domain.holdings import (
    HOLDINGS,
    Hold,
    Holder,
    Resource,
)
from release_management.domain.place_component import ComponentStatus
from release_management.domain.plan import Binding
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Refused
from release_management.services.gateway.unit_of_work import UnitOfWork


def check(uow: UnitOfWork, environment: str, application: str, bindings: Sequence[Binding]) -> None:
    """Refuse a plan with a claim to a resource that another component has, or that two of its components share."""
    claimants: dict[Resource, Holder] = {}
    holders: dict[Resource, tuple[Holder, ...]] | None = None
    for binding in bindings:
        holder = holdings.holder_of(environment, application, binding.target, binding.component)
        for thing in sorted(_candidate_claims(uow, binding)):
            holders = uow.holdings().holders() if holders is None else holders
            key = holdings.resource_of(binding.executor, thing)
            claiming = (*holders.get(key, ()), claimants.setdefault(key, holder))
            other = next((each for each in claiming if each != holder), None)
            if other is not None:
                raise Refused(
                    f"{binding.component} on {binding.target} in {environment}: {thing} is that of "
                    f"{holdings.describe(other)}, and executor {binding.executor} has it once; give one of them "
                    "another, and deploy that first",
                    code=ErrorCode.CONFLICT,
                )


def begin(uow: UnitOfWork, state: Deployment) -> None:
    """Have each candidate hold the resources it claims, beside those that its component holds already."""
    for binding in state.bindings.values():
        if claims := _candidate_claims(uow, binding):
            held = uow.holdings().held(_holder(state, binding), binding.executor)
            _hold(uow, state, binding, held | claims)


def end(uow: UnitOfWork, state: Deployment) -> None:
    """Release the resources that no running version of a component claims; if what runs is uncertain, release none."""
    if state.phase not in (DeploymentPhase.SUCCEEDED, DeploymentPhase.ROLLED_BACK):
        return
    uncertain = {(target, component) for target, component, _ in doubted(state)}
    for binding in state.bindings.values():
        place = uow.place(state.environment, state.application, binding.target)
        status = place.components.get(binding.component, ComponentStatus())
        if status.doubted or (binding.target, binding.component) in uncertain:
            continue
        if not uow.holdings().held(_holder(state, binding), binding.executor):
            continue
        occupants = [occupant for occupant in status.slots.values() if occupant.replicas > 0]
        if all(occupant.configuration is not None for occupant in occupants):
            remaining = {thing for each in occupants for thing in _claimed_resources(uow, binding, each.configuration)}
            _hold(uow, state, binding, remaining.union(*_claims_of_next(uow, state, binding, place.lock)))


def _claims_of_next(uow: UnitOfWork, state: Deployment, binding: Binding, lock: str | None) -> Iterator[set[str]]:
    """Yield the claims of another deployment that has locked the place by now."""
    if lock not in (None, state.id):
        other = uow.deployment(lock).binding(binding.target, binding.component)
        if other is not None and other.executor == binding.executor:
            yield _candidate_claims(uow, other)


def _hold(uow: UnitOfWork, state: Deployment, binding: Binding, things: set[str] | frozenset[str]) -> None:
    hold = Hold(_holder(state, binding), binding.executor, things)
    uow.write(HOLDINGS.stream(), holdings.decide(hold, uow.holdings()))


def _holder(state: Deployment, binding: Binding) -> Holder:
    return holdings.holder_of(state.environment, state.application, binding.target, binding.component)


def _candidate_claims(uow: UnitOfWork, binding: Binding) -> set[str]:
    """Return the claims of the candidate."""
    return set() if binding.candidate is None else _claimed_resources(uow, binding, binding.configuration)


def _claimed_resources(uow: UnitOfWork, binding: Binding, configuration: Configuration | None) -> set[str]:
    """Return a component's claims with a configuration; settings that the executor would reject claim nothing."""
    claims = uow.executors.get(binding.executor)
    if claims is None or configuration is None:
        return set()
    try:
        return set(claims({**configuration.settings, "slots": list(binding.slots)}, False))
    except ValueError:
        return set()
