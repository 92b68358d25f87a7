"""Plan, deploy, promote and abort, and start a waiting deployment when the rules allow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from release_management.domain import approval as approvals
from release_management.domain.approval import (
    AdoptRule,
    AskApproval,
    VoidApproval,
)
from release_management.domain.deployment.before_start import (
    AwaitApproval,
    Insist,
    Lapse,
    PlanRequest,
    Queue,
    Reject,
    Replan,
    RequestDeployment,
    Supersede,
)
from release_management.domain.deployment.commands import (
    Abort,
    Deploy,
    PlanDeployment,
    Proceed,
    Promote,
)
from release_management.domain.deployment.decide import (
    EndBake,
    GiveWay,
    Start,
)
from release_management.domain.deployment.state import (
    WAITING,
    Deployment,
    DeploymentPhase,
)
from release_management.domain.place_decisions import Enqueue, Lock
from release_management.domain.plan.planning import why_replanned
from release_management.domain.rules import (
    Situation,
    denials,
    verdicts,
)
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import (
    Command,
    Refused,
    Verdict,
)
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases.consequences import (
    decide_approval,
    decide_deployment,
    decide_place,
    let_go,
)
from release_management.services.use_cases.planning import (
    compile_again,
    compile_now,
    keep,
    plan,
)
from release_management.services.use_cases.situations import (
    approval_digest,
    before,
    situation,
    taking_away,
    yielding,
)


def plan_deployment(command: PlanDeployment, uow: UnitOfWork) -> None:
    """Plan a deployment, and return the verdicts that apply today."""
    plan_request = PlanRequest(command.release, command.environment, command.strategy, command.options)
    answer(uow, plan(uow, plan_request).id)


def deploy(command: Deploy, uow: UnitOfWork) -> None:
    """Plan a deployment unless a plan exists, and start it.

    A version that runs already, or is on its way, is not deployed again.
    """
    plan_request = _plan_request(command)
    insist = Insist(supersede=command.supersede, downgrade=command.downgrade)
    state = planned_already(uow, plan_request) or plan(uow, plan_request)
    if state.phase is DeploymentPhase.SUCCEEDED or (state.plan is not None and not state.plan.forward):
        state = _stay(uow, plan_request, state, insist)
    request(uow, state, insist)
    uow.result["already_so"] = state.phase is DeploymentPhase.SUCCEEDED or None


def _stay(uow: UnitOfWork, plan_request: PlanRequest, state: Deployment, insist: Insist) -> Deployment:
    """Keep a version that runs already although another one is on its way; that one is superseded first.

    Raises `Refused` unless the command has `supersede`.
    """
    others = taking_away(uow, state)
    if not others:
        return state
    if not insist.supersede:
        other = uow.deployment(others[0])
        raise Refused(
            f"{state.release} runs in {state.environment}, and deployment {other.id} is {other.phase} there with "
            f"{other.release}; to keep {state.version}, take that back: relman deployment abort {other.id}, or deploy "
            "with --supersede",
            code=ErrorCode.CONFLICT,
        )
    release = uow.release(state.release)
    compiled = compile_now(uow, release, state.environment, plan_request.strategy, plan_request.options or {})
    targets = dict.fromkeys(target for other in others for target in uow.deployment(other).targets)
    replanned = keep(uow, plan_request, replace(compiled, targets=tuple(targets)))
    if state.phase is DeploymentPhase.PLANNED:
        decide_deployment(uow, state.id, Supersede(replanned.id))
    return replanned


def _plan_request(command: Deploy) -> PlanRequest:
    return PlanRequest(
        command.release, command.environment, command.strategy, command.options, redeploys=command.redeploy
    )


def planned_already(uow: UnitOfWork, plan_request: PlanRequest) -> Deployment | None:
    """Return the existing plan if the request names no strategy and no options: it keeps the strategy chosen for it."""
    id = uow.release(plan_request.release).planned.get(plan_request.environment)
    if id is None or plan_request.strategy is not None or plan_request.options:
        return None
    known = uow.deployment(id)
    return known if known.phase is DeploymentPhase.PLANNED and known.redeploys == plan_request.redeploys else None


def request(uow: UnitOfWork, state: Deployment, insist: Insist, note: str | None = None) -> None:
    """Start a planned deployment as soon as the rules allow; one that has started already stays as it is."""
    first = decide_deployment(uow, state.id, RequestDeployment(note))
    if decide_deployment(uow, state.id, insist) and not first:
        go_on(uow, state.id)
    if first:
        _go_on(uow, state.id, first=True)
    answer(uow, state.id)


def proceed(command: Proceed, uow: UnitOfWork) -> None:
    """Evaluate the rules again for a waiting deployment, after something that it waited for has happened."""
    go_on(uow, command.deployment)
    answer(uow, command.deployment)


def go_on(uow: UnitOfWork, id: str) -> None:
    """Start a waiting deployment if the rules allow it now, or end it if a rule forbids it now."""
    state = uow.deployment(id)
    if state.phase not in (DeploymentPhase.AWAITING_APPROVAL, DeploymentPhase.QUEUED):
        return
    try:
        _go_on(uow, id, first=False)
    except Refused as refused:
        decide_deployment(uow, id, Reject(refused.reason))


def _go_on(uow: UnitOfWork, id: str, *, first: bool) -> None:
    """Compile the plan again, evaluate the rules, and start, wait, or end."""
    state = uow.deployment(id)
    compiled = compile_again(uow, state)
    reason = None
    if compiled.plan.digest != state.digest:
        reason = why_replanned(state.plan, compiled.plan)
        decide_deployment(uow, id, Replan(compiled, reason))
        for target in _to_leave(state.targets, compiled.targets):
            let_go(uow, state, target)
        state = uow.deployment(id)
    adopt_rule(uow, state)
    inputs = situation(uow, state)
    all_verdicts = verdicts(inputs)
    if denied := denials(all_verdicts):
        if first:
            raise Refused(_refusal(state, all_verdicts), all_verdicts, code=ErrorCode.DENIED)
        expired = inputs.approval.phase is approvals.ApprovalPhase.EXPIRED
        decide_deployment(uow, id, Lapse(denied[0].reason) if expired else Reject(denied[0].reason))
        return
    waiting_rules = {verdict.rule for verdict in all_verdicts if verdict.says == "wait"}
    if "approval" in waiting_rules:
        _await_approval(uow, state, inputs, reason or "the plan or the evidence has changed")
    elif "place" in waiting_rules:
        _queue(uow, state)
        if state.supersede and _clear_the_way(uow, state):
            _go_on(uow, id, first=first)
        else:
            _end_bakes(uow, id)
    else:
        for target in state.targets:
            decide_place(uow, state, target, Lock(id))
        decide_deployment(uow, id, Start(compiled.bindings))


def _to_leave(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return the targets whose queues the deployment leaves because its plan has other targets now.

    If some targets are new, these are all: it joins its queues together, so that no two deployments wait for each
    other.
    """
    return [target for target in before if set(now) - set(before) or target not in now]


