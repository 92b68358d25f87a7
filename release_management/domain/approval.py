"""Approval: people agree to exactly one release, plan and evidence. Stream `approval:<uuid7>`."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar, assert_never

from pydantic import Field

from release_management.domain.environment import ApprovalRule
from release_management.kernel.aggregate import Aggregate, itself
from release_management.kernel.errors import ErrorCode
from release_management.kernel.suggestions import some
from release_management.kernel.timestamps import later
from release_management.kernel.types import (
    ActorId,
    Command,
    Digest,
    Fact,
    Giver,
    Id,
    Line,
    Name,
    Note,
    NotYet,
    Personal,
    Refused,
    Unsealed,
)

# Events


class ApprovalRequested(Fact):
    """A deployment needs approval. `digest` is that of the release's content, the plan and the evidence."""

    NAME: ClassVar[str] = "approval.requested"
    approval: str = Field(description="the approval's id")
    deployment: str = Field(description="the deployment's id")
    release: str = Field(description="the release")
    environment: Name = Field(description="the environment")
    digest: Digest = Field(description="SHA-256 of what is approved: the release's content, the plan, the attestations")
    rule: ApprovalRule = Field(description="the environment's approval rule at that moment")
    people: tuple[ActorId, ...] = Field(description="who made the release or asked for the deployment")
    expires_at: str = Field(description="until when people may decide")

    def _summary(self) -> str:
        return (
            f"approval of {self.release} for {self.environment} asked of {self.rule.required}, until {self.expires_at}"
        )


class ApprovalGranted(Fact):
    """One person agreed."""

    NAME: ClassVar[str] = "approval.granted"
    by: ActorId = Field(description="who did it")
    note: Personal | None = Field(None, description="a remark, sealed")

    def _summary(self) -> str:
        return f"granted by {self.by}"


class ApprovalCompleted(Fact):
    """As many people as the rule demands have agreed."""

    NAME: ClassVar[str] = "approval.completed"
    deployment: str = Field(description="the deployment's id")

    def _summary(self) -> str:
        return "approved"


class ApprovalDenied(Fact):
    """One person disagreed, which ends the approval."""

    NAME: ClassVar[str] = "approval.denied"
    by: ActorId = Field(description="who did it")
    deployment: str = Field(description="the deployment's id")
    note: Personal | None = Field(None, description="a remark, sealed")

    def _summary(self) -> str:
        return f"denied by {self.by}"


class ApprovalExpired(Fact):
    """Nobody decided before the deadline."""

    NAME: ClassVar[str] = "approval.expired"
    deployment: str = Field(description="the deployment's id")

    def _summary(self) -> str:
        return "nobody decided in time"


class ApprovalVoided(Fact):
    """The approved release, plan or evidence has changed or is gone; `reason` says which."""

    NAME: ClassVar[str] = "approval.voided"
    reason: Line = Field(description="why, in a sentence")

    def _summary(self) -> str:
        return f"void: {self.reason}"


class ApprovalRuleChanged(Fact):
    """The environment's rule changed before the deployment began; earlier signatures are counted by the new rule."""

    NAME: ClassVar[str] = "approval.rule_changed"
    approval: str = Field(description="the approval's id")
    rule: ApprovalRule = Field(description="the rule that speaks")
    expires_at: str = Field(description="until when people may decide")

    def _summary(self) -> str:
        return f"the rule has changed: asked of {self.rule.required}, until {self.expires_at}"


ApprovalEvent = (
    ApprovalRequested
    | ApprovalGranted
    | ApprovalCompleted
    | ApprovalDenied
    | ApprovalExpired
    | ApprovalVoided
    | ApprovalRuleChanged
)


# Commands


class RequestApproval(Command):
    """Ask for approval of a planned deployment before it is deployed."""

    NAME: ClassVar[str] = "approval.request"
    deployment: Id = Field(description="the deployment's id")


