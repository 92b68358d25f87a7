"""Incident: users met a failure. Stream `incident:<uuid7>`.

Its cause is a deployment, or explicitly none; if nobody stated a cause, the metrics infer one and mark it as inferred.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, assert_never

from pydantic import Field, WrapValidator

from release_management.kernel.aggregate import Aggregate, itself
from release_management.kernel.errors import ErrorCode
from release_management.kernel.names import GivenName
from release_management.kernel.timestamps import Moment
from release_management.kernel.types import (
    Command,
    Fact,
    Id,
    Line,
    Name,
    Note,
    Personal,
    Refused,
    Unsealed,
)

Severity = Literal["critical", "major", "minor"]
Attribution = Literal["explicit", "inferred"]
NO_DEPLOYMENT = "none"
SKEW_SECONDS = 60.0
"""Seconds by which a caller's clock may be ahead of ours."""


def _caused_by(deployment: str | None) -> str:
    return f"caused by deployment {deployment}" if deployment else "no deployment caused it"


# Events


class IncidentOpened(Fact):
    """Somebody noticed a failure at `detected_at`. `cause` is the deployment to blame; explicit without one: none is.

    Inferred: nobody stated a cause, and the metrics infer the deployment.
    """

    NAME: ClassVar[str] = "incident.opened"
    incident: str = Field(description="the incident's id")
    application: Name = Field(description="the application")
    environment: Name = Field(description="the environment")
    severity: Severity | None = Field(None, description="how bad it is")
    title: Personal = Field(description="what is wrong, sealed")
    detected_at: str = Field(description="when it was noticed")
    cause: str | None = Field(None, description="the deployment that caused it; absent and explicit: no deployment did")
    attribution: Attribution = Field(
        description="`explicit`: somebody has said what caused it, or that no deployment did; `inferred`: the metrics "
        "look for it"
    )

    def _summary(self) -> str:
        cause = "nobody has said yet what caused it" if self.attribution == "inferred" else _caused_by(self.cause)
        return f"{f'{self.severity} ' if self.severity else ''}incident, detected at {self.detected_at}; {cause}"


class IncidentAttributed(Fact):
    """Somebody stated the cause, in place of an earlier statement. Without a cause: no deployment is to blame."""

    NAME: ClassVar[str] = "incident.attributed"
    cause: str | None = Field(None, description="the deployment that caused it; absent: no deployment did")

    def _summary(self) -> str:
        return _caused_by(self.cause)


class IncidentResolved(Fact):
    """The incident ended at `resolved_at`. `remedy` is the deployment that ended it and was not planned before it."""

    NAME: ClassVar[str] = "incident.resolved"
    resolved_at: str = Field(description="when it was over")
    remedy: str | None = Field(None, description="the deployment that ended it")
    note: Personal | None = Field(None, description="a remark, sealed")

    def _summary(self) -> str:
        return f"over at {self.resolved_at}{f', by deployment {self.remedy}' if self.remedy else ''}"


IncidentEvent = IncidentOpened | IncidentAttributed | IncidentResolved


# Commands


def _id_or_none(value: Any, check: Any) -> Any:
    return value if value == NO_DEPLOYMENT else check(value)


Cause = Annotated[Id, WrapValidator(_id_or_none)]
"""A deployment's id, or `none`."""


class OpenIncident(Command):
    """State that users met a failure. `deployment` is the cause if it is known, or `none`."""

    NAME: ClassVar[str] = "incident.open"
    application: GivenName = Field("default", description="the application")
    environment: GivenName = Field(description="the environment")
    title: Line = Field(description="what is wrong; it is sealed before it is recorded")
    severity: Severity | None = Field(None, description="how bad it is")
    detected_at: Moment | None = Field(None, description="when it was noticed; absent: now")
    deployment: Cause | None = Field(
        None, description="the deployment that caused it, or `none` where no deployment did; absent: nobody says"
    )