def _clear_the_way(uow: UnitOfWork, state: Deployment) -> bool:
    """Have deployments that hold its places, or await them before it, give way; return True if any does."""
    gave_way = False
    ahead: list[str] = []
    for target in state.targets:
        place = uow.place(state.environment, state.application, target)
        ahead += [other for other in (*before(place, state.id), place.lock) if other not in (None, state.id)]
    for other in dict.fromkeys(ahead):
        gave_way |= decide_deployment(uow, other, GiveWay(state.release, state.id))
    return gave_way


def _end_bakes(uow: UnitOfWork, id: str) -> None:
    """End the bakes of deployments that hold its places if it waits for nothing else."""
    for holder in yielding(uow, uow.deployment(id)):
        decide_deployment(uow, holder, EndBake(id))


def _refusal(state: Deployment, all_verdicts: tuple[Verdict, ...]) -> str:
    reasons = "; ".join(verdict.reason for verdict in denials(all_verdicts))
    return f"{state.release} may not be deployed to {state.environment}: {reasons}"


def _await_approval(uow: UnitOfWork, state: Deployment, inputs: Situation, reason: str) -> None:
    """Wait for an approval, outside the queues: deployments behind it need not wait for that approval."""
    for target in state.targets:
        let_go(uow, state, target)
    approval = inputs.approval
    if (
        approval.phase in (approvals.ApprovalPhase.WAITING, approvals.ApprovalPhase.GRANTED)
        and approval.digest != inputs.digest
    ):
        decide_approval(uow, approval.id, VoidApproval(f"{reason} since approval was asked for"))
        approval = uow.approval(approval.id)
    if approval.phase is approvals.ApprovalPhase.WAITING:
        if state.phase is not DeploymentPhase.AWAITING_APPROVAL:
            decide_deployment(uow, state.id, AwaitApproval(approval.id))
        return
    request_approval(uow, state)


def request_approval(uow: UnitOfWork, state: Deployment) -> str:
    """Request approval of exactly this release and plan; return the approval's id."""
    release = uow.release(state.release)
    environment = uow.environment(state.environment)
    id = uow.new_id()
    people = dict.fromkeys([release.author, state.requested_by or uow.actor])
    ask = AskApproval(
        approval=id,
        deployment=state.id,
        release=state.release,
        environment=state.environment,
        digest=approval_digest(release, state),
        rule=environment.approval,
        people=tuple(people),
    )
    decide_approval(uow, id, ask)
    decide_deployment(uow, state.id, AwaitApproval(id))
    return id


def adopt_rule(uow: UnitOfWork, state: Deployment) -> None:
    """Have the deployment's approval adopt its environment's present rule."""
    approval = uow.approval(state.approval)
    if approval.id:
        decide_approval(uow, approval.id, AdoptRule(uow.environment(state.environment).approval))


def review_approvals(uow: UnitOfWork, environment: str) -> None:
    """Apply an environment's changed approval rule to every deployment that waits for approval there."""
    for id in uow.environment(environment).awaiting:
        adopt_rule(uow, uow.deployment(id))
        go_on(uow, id)


def _queue(uow: UnitOfWork, state: Deployment) -> None:
    """Join the queue of every place; the plan, and with it the places, may have changed since the last time."""
    behind: list[str] = []
    for target in state.targets:
        place = uow.place(state.environment, state.application, target)
        behind += [other for other in (place.lock, *place.queue) if other is not None and other != state.id]
        decide_place(uow, state, target, Enqueue(state.id))
    decide_deployment(uow, state.id, Queue(tuple(dict.fromkeys(behind))))


def change(command: Promote | Abort, uow: UnitOfWork) -> None:
    """Promote or abort a deployment."""
    id = uow.deployment(command.deployment).id
    decide_deployment(uow, id, command)
    answer(uow, id)


def answer(uow: UnitOfWork, id: str) -> None:
    """Put the deployment, its phase, and the verdicts on one that has not started into the command's result."""
    state = uow.deployment(id)
    uow.result.update(deployment=id, phase=str(state.phase), approval=state.approval)
    if state.phase in WAITING:
        all_verdicts = verdicts(situation(uow, state))
        uow.result["verdicts"] = [verdict.model_dump(exclude_none=True) for verdict in all_verdicts]


HANDLERS: Mapping[type[Command], Callable[[Any, UnitOfWork], None]] = {
    PlanDeployment: plan_deployment,
    Deploy: deploy,
    Proceed: proceed,
    Promote: change,
    Abort: change,
}
