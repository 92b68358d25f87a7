"""Approvals."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from release_management.domain import approval as approvals
from release_management.domain.approval import (
    APPROVAL,
    Approval,
    ApprovalEvent,
    ExpireApproval,
    GrantApproval,
    RefuseApproval,
    RequestApproval,
)
from release_management.domain.deployment.state import DEPLOYMENT, Deployment, Phase
from release_management.domain.errors import ErrorCode
from release_management.domain.words import Command, Refused
from release_management.services.decisions.consequences import write_approval
from release_management.services.decisions.deployments import adopt_rule, go_on, request_approval
from release_management.services.desk import Desk


def request(command: RequestApproval, desk: Desk) -> None:
    """Ask for approval of a planned deployment; one that is asked for or given already stays."""
    state = desk.deployment(command.deployment)
    given = desk.approval(state.approval)
    id = given.id
    if given.phase not in (approvals.Phase.WAITING, approvals.Phase.GRANTED):
        if state.phase is not Phase.PLANNED:
            raise Refused(
                f"deployment {state.id} is {state.phase}; approval is asked for while it is Planned",
                code=ErrorCode.CONFLICT,
            )
        if desk.environment(state.environment).approval.required == 0:
            raise Refused(f"environment {state.environment} asks for no approval; deploy it", code=ErrorCode.CONFLICT)
        id = request_approval(desk, state)
    desk.result.update(approval=id, deployment=state.id)


def grant(command: GrantApproval, desk: Desk) -> None:
    """Agree; where that is enough, the deployment that waited begins."""
    found = _find(command.approval, desk)
    adopt_rule(desk, desk.deployment(found.deployment))
    state = desk.approval(found.id)
    _settle(desk, state, approvals.grant(command, state, desk.actor))


def refuse(command: RefuseApproval, desk: Desk) -> None:
    """Disagree; the deployment that waited ends."""
    state = _find(command.approval, desk)
    _settle(desk, state, approvals.deny(command, state, desk.actor))


def expire(command: ExpireApproval, desk: Desk) -> None:
    """The time is up; the deployment that waited ends."""
    state = _find(command.approval, desk)
    _settle(desk, state, approvals.expire(state, desk.now))


def _settle(desk: Desk, state: Approval, facts: Sequence[ApprovalEvent]) -> None:
    write_approval(desk, state.id, facts)
    if desk.approval(state.id).phase is not approvals.Phase.WAITING:
        go_on(desk, state.deployment)
    _answer(desk, state.id)


def _find(id: str, desk: Desk) -> Approval:
    """By its own id, or by its deployment's."""
    state = desk.approval(id)
    if state.id:
        return state
    deployment = desk.state(DEPLOYMENT, id)
    if not deployment.id:
        raise Refused(APPROVAL.does_not_exist(id), code=ErrorCode.NOT_FOUND)
    if deployment.approval is None:
        ask = f"; ask for one with: relman approval request {id}, or deploy it" if _planned(deployment) else ""
        raise Refused(f"deployment {id} waits for no approval; it is {deployment.phase}{ask}", code=ErrorCode.CONFLICT)
    return desk.approval(deployment.approval)


def _planned(deployment: Deployment) -> bool:
    return deployment.phase is Phase.PLANNED


def _answer(desk: Desk, id: str) -> None:
    state = desk.approval(id)
    desk.result.update(approval=id, phase=str(state.phase), deployment=state.deployment)


HANDLERS: Mapping[type[Command], Callable[[Any, Desk], None]] = {
    RequestApproval: request,
    GrantApproval: grant,
    RefuseApproval: refuse,
    ExpireApproval: expire,
}
