"""Revert deployments, and retry those that did not succeed."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain.deployment.before_start import Insist, PlanRequest
from release_management.domain.deployment.commands import (
    Abort,
    Retry,
    Rollback,
)
from release_management.domain.deployment.events import Return
from release_management.domain.deployment.state import (
    ACTIVE,
    WAITING,
    Deployment,
    DeploymentPhase,
)
from release_management.domain.plan.strategies import StrategyName
from release_management.domain.plan.strategies.blue_green import BlueGreen
from release_management.domain.plan.strategies.recreate import Recreate
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Command, Refused
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases import returning
from release_management.services.use_cases.deployments import (
    answer,
    change,
    request,
)
from release_management.services.use_cases.planning import (
    compile_now,
    keep,
    plan,
)


def rollback(command: Rollback, uow: UnitOfWork) -> None:
    """Abort a running deployment, or revert one that has ended by a new deployment of the version before."""
    if command.application is not None and command.environment is not None:
        if command.to is not None:
            _to_version(uow, command.application, command.environment, command.to, command.reason)
            return
        environment = uow.environment(command.environment)
        id = returning.newest_there(uow, command.application, environment)
    else:
        id = command.deployment or ""
    state = uow.deployment(id)
    if state.phase in ACTIVE or state.phase in WAITING:
        change(Abort(deployment=state.id, reason=command.reason), uow)
    elif state.phase is DeploymentPhase.HALTED and state.plan is not None and not state.plan.reversible:
        raise Refused(
            f"deployment {state.id} halted where there is no way back; deploy a newer version", code=ErrorCode.CONFLICT
        )
    elif state.phase in (DeploymentPhase.SUCCEEDED, DeploymentPhase.ROLLBACK_FAILED, DeploymentPhase.HALTED):
        _leave(uow, state, command.reason)
    else:
        answer(uow, state.id)


def _leave(uow: UnitOfWork, state: Deployment, note: str | None) -> None:
    """Deploy what ran before the deployment, unless a rollback of it is under way or done."""
    done = returning.under_way(uow, state)
    if done is None and state.phase is DeploymentPhase.SUCCEEDED:
        returning.check_newest(uow, state)
    elif done is None:
        done = _set_right(uow, state, returning.gone_back(uow, state))
    if done is not None:
        answer(uow, done)
        return
    returns = returning.from_deployment(uow, state)
    if state.phase is DeploymentPhase.SUCCEEDED and all(each.to is None for each in returns):
        raise Refused(
            f"nothing of what {state.release} brought to {state.environment} had succeeded there before; "
            "deploy the version that you want",
            code=ErrorCode.CONFLICT,
        )
    plan_request = _plan_request(uow, state.application, state.environment, returns, state.release, state.id)
    _go_back(uow, plan_request, note=note)


def _set_right(uow: UnitOfWork, state: Deployment, done: str | None) -> str | None:
    """Return the rollback that has already repaired the places; None if some are still unsettled."""
    try:
        returning.check_unsettled(uow, state)
    except Refused:
        if done is None:
            raise
        return done
    return None


def _to_version(uow: UnitOfWork, application: str, environment: str, version: str, note: str | None) -> None:
    """Deploy each component's content in an earlier version; a deployment under way there is rolled back first."""
    release = uow.release(f"{application}@{version}")
    returns = returning.from_version(uow, application, uow.environment(environment), version)
    rollback_under_way = release.returning.get(environment)
    if (
        rollback_under_way is not None
        and not uow.deployment(rollback_under_way).ended
        and uow.deployment(rollback_under_way).returns == returns
    ):
        answer(uow, rollback_under_way)
        return
    successes = [
        (success.at or "", success.deployment)
        for each in returns
        for success in uow.place(environment, application, each.target).succeeded.get(each.component, ())
        if success.deployment == each.leaves
    ]
    left = [each.leaves for each in returns if each.to != each.leaves]
    _, newest = max(success for success in successes if not any(left) or success[1] in left)
    plan_request = _plan_request(uow, application, environment, returns, release.ref, newest)
    _go_back(uow, plan_request, Insist(supersede=True), note)


def _plan_request(
    uow: UnitOfWork, application: str, environment: str, returns: tuple[Return, ...], release: str, reverts: str
) -> PlanRequest:
    """Return the plan request of a rollback.

    Its release is the one that most components return to, or `release` if all components are stopped.
    """
    versions = Counter(each.version for each in returns if each.version is not None)
    brings = f"{application}@{versions.most_common(1)[0][0]}" if versions else release
    targets = [each.target for each in returns]
    return PlanRequest(brings, environment, _fastest(uow, environment, targets), reverts=reverts, returns=returns)


def _go_back(uow: UnitOfWork, plan_request: PlanRequest, insist: Insist | None = None, note: str | None = None) -> None:
    """Plan and start a rollback. Raises `Refused` if nothing would change."""
    release = uow.release(plan_request.release)
    compiled = compile_now(
        uow, release, plan_request.environment, plan_request.strategy, plan_request.options or {}, plan_request.returns
    )
    if not compiled.plan.forward:
        notes = "; ".join(compiled.plan.notes) or "nothing of it has a target there any more"
        raise Refused(f"there is nothing to take back in {plan_request.environment}: {notes}", code=ErrorCode.CONFLICT)
    request(uow, keep(uow, plan_request, compiled), insist or Insist(), note)


def _fastest(uow: UnitOfWork, environment: str, returning: list[str]) -> StrategyName:
    """Return the fastest strategy that the targets allow: all traffic at once, or else recreate."""
    targets = uow.environment(environment).targets
    present = [targets[name] for name in returning if name in targets]
    able = all(len(target.slots) > 1 and target.routes != "none" for target in present)
    return BlueGreen.NAME if able else Recreate.NAME


def retry(command: Retry, uow: UnitOfWork) -> None:
    """Deploy again what a deployment without success was to bring."""
    state = uow.deployment(command.deployment)
    if not state.ended:
        raise Refused(
            f"deployment {state.id} is {state.phase}; only one that has ended can be retried", code=ErrorCode.CONFLICT
        )
    if state.phase is DeploymentPhase.SUCCEEDED:
        answer(uow, state.id)
        return
    plan_request = PlanRequest(
        state.release,
        state.environment,
        state.strategy if state.chosen else None,
        state.options,
        retries=state.id,
        reverts=state.reverts,
        returns=state.returns,
        redeploys=state.redeploys,
    )
    insist = Insist(supersede=state.supersede, downgrade=state.downgrade)
    if state.reverts is None or state.returns is None:
        request(uow, plan(uow, plan_request), insist)
        return
    rollback_under_way = returning.under_way(uow, uow.deployment(state.reverts))
    if rollback_under_way is not None:
        answer(uow, rollback_under_way)
        return
    _go_back(uow, plan_request, insist)


HANDLERS: Mapping[type[Command], Callable[[Any, UnitOfWork], None]] = {
    Rollback: rollback,
    Retry: retry,
}