class AttributeIncident(Command):
    """State what caused an incident: a deployment, or `none`."""

    NAME: ClassVar[str] = "incident.attribute"
    incident: Id = Field(description="the incident's id")
    deployment: Cause = Field(description="the deployment that caused it, or `none`")


class ResolveIncident(Command):
    """State that an incident is over. `deployment` is the one that ended it."""

    NAME: ClassVar[str] = "incident.resolve"
    incident: Id = Field(description="the incident's id")
    resolved_at: Moment | None = Field(None, description="when it was over; absent: now")
    deployment: Id | None = Field(None, description="the deployment that ended it, which was not planned before")
    note: Note | None = Field(None, description="a remark; it is sealed before it is recorded")


IncidentCommand = OpenIncident | AttributeIncident | ResolveIncident


# State


@dataclass(frozen=True, slots=True)
class Incident:
    """The state of an incident; `id` is empty while it does not exist."""

    id: str = ""
    application: str = ""
    environment: str = ""
    detected_at: str = ""
    cause: str | None = None
    attribution: Attribution = "inferred"
    resolved_at: str | None = None
    remedy: str | None = None


def evolve(state: Incident, event: IncidentEvent) -> Incident:
    """Apply one fact."""
    match event:
        case IncidentOpened():
            return Incident(
                id=event.incident,
                application=event.application,
                environment=event.environment,
                detected_at=event.detected_at,
                cause=event.cause,
                attribution=event.attribution,
            )
        case IncidentAttributed(cause=cause):
            return replace(state, cause=cause, attribution="explicit")
        case IncidentResolved(resolved_at=resolved_at, remedy=remedy):
            return replace(state, resolved_at=resolved_at, remedy=remedy)
        case _:
            assert_never(event)


# Decisions. Times are RFC 3339 texts in UTC with microseconds; such texts compare as times.


@dataclass(frozen=True, slots=True)
class Involved:
    """The deployment that a command names as the cause or the remedy. `begun`: it may have reached users."""

    id: str
    release: str
    application: str
    environment: str
    phase: str
    begun: bool
    started_at: str | None = None


@dataclass(frozen=True, slots=True)
class IncidentFacts:
    """The further input of a decision on an incident. `new` is the id for an incident that is opened.

    `deployment` is the one that the command names, if it names any.
    """

    actor: str
    now: str
    new: str = ""
    deployment: Involved | None = None


def decide(command: IncidentCommand, state: Incident, facts: IncidentFacts) -> list[IncidentEvent]:
    """Decide on one incident."""
    match command:
        case OpenIncident():
            return _open(command, state, facts)
        case AttributeIncident():
            return _attribute(state, _cause(facts, state.application, state.environment, state.detected_at))
        case ResolveIncident():
            return _resolve(command, state, facts)
        case _:
            assert_never(command)


def _open(command: OpenIncident, state: Incident, facts: IncidentFacts) -> list[IncidentEvent]:
    """Open the incident; its time of detection may be long ago, but not in the future."""
    detected_at = command.detected_at or facts.now
    cause = _cause(facts, command.application, command.environment, detected_at)
    if state.id:
        return []
    _check_past(detected_at, "detected", facts.now)
    return [
        IncidentOpened(
            incident=facts.new,
            application=command.application,
            environment=command.environment,
            severity=command.severity,
            title=Unsealed(subject=facts.actor, text=command.title),
            detected_at=detected_at,
            cause=cause,
            attribution="inferred" if command.deployment is None else "explicit",
        )
    ]


def _attribute(state: Incident, cause: str | None) -> list[IncidentEvent]:
    """Record the blamed deployment, or none, which replaces an earlier statement."""
    if state.attribution == "explicit" and state.cause == cause:
        return []
    if cause is not None and cause == state.remedy:
        raise Refused(
            f"incident {state.id} was ended by deployment {cause}, which cannot have caused it as well",
            code=ErrorCode.CONFLICT,
        )
    return [IncidentAttributed(cause=cause)]