class GrantApproval(Command):
    """Sign an approval. `approval` is its id or the deployment's."""

    NAME: ClassVar[str] = "approval.grant"
    NEEDS_WORKERS: ClassVar[bool] = True
    approval: Id = Field(description="the approval's id, or its deployment's")
    note: Note | None = Field(None, description="a remark; it is sealed before it is recorded")


class RefuseApproval(Command):
    """Deny an approval. `approval` is its id or the deployment's."""

    NAME: ClassVar[str] = "approval.refuse"
    NEEDS_WORKERS: ClassVar[bool] = True
    approval: Id = Field(description="the approval's id, or its deployment's")
    note: Note | None = Field(None, description="a remark; it is sealed before it is recorded")


class ExpireApproval(Command):
    """End an approval whose deadline has passed."""

    NAME: ClassVar[str] = "approval.expire"
    GIVEN_BY: ClassVar[Giver] = Giver.TIMERS
    IS_DEADLINE: ClassVar[bool] = True
    approval: Id = Field(description="the approval's id")


@dataclass(frozen=True, slots=True)
class AskApproval:
    """Request approval of exactly this digest; the decision on the deployment gives this command.

    `people` made the release, or requested its deployment.
    """

    approval: str
    deployment: str
    release: str
    environment: str
    digest: str
    rule: ApprovalRule
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AdoptRule:
    """Adopt the environment's present rule; decisions on deployments and environments give this command."""

    rule: ApprovalRule


@dataclass(frozen=True, slots=True)
class VoidApproval:
    """Withdraw an approval, waiting or granted; the decision on the deployment gives this command."""

    reason: str


ApprovalCommand = AskApproval | GrantApproval | RefuseApproval | ExpireApproval | AdoptRule | VoidApproval


# State


class ApprovalPhase(StrEnum):
    """The phase of an approval."""

    ABSENT = "Absent"
    WAITING = "Waiting"
    GRANTED = "Granted"
    DENIED = "Denied"
    EXPIRED = "Expired"
    VOIDED = "Voided"


@dataclass(frozen=True, slots=True)
class Approval:
    """The state of an approval. `people` made the release or asked for its deployment."""

    id: str = ""
    phase: ApprovalPhase = ApprovalPhase.ABSENT
    deployment: str = ""
    environment: str = ""
    digest: str = ""
    rule: ApprovalRule = field(default_factory=ApprovalRule)
    people: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()
    expires_at: str = ""


def evolve(state: Approval, event: ApprovalEvent) -> Approval:
    """Apply one fact."""
    match event:
        case ApprovalRequested():
            return Approval(
                id=event.approval,
                phase=ApprovalPhase.WAITING,
                deployment=event.deployment,
                environment=event.environment,
                digest=event.digest,
                rule=event.rule,
                people=event.people,
                expires_at=event.expires_at,
            )
        case ApprovalGranted(by=by):
            return replace(state, signatures=(*state.signatures, by))
        case ApprovalCompleted():
            return replace(state, phase=ApprovalPhase.GRANTED)
        case ApprovalDenied():
            return replace(state, phase=ApprovalPhase.DENIED)
        case ApprovalExpired():
            return replace(state, phase=ApprovalPhase.EXPIRED)
        case ApprovalVoided():
            return replace(state, phase=ApprovalPhase.VOIDED)
        case ApprovalRuleChanged(rule=rule, expires_at=expires_at):
            return replace(state, phase=ApprovalPhase.WAITING, rule=rule, expires_at=expires_at)
        case _:
            assert_never(event)


# Decisions

APPROVAL_SECONDS = 30 * 86_400.0
"""Seconds from the request of an approval to its deadline."""


@dataclass(frozen=True, slots=True)
class ApprovalFacts:
    """The further input of a decision on an approval: the actor, and the time."""

    actor: str
    now: str


