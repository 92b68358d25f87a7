"""Going back from what a deployment brought, and trying again what did not succeed."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain.deployment.commands import Abort, Retry, Rollback
from release_management.domain.deployment.events import Return
from release_management.domain.deployment.state import ACTIVE, WAITING, Deployment, Phase
from release_management.domain.errors import ErrorCode
from release_management.domain.strategies import StrategyName
from release_management.domain.words import Command, Refused
from release_management.services.decisions import returning
from release_management.services.decisions.deployments import Insists, abort_deployment, answer, request
from release_management.services.decisions.planning import Wanted, compile_now, keep, plan
from release_management.services.desk import Desk


def rollback(command: Rollback, desk: Desk) -> None:
    """Abort what runs. Leave what has succeeded, or could not go back, by a new deployment of what was there before."""
    if command.application is not None and command.environment is not None:
        if command.to is not None:
            _to_version(desk, command.application, command.environment, command.to, command.reason)
            return
        environment = desk.environment(command.environment)
        id = returning.newest_there(desk, command.application, environment)
    else:
        id = command.deployment or ""
    state = desk.deployment(id)
    if state.phase in ACTIVE or state.phase in WAITING:
        abort_deployment(Abort(deployment=state.id, reason=command.reason), desk)
    elif state.phase is Phase.HALTED and state.plan is not None and not state.plan.reversible:
        raise Refused(
            f"deployment {state.id} halted where there is no way back; deploy a newer version", code=ErrorCode.CONFLICT
        )
    elif state.phase in (Phase.SUCCEEDED, Phase.ROLLBACK_FAILED, Phase.HALTED):
        _leave(desk, state, command.reason)
    else:
        answer(desk, state.id)


def _leave(desk: Desk, state: Deployment, note: str | None) -> None:
    """Bring what was there before the deployment, unless somebody does or has done so already."""
    done = returning.under_way(desk, state)
    if done is None and state.phase is Phase.SUCCEEDED:
        returning.check_newest(desk, state)
    elif done is None:
        done = _set_right(desk, state, returning.gone_back(desk, state))
    if done is not None:
        answer(desk, done)
        return
    returns = returning.from_deployment(desk, state)
    if state.phase is Phase.SUCCEEDED and all(each.to is None for each in returns):
        raise Refused(
            f"nothing of what {state.release} brought to {state.environment} had succeeded there before; "
            "deploy the version that you want",
            code=ErrorCode.CONFLICT,
        )
    wanted = _wanted(desk, state.application, state.environment, returns, state.release, state.id)
    _go_back(desk, wanted, note=note)


def _set_right(desk: Desk, state: Deployment, done: str | None) -> str | None:
    """The deployment that has gone back in its stead; None where something is left to be set right."""
    try:
        returning.check_unsettled(desk, state)
    except Refused:
        if done is None:
            raise
        return done
    return None


def _to_version(desk: Desk, application: str, environment: str, version: str, note: str | None) -> None:
    """Bring what each component was in an earlier version; what is under way there goes back first."""
    release = desk.release(f"{application}@{version}")
    returns = returning.from_version(desk, application, desk.environment(environment), version)
    going = release.returning.get(environment)
    if going is not None and not desk.deployment(going).ended and desk.deployment(going).returns == returns:
        answer(desk, going)
        return
    successes = [
        (success.at or "", success.deployment)
        for each in returns
        for success in desk.place(environment, application, each.target).succeeded.get(each.component, ())
        if success.deployment == each.leaves
    ]
    left = [each.leaves for each in returns if each.to != each.leaves]
    _, newest = max(success for success in successes if not any(left) or success[1] in left)
    wanted = _wanted(desk, application, environment, returns, release.ref, newest)
    _go_back(desk, wanted, Insists(supersede=True), note)


def _wanted(
    desk: Desk, application: str, environment: str, returns: tuple[Return, ...], release: str, reverts: str
) -> Wanted:
    """The rollback is of the release that most of it goes back to; of `release` where it goes back to nothing."""
    versions = Counter(each.version for each in returns if each.version is not None)
    brings = f"{application}@{versions.most_common(1)[0][0]}" if versions else release
    targets = [each.target for each in returns]
    return Wanted(brings, environment, _fastest(desk, environment, targets), reverts=reverts, returns=returns)


def _go_back(desk: Desk, wanted: Wanted, insists: Insists | None = None, note: str | None = None) -> None:
    """Plan and begin a rollback. Raises `Refused` where nothing would change."""
    release = desk.release(wanted.release)
    compiled = compile_now(desk, release, wanted.environment, wanted.strategy, wanted.options or {}, wanted.returns)
    if not compiled.plan.forward:
        stands = "; ".join(compiled.plan.notes) or "nothing of it has a target there any more"
        raise Refused(f"there is nothing to take back in {wanted.environment}: {stands}", code=ErrorCode.CONFLICT)
    request(desk, keep(desk, wanted, compiled), insists or Insists(), note)


def _fastest(desk: Desk, environment: str, returning: list[str]) -> StrategyName:
    """The fastest way that the targets can go: all traffic at once where they can, else recreate."""
    targets = desk.environment(environment).targets
    there = [targets[name] for name in returning if name in targets]
    able = all(len(target.slots) > 1 and target.routes != "none" for target in there)
    return "blue-green" if able else "recreate"


def retry(command: Retry, desk: Desk) -> None:
    """Deploy again what has ended without success."""
    state = desk.deployment(command.deployment)
    if not state.ended:
        raise Refused(
            f"deployment {state.id} is {state.phase}; only one that has ended can be retried", code=ErrorCode.CONFLICT
        )
    if state.phase is Phase.SUCCEEDED:
        answer(desk, state.id)
        return
    wanted = Wanted(
        state.release,
        state.environment,
        state.strategy if state.chosen else None,
        state.options,
        retries=state.id,
        reverts=state.reverts,
        returns=state.returns,
        redeploys=state.redeploys,
    )
    insists = Insists(supersede=state.supersede, downgrade=state.downgrade)
    if state.reverts is None or state.returns is None:
        request(desk, plan(desk, wanted), insists)
        return
    going = returning.under_way(desk, desk.deployment(state.reverts))
    if going is not None:
        answer(desk, going)
        return
    _go_back(desk, wanted, insists)


HANDLERS: Mapping[type[Command], Callable[[Any, Desk], None]] = {
    Rollback: rollback,
    Retry: retry,
}