def _resolve(command: ResolveIncident, state: Incident, facts: IncidentFacts) -> list[IncidentEvent]:
    """Resolve the incident. The same resolution again records nothing; another one is refused."""
    _check_remedy(command, state, facts)
    if state.resolved_at is not None:
        other_time = command.resolved_at not in (None, state.resolved_at)
        if other_time or command.deployment not in (None, state.remedy):
            by = f"by deployment {state.remedy}" if state.remedy else "without a deployment"
            raise Refused(
                f"incident {state.id} was resolved at {state.resolved_at} {by}; that stays: open another incident "
                "for what came after",
                code=ErrorCode.CONFLICT,
            )
        return []
    at = command.resolved_at or max(facts.now, state.detected_at)
    if command.resolved_at is not None:
        _check_past(at, "resolved", facts.now)
    if at < state.detected_at:
        raise Refused(
            f"incident {state.id} was detected at {state.detected_at} and cannot have been resolved before, at {at}",
            code=ErrorCode.INVALID,
        )
    if command.deployment is not None and command.deployment == state.cause:
        raise Refused(
            f"incident {state.id} was caused by deployment {state.cause}, which cannot have ended it; name the one "
            "that was deployed because of it, or leave it out",
            code=ErrorCode.CONFLICT,
        )
    note = None if command.note is None else Unsealed(subject=facts.actor, text=command.note)
    return [IncidentResolved(resolved_at=at, remedy=command.deployment, note=note)]


def _cause(facts: IncidentFacts, application: str, environment: str, detected_at: str) -> str | None:
    """Return the blamed deployment, which must have begun when the incident was detected."""
    blamed = facts.deployment
    if blamed is None:
        return None
    _check_involved(blamed, application, environment)
    if blamed.started_at is not None and blamed.started_at > detected_at:
        raise Refused(
            f"deployment {blamed.id} began at {blamed.started_at}, after the incident was detected at {detected_at}, "
            f"and cannot have caused it; name a deployment that had begun by then, or {NO_DEPLOYMENT}",
            code=ErrorCode.CONFLICT,
        )
    return blamed.id


def _check_remedy(command: ResolveIncident, state: Incident, facts: IncidentFacts) -> None:
    """Refuse as a remedy a deployment that had not begun when the incident ended."""
    remedy, over = facts.deployment, command.resolved_at
    if remedy is None:
        return
    _check_involved(remedy, state.application, state.environment)
    if over is not None and remedy.started_at is not None and remedy.started_at > over:
        raise Refused(
            f"deployment {remedy.id} began at {remedy.started_at}, after the incident was over at {over}, and cannot "
            "have ended it; name a deployment that had begun by then, or leave it out",
            code=ErrorCode.CONFLICT,
        )


def _check_involved(deployment: Involved, application: str, environment: str) -> None:
    """Refuse a deployment of another application or environment, and one that has not begun."""
    if (deployment.application, deployment.environment) != (application, environment):
        raise Refused(
            f"deployment {deployment.id} brought {deployment.release} to {deployment.environment}, and the incident "
            f"is of {application} in {environment}; name a deployment of {application} to {environment}",
            code=ErrorCode.CONFLICT,
        )
    if not deployment.begun:
        raise Refused(
            f"deployment {deployment.id} is {deployment.phase} and has not begun, so that no user has met it; "
            f"relman deployment list --environment {environment} shows those that have",
            code=ErrorCode.CONFLICT,
        )


def _check_past(at: str, subject: str, now: str) -> None:
    ahead = (datetime.fromisoformat(at) - datetime.fromisoformat(now)).total_seconds()
    if ahead > SKEW_SECONDS:
        raise Refused(
            f"an incident cannot have been {subject} at {at}, which is in the future; it is {now}",
            code=ErrorCode.INVALID,
        )


# Declaration


def _missing(id: str) -> str:
    return f"incident {id} does not exist; relman incident list shows those that do"


INCIDENT = Aggregate("incident", Incident(), IncidentEvent, evolve, itself, _missing)
