"""Retire environments and targets: plans stop their components, then they are retired."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain import environment_index as estates
from release_management.domain.deployment.before_start import Insist, PlanRequest
from release_management.domain.deployment.events import Return, gives_up
from release_management.domain.deployment.state import Deployment, bake
from release_management.domain.environment import (
    Environment,
    KeepEnvironment,
    RetireEnvironment,
)
from release_management.domain.environment_decisions import NoteApplications
from release_management.domain.environment_index import ESTATE, ListEnvironment
from release_management.domain.plan.strategies.recreate import Recreate
from release_management.domain.release import RELEASE
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Command, Refused
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases.consequences import decide_environment, retire_what_is_empty
from release_management.services.use_cases.deployments import request, review_approvals
from release_management.services.use_cases.planning import plan


def retire(command: RetireEnvironment, uow: UnitOfWork) -> None:
    """Begin the retirement, and plan the stop of the components there; without any, retire at once.

    The same command again plans again for the components that still run.
    """
    state = uow.environment(command.name)
    decide_environment(uow, state.name, NoteApplications(command.applications))
    decide_environment(uow, state.name, command)
    review_approvals(uow, command.name)
    state = uow.environment(command.name)
    deployments: list[str] = []
    if not state.retired:
        for application in state.applications:
            if id := _give_up(uow, state, application, command.target):
                deployments.append(id)
        retire_what_is_empty(uow, state.name)
    _answer(uow, command.name, command.target)
    uow.result["deployments"] = deployments


def _give_up(uow: UnitOfWork, environment: Environment, application: str, target: str | None) -> str | None:
    """Return the deployment that stops an application's components there; None if it runs none.

    It is of the release that succeeded there last, or of one of the releases that run.
    """
    targets = list(environment.targets) if target is None else [target]
    returns: list[Return] = []
    versions: list[str] = []
    for name in targets:
        place = uow.place(environment.name, application, name)
        if place.lock is not None and not _lets_go(uow.deployment(place.lock)):
            raise Refused(
                f"deployment {place.lock} is at work in {environment.name}/{application}/{name}; "
                "let it end, or abort it first",
                code=ErrorCode.CONFLICT,
            )
        for component, status in place.components.items():
            if status.at_work:
                returns.append(Return(target=name, component=component))
                versions += [success.version for success in place.succeeded.get(component, ())[-1:]]
                versions += [occupant.content.version for occupant in status.slots.values()]
    releases = (f"{application}@{version}" for version in versions)
    release = next((ref for ref in releases if uow.state(RELEASE, ref).version), None)
    if not returns:
        return None
    if release is None:
        raise Refused(
            f"{returns[0].component} of {application} runs on {returns[0].target} in {environment.name} and belongs "
            "to no release that is known; deploy one there first",
            code=ErrorCode.CONFLICT,
        )
    plan_request = PlanRequest(release, environment.name, Recreate.NAME, returns=tuple(returns))
    state = plan(uow, plan_request)
    request(uow, state, Insist())
    return state.id


def _lets_go(holder: Deployment) -> bool:
    """Return True if the holder of a place stops its components as well, or only keeps an old version."""
    return gives_up(holder.returns) or bake(holder) is not None


def keep(command: KeepEnvironment, uow: UnitOfWork) -> None:
    """Cancel a retirement; components that were stopped meanwhile stay so until they are deployed again."""
    decide_environment(uow, uow.environment(command.name).name, command)
    state = uow.environment(command.name)
    uow.write(ESTATE.stream(), estates.decide(ListEnvironment(state.name, state.order), uow.estate()))
    _answer(uow, command.name, command.target)


def _answer(uow: UnitOfWork, name: str, target: str | None) -> None:
    state = uow.environment(name)
    retiring = state.retiring if target is None else target in state.leaving
    retired = state.retired if target is None else target not in state.targets
    uow.result.update(environment=name, state="retired" if retired else "retiring" if retiring else "kept")


HANDLERS: Mapping[type[Command], Callable[[Any, UnitOfWork], None]] = {
    RetireEnvironment: retire,
    KeepEnvironment: keep,
}
