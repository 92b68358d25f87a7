"""Incidents, and the deployments that caused or ended them."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain import incident as incidents
from release_management.domain.deployment.state import (
    ACTIVE,
    Deployment,
    DeploymentPhase,
)
from release_management.domain.incident import (
    INCIDENT,
    NO_DEPLOYMENT,
    AttributeIncident,
    Incident,
    IncidentOpened,
    OpenIncident,
    ResolveIncident,
)
from release_management.domain.place import Place
from release_management.domain.policy import Policy
from release_management.kernel.errors import ErrorCode
from release_management.kernel.suggestions import what_there_is
from release_management.kernel.types import (
    Command,
    Refused,
    Unsealed,
)
from release_management.services.gateway.unit_of_work import UnitOfWork

RAN = ACTIVE | {
    DeploymentPhase.SUCCEEDED,
    DeploymentPhase.ROLLED_BACK,
    DeploymentPhase.ROLLBACK_FAILED,
    DeploymentPhase.HALTED,
}
"""A deployment in one of these has begun, so that users may have met it."""


def open_incident(command: OpenIncident, uow: UnitOfWork) -> None:
    """Open one under a new id."""
    _check_application(uow, command.application, command.environment)
    id = uow.new_id()
    detected_at = command.detected_at or uow.now
    opened = IncidentOpened(
        incident=id,
        application=command.application,
        environment=command.environment,
        severity=command.severity,
        title=Unsealed(subject=uow.actor, text=command.title),
        detected_at=detected_at,
        cause=_cause(uow, command.deployment, command.application, command.environment, detected_at),
        attribution="inferred" if command.deployment is None else "explicit",
    )
    uow.write(INCIDENT.stream(id), incidents.open_(opened, uow.state(INCIDENT, id), uow.now))
    _answer(uow, id)


def _check_application(uow: UnitOfWork, application: str, environment: str) -> None:
    """Refuse an application that has no policy and was never planned to be deployed, where another one was."""
    where = uow.environment(environment)
    [policy] = uow.policies(application)
    if application in where.applications or policy != Policy():
        return
    known = sorted({name for each in uow.estate().environments for name in uow.environment(each).applications})
    if not known or application in known:
        return
    # Older logs do not say which applications an environment has had.
    if all(uow.place(environment, application, target) == Place() for target in where.targets):
        raise Refused(
            f"application {application!r} has no policy and was never planned to be deployed, so that it has no "
            f"incidents{what_there_is(application, known)}",
            code=ErrorCode.NOT_FOUND,
        )


def attribute(command: AttributeIncident, uow: UnitOfWork) -> None:
    """Say what caused it."""
    state = uow.existing(INCIDENT, command.incident)
    cause = _cause(uow, command.deployment, state.application, state.environment, state.detected_at)
    uow.write(INCIDENT.stream(state.id), incidents.attribute(cause, state))
    _answer(uow, state.id)


def resolve(command: ResolveIncident, uow: UnitOfWork) -> None:
    """End it."""
    state = uow.existing(INCIDENT, command.incident)
    _check_remedy(uow, command, state)
    uow.write(INCIDENT.stream(state.id), incidents.resolve(command, state, uow.actor, uow.now))
    _answer(uow, state.id)


def _cause(uow: UnitOfWork, id: str | None, application: str, environment: str, detected_at: str) -> str | None:
    """The deployment, which had begun when the incident was detected."""
    if id is None or id == NO_DEPLOYMENT:
        return None
    state = _begun(uow, id, application, environment)
    if state.started_at is not None and state.started_at > detected_at:
        raise Refused(
            f"deployment {id} began at {state.started_at}, after the incident was detected at {detected_at}, and "
            f"cannot have caused it; name a deployment that had begun by then, or {NO_DEPLOYMENT}",
            code=ErrorCode.CONFLICT,
        )
    return id


def _check_remedy(uow: UnitOfWork, command: ResolveIncident, incident: Incident) -> None:
    """What ended it had begun when it was over."""
    if command.deployment is None:
        return
    state = _begun(uow, command.deployment, incident.application, incident.environment)
    over = command.resolved_at
    if over is not None and state.started_at is not None and state.started_at > over:
        raise Refused(
            f"deployment {state.id} began at {state.started_at}, after the incident was over at {over}, and cannot "
            "have ended it; name a deployment that had begun by then, or leave it out",
            code=ErrorCode.CONFLICT,
        )


def _begun(uow: UnitOfWork, id: str, application: str, environment: str) -> Deployment:
    """The deployment, which has begun and is of this application in this environment."""
    state: Deployment = uow.deployment(id)
    if (state.application, state.environment) != (application, environment):
        raise Refused(
            f"deployment {id} brought {state.release} to {state.environment}, and the incident is of {application} in "
            f"{environment}; name a deployment of {application} to {environment}",
            code=ErrorCode.CONFLICT,
        )
    if state.phase not in RAN:
        raise Refused(
            f"deployment {id} is {state.phase} and has not begun, so that no user has met it; "
            f"relman deployment list --environment {environment} shows those that have",
            code=ErrorCode.CONFLICT,
        )
    return state


def _answer(uow: UnitOfWork, id: str) -> None:
    state = uow.state(INCIDENT, id)
    uow.result.update(incident=id, resolved=state.resolved_at is not None)


HANDLERS: Mapping[type[Command], Callable[[Any, UnitOfWork], None]] = {
    OpenIncident: open_incident,
    AttributeIncident: attribute,
    ResolveIncident: resolve,
}