def decide(command: ApprovalCommand, state: Approval, facts: ApprovalFacts) -> list[ApprovalEvent]:
    """Decide on one approval. Raises `Refused`, and `NotYet` where a timer comes too early."""
    match command:
        case AskApproval():
            return [_requested(command, facts)]
        case GrantApproval(note=note):
            return _grant(state, facts.actor, note)
        case RefuseApproval(note=note):
            return _refuse(state, facts.actor, note)
        case ExpireApproval():
            return _expire(state, facts.now)
        case AdoptRule(rule=rule):
            return _adopt(state, rule, later(facts.now, APPROVAL_SECONDS))
        case VoidApproval(reason=reason):
            return (
                [ApprovalVoided(reason=reason)] if state.phase in (ApprovalPhase.WAITING, ApprovalPhase.GRANTED) else []
            )
        case _:
            assert_never(command)


def _requested(command: AskApproval, facts: ApprovalFacts) -> ApprovalRequested:
    return ApprovalRequested(
        approval=command.approval,
        deployment=command.deployment,
        release=command.release,
        environment=command.environment,
        digest=command.digest,
        rule=command.rule,
        people=command.people,
        expires_at=later(facts.now, APPROVAL_SECONDS),
    )


def _grant(state: Approval, actor: str, note: str | None) -> list[ApprovalEvent]:
    """Record a signature, and complete the approval where it is the last that the rule demands."""
    if actor in state.signatures:
        return []  # whom the rule of now does not count is not counted for agreeing twice
    _may_decide(state, actor)
    granted = ApprovalGranted(by=actor, note=None if note is None else Unsealed(subject=actor, text=note))
    return [granted, *_complete(evolve(state, granted))]


def _refuse(state: Approval, actor: str, note: str | None) -> list[ApprovalEvent]:
    """Deny the approval."""
    if state.phase is ApprovalPhase.DENIED:
        return []
    _may_decide(state, actor)
    text = None if note is None else Unsealed(subject=actor, text=note)
    return [ApprovalDenied(by=actor, deployment=state.deployment, note=text)]


def _expire(state: Approval, now: str) -> list[ApprovalEvent]:
    """Expire the approval if its deadline has passed (RFC 3339 UTC texts compare as times)."""
    if state.phase is not ApprovalPhase.WAITING:
        return []
    if now < state.expires_at:
        raise NotYet(state.expires_at)
    return [ApprovalExpired(deployment=state.deployment)]


def _adopt(state: Approval, rule: ApprovalRule, expires_at: str) -> list[ApprovalEvent]:
    """Record the environment's present rule if it differs; the approval is complete if enough people have signed.

    `expires_at` is the new deadline of an approval that was complete and needs more signatures now.
    """
    if state.phase not in (ApprovalPhase.WAITING, ApprovalPhase.GRANTED) or state.rule == rule:
        return []
    until = state.expires_at if state.phase is ApprovalPhase.WAITING else expires_at
    changed = ApprovalRuleChanged(approval=state.id, rule=rule, expires_at=until)
    return [changed, *_complete(evolve(state, changed))]


def _complete(state: Approval) -> list[ApprovalEvent]:
    return [ApprovalCompleted(deployment=state.deployment)] if len(counting(state)) >= state.rule.required else []


def counting(state: Approval) -> tuple[str, ...]:
    """The people who signed and may sign, by the rule."""
    rule = state.rule
    return tuple(
        signer
        for signer in state.signatures
        if (not rule.approvers or signer in rule.approvers) and (rule.allow_self or signer not in state.people)
    )


def _may_decide(state: Approval, actor: str) -> None:
    if state.phase is not ApprovalPhase.WAITING:
        raise Refused(
            f"approval {state.id} is {state.phase}; only a waiting one can be decided", code=ErrorCode.CONFLICT
        )
    if actor in state.people and not state.rule.allow_self:
        raise Refused(
            f"{actor} made this release or asked for its deployment and may not approve it; somebody else must",
            code=ErrorCode.DENIED,
        )
    if state.rule.approvers and actor not in state.rule.approvers:
        raise Refused(
            f"{actor} is not among the approvers of this environment; those are {some(state.rule.approvers)}",
            code=ErrorCode.DENIED,
        )


# Declaration


def _missing(id: str) -> str:
    return f"approval {id} does not exist; relman approval list shows those that wait"


APPROVAL = Aggregate("approval", Approval(), ApprovalEvent, evolve, itself, _missing)
