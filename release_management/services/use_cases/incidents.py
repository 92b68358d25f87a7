"""Incidents, and the deployments that caused or ended them."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain.deployment.state import ACTIVE, DeploymentPhase
from release_management.domain.incident import (
    INCIDENT,
    NO_DEPLOYMENT,
    AttributeIncident,
    IncidentCommand,
    IncidentFacts,
    Involved,
    OpenIncident,
    ResolveIncident,
    decide,
)
from release_management.domain.place import Place
from release_management.domain.policy import Policy
from release_management.kernel.errors import ErrorCode
from release_management.kernel.suggestions import what_there_is
from release_management.kernel.types import Command, Refused
from release_management.services.gateway.unit_of_work import UnitOfWork

RAN = ACTIVE | {
    DeploymentPhase.SUCCEEDED,
    DeploymentPhase.ROLLED_BACK,
    DeploymentPhase.ROLLBACK_FAILED,
    DeploymentPhase.HALTED,
}
"""The phases of deployments that have started, so that they may have reached users."""


def open_incident(command: OpenIncident, uow: UnitOfWork) -> None:
    """Open an incident under a new id."""
    _check_application(uow, command.application, command.environment)
    id = uow.new_id()
    facts = IncidentFacts(uow.actor, uow.now, id, _involved(uow, command.deployment))
    _decide(uow, id, command, facts)


def _check_application(uow: UnitOfWork, application: str, environment: str) -> None:
    """Refuse an application without a policy and without a planned deployment, in an environment that has others."""
    found = uow.environment(environment)
    [policy] = uow.policies(application)
    if application in found.applications or policy != Policy():
        return
    known = sorted({name for each in uow.estate().environments for name in uow.environment(each).applications})
    if not known or application in known:
        return
    # Older logs do not say which applications an environment has had.
    if all(uow.place(environment, application, target) == Place() for target in found.targets):
        raise Refused(
            f"application {application!r} has no policy and was never planned to be deployed, so that it has no "
            f"incidents{what_there_is(application, known)}",
            code=ErrorCode.NOT_FOUND,
        )


def attribute(command: AttributeIncident, uow: UnitOfWork) -> None:
    """State the cause of an incident."""
    id = uow.existing(INCIDENT, command.incident).id
    _decide(uow, id, command, IncidentFacts(uow.actor, uow.now, deployment=_involved(uow, command.deployment)))


def resolve(command: ResolveIncident, uow: UnitOfWork) -> None:
    """Resolve an incident."""
    id = uow.existing(INCIDENT, command.incident).id
    _decide(uow, id, command, IncidentFacts(uow.actor, uow.now, deployment=_involved(uow, command.deployment)))


def _involved(uow: UnitOfWork, id: str | None) -> Involved | None:
    """Return the deployment that a command names. Raises `Refused` if it does not exist."""
    if id is None or id == NO_DEPLOYMENT:
        return None
    state = uow.deployment(id)
    return Involved(
        id=id,
        release=state.release,
        application=state.application,
        environment=state.environment,
        phase=state.phase,
        begun=state.phase in RAN,
        started_at=state.started_at,
    )


def _decide(uow: UnitOfWork, id: str, command: IncidentCommand, facts: IncidentFacts) -> None:
    uow.write(INCIDENT.stream(id), decide(command, uow.state(INCIDENT, id), facts))
    state = uow.state(INCIDENT, id)
    uow.result.update(incident=id, resolved=state.resolved_at is not None)


HANDLERS: Mapping[type[Command], Callable[[Any, UnitOfWork], None]] = {
    OpenIncident: open_incident,
    AttributeIncident: attribute,
    ResolveIncident: resolve,
}
