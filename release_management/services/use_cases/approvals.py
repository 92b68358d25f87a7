"""Approvals."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain import approval as approvals
from release_management.domain.approval import (
    APPROVAL,
    Approval,
    ApprovalCommand,
    ExpireApproval,
    GrantApproval,
    RefuseApproval,
    RequestApproval,
)
from release_management.domain.deployment.state import (
    DEPLOYMENT,
    Deployment,
    DeploymentPhase,
)
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Command, Refused
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases.consequences import decide_approval
from release_management.services.use_cases.deployments import (
    adopt_rule,
    go_on,
    request_approval,
)


def request(command: RequestApproval, uow: UnitOfWork) -> None:
    """Request approval of a planned deployment; an approval that is waiting or granted already stays."""
    state = uow.deployment(command.deployment)
    approval = uow.approval(state.approval)
    id = approval.id
    if approval.phase not in (approvals.ApprovalPhase.WAITING, approvals.ApprovalPhase.GRANTED):
        if state.phase is not DeploymentPhase.PLANNED:
            raise Refused(
                f"deployment {state.id} is {state.phase}; approval is asked for while it is Planned",
                code=ErrorCode.CONFLICT,
            )
        if uow.environment(state.environment).approval.required == 0:
            raise Refused(f"environment {state.environment} asks for no approval; deploy it", code=ErrorCode.CONFLICT)
        id = request_approval(uow, state)
    uow.result.update(approval=id, deployment=state.id)


def grant(command: GrantApproval, uow: UnitOfWork) -> None:
    """Sign an approval; if it is complete, the waiting deployment starts."""
    found = _find(command.approval, uow)
    adopt_rule(uow, uow.deployment(found.deployment))
    state = uow.approval(found.id)
    _settle(uow, state, command)


def refuse(command: RefuseApproval, uow: UnitOfWork) -> None:
    """Deny an approval, which ends the waiting deployment."""
    state = _find(command.approval, uow)
    _settle(uow, state, command)


def expire(command: ExpireApproval, uow: UnitOfWork) -> None:
    """Expire an approval, which ends the waiting deployment."""
    state = _find(command.approval, uow)
    _settle(uow, state, command)


def _settle(uow: UnitOfWork, state: Approval, command: ApprovalCommand) -> None:
    decide_approval(uow, state.id, command)
    if uow.approval(state.id).phase is not approvals.ApprovalPhase.WAITING:
        go_on(uow, state.deployment)
    _answer(uow, state.id)


def _find(id: str, uow: UnitOfWork) -> Approval:
    """Return the approval with this id, or the one of the deployment with this id."""
    state = uow.approval(id)
    if state.id:
        return state
    deployment = uow.state(DEPLOYMENT, id)
    if not deployment.id:
        raise Refused(APPROVAL.does_not_exist(id), code=ErrorCode.NOT_FOUND)
    if deployment.approval is None:
        ask = f"; ask for one with: relman approval request {id}, or deploy it" if _planned(deployment) else ""
        raise Refused(f"deployment {id} waits for no approval; it is {deployment.phase}{ask}", code=ErrorCode.CONFLICT)
    return uow.approval(deployment.approval)


def _planned(deployment: Deployment) -> bool:
    return deployment.phase is DeploymentPhase.PLANNED


def _answer(uow: UnitOfWork, id: str) -> None:
    state = uow.approval(id)
    uow.result.update(approval=id, phase=str(state.phase), deployment=state.deployment)


HANDLERS: Mapping[type[Command], Callable[[Any, UnitOfWork], None]] = {
    RequestApproval: request,
    GrantApproval: grant,
    RefuseApproval: refuse,
    ExpireApproval: expire,
}
