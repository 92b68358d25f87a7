"""Planning, deploying, promoting, aborting, rolling back, retrying; and whether a waiting deployment may start."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from release_management.domain import approval as approvals
from release_management.domain import place as places
from release_management.domain.approval import ApprovalRequested
from release_management.domain.deployment.commands import (
    Abort,
    Deploy,
    PlanDeployment,
    PreviewDeployment,
    Proceed,
    Promote,
    Retry,
    Rollback,
)
from release_management.domain.deployment.decide import QUEUE_SECONDS, abort, later, promote, start, supersede
from release_management.domain.deployment.events import (
    DeploymentApprovalAwaited,
    DeploymentExpired,
    DeploymentQueued,
    DeploymentRejected,
    DeploymentRequested,
)
from release_management.domain.deployment.state import ACTIVE, WAITING, Deployment, Phase
from release_management.domain.plan import describe
from release_management.domain.rules import Situation, denials, verdicts
from release_management.domain.slots import settled
from release_management.domain.strategies import StrategyName
from release_management.domain.words import Command, Refused, Verdict
from release_management.services.decisions.consequences import record
from release_management.services.decisions.planning import (
    Wanted,
    approval_digest,
    compile_again,
    compile_now,
    plan,
    replanned,
    situation,
)
from release_management.services.desk import Desk

APPROVAL_SECONDS = 30 * 86_400.0


def plan_deployment(command: PlanDeployment, desk: Desk) -> None:
    """Plan, and show what would stop it today."""
    wanted = Wanted(command.release, command.environment, command.strategy, command.options)
    _answer(desk, plan(desk, wanted).id)


def preview(command: PreviewDeployment, desk: Desk) -> None:
    """What `deployment.deploy` would do: the plan and the verdicts. Nothing is recorded."""
    release = desk.release(command.release)
    planned = _planned(desk, Wanted(command.release, command.environment, command.strategy, command.options))
    if planned is not None:
        compiled = compile_again(desk, planned)
    else:
        compiled = compile_now(desk, release, command.environment, command.strategy, command.options)
    state = Deployment(
        release=release.ref,
        application=release.application,
        environment=command.environment,
        targets=compiled.targets,
        digest=compiled.plan.digest,
    )
    said = verdicts(situation(desk, state))
    desk.result.update(
        strategy=compiled.strategy,
        plan=compiled.plan.model_dump(mode="json"),
        steps=[describe(step) for step in compiled.plan.forward],
        verdicts=[verdict.model_dump(exclude_none=True) for verdict in said],
    )


def deploy(command: Deploy, desk: Desk) -> None:
    """Plan unless it is planned, and begin. What runs already, or is on its way, is already so."""
    wanted = Wanted(command.release, command.environment, command.strategy, command.options)
    _request(desk, _planned(desk, wanted) or plan(desk, wanted), command.strategy, superseding=command.supersede)


def _planned(desk: Desk, wanted: Wanted) -> Deployment | None:
    """The plan that is there already, where nothing else is asked for: it keeps the strategy that was chosen for it."""
    id = desk.release(wanted.release).planned.get(wanted.environment)
    if id is None or wanted.strategy is not None or wanted.options:
        return None
    known = desk.deployment(id)
    return known if known.phase is Phase.PLANNED else None


def _request(desk: Desk, state: Deployment, strategy: StrategyName | None, *, superseding: bool = False) -> None:
    if state.phase is not Phase.PLANNED:
        if strategy is not None and strategy != state.strategy and not state.ended:
            raise Refused(
                f"deployment {state.id} of {state.release} to {state.environment} is {state.phase} with "
                f"{state.strategy}; abort it before deploying with {strategy}"
            )
        _answer(desk, state.id)
        return
    record(desk, state.id, [DeploymentRequested(by=desk.actor)])
    _go_on(desk, state.id, first=True)
    if superseding and desk.deployment(state.id).phase is Phase.QUEUED:
        _clear_the_way(desk, state)
    _answer(desk, state.id)


def proceed(command: Proceed, desk: Desk) -> None:
    """Something that a waiting deployment waited for has happened: ask the rules again."""
    go_on(desk, command.deployment)
    _answer(desk, command.deployment)


def go_on(desk: Desk, id: str) -> None:
    """Start a waiting deployment if nothing stands in its way any more, or end it where something now forbids it."""
    state = desk.deployment(id)
    if state.phase not in (Phase.AWAITING_APPROVAL, Phase.QUEUED):
        return
    try:
        _go_on(desk, id, first=False)
    except Refused as refused:
        record(desk, id, [DeploymentRejected(reason=_first_line(refused.reason))])


def _go_on(desk: Desk, id: str, *, first: bool) -> None:
    """Compile again, ask the rules, and start, wait, or end."""
    state = desk.deployment(id)
    compiled = compile_again(desk, state)
    if compiled.plan.digest != state.digest:
        record(desk, id, [replanned(state, compiled, "what stands at its places, or a policy, has changed")])
        for target in _to_leave(state.targets, compiled.targets):
            place = desk.place(state.environment, state.application, target)
            desk.write(places.stream(state.environment, state.application, target), places.release(place, id))
        state = desk.deployment(id)
    asked = situation(desk, state)
    said = verdicts(asked)
    if denied := denials(said):
        if first:
            raise Refused(_why_not(state, said), said)
        if asked.approval.phase is approvals.Phase.EXPIRED:
            record(desk, id, [DeploymentExpired(reason=_first_line(denied[0].reason))])
        else:
            record(desk, id, [DeploymentRejected(reason=_first_line(denied[0].reason))])
        return
    waits = {verdict.rule for verdict in said if verdict.says == "wait"}
    if "approval" in waits:
        _await_approval(desk, state, asked)
    elif "place" in waits:
        _queue(desk, state)
    else:
        for target in state.targets:
            stream = places.stream(state.environment, state.application, target)
            desk.write(stream, places.lock(desk.read(stream), id))
        record(desk, id, start(state, compiled.bindings, desk.now))


def _to_leave(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """The targets whose queues a deployment leaves because it has others now.

    Where some are new, all of them: it joins its queues together, so that no two deployments wait for each other.
    """
    return [target for target in before if set(now) - set(before) or target not in now]


def _clear_the_way(desk: Desk, state: Deployment) -> None:
    """Have whatever holds or awaits the deployment's places give way to it."""
    ahead: list[str] = []
    for target in state.targets:
        place = desk.place(state.environment, state.application, target)
        ahead += [other for other in (*place.queue, place.lock) if other is not None and other != state.id]
    for other in dict.fromkeys(ahead):
        record(desk, other, supersede(desk.deployment(other), state.release, state.id, desk.now))
    go_on(desk, state.id)


def _why_not(state: Deployment, said: tuple[Verdict, ...]) -> str:
    reasons = "; ".join(verdict.reason for verdict in denials(said))
    return f"{state.release} may not be deployed to {state.environment}: {reasons}"


def _first_line(reason: str) -> str:
    return reason.splitlines()[0][:500]


def _await_approval(desk: Desk, state: Deployment, asked: Situation) -> None:
    """Wait for a person; whoever stands behind it in a queue need not wait for that person too."""
    for target in state.targets:
        place = desk.place(state.environment, state.application, target)
        stream = places.stream(state.environment, state.application, target)
        desk.write(stream, places.release(place, state.id))
    given = asked.approval
    if given.phase in (approvals.Phase.WAITING, approvals.Phase.GRANTED) and given.digest != asked.digest:
        reason = "the plan or the evidence has changed since approval was asked for"
        desk.write(f"approval:{given.id}", approvals.void(given, reason))
        given = desk.approval(given.id)
    if given.phase is approvals.Phase.WAITING:
        if state.phase is not Phase.AWAITING_APPROVAL:
            record(desk, state.id, [DeploymentApprovalAwaited(approval=given.id)])
        return
    request_approval(desk, state)


def request_approval(desk: Desk, state: Deployment) -> str:
    """Ask for approval of exactly this; returns the approval's id."""
    release = desk.release(state.release)
    environment = desk.environment(state.environment)
    id = desk.new_id()
    people = dict.fromkeys([release.author, state.requested_by or desk.actor])
    requested = ApprovalRequested(
        approval=id,
        deployment=state.id,
        release=state.release,
        environment=state.environment,
        digest=approval_digest(release, state),
        rule=environment.approval,
        people=tuple(people),
        expires_at=later(desk.now, APPROVAL_SECONDS),
    )
    desk.write(f"approval:{id}", [requested])
    record(desk, state.id, [DeploymentApprovalAwaited(approval=id)])
    return id


def _queue(desk: Desk, state: Deployment) -> None:
    """Wait for every place; the plan may have changed since it was queued, and with it the places."""
    behind: list[str] = []
    for target in state.targets:
        stream = places.stream(state.environment, state.application, target)
        place = desk.place(state.environment, state.application, target)
        behind += [other for other in (place.lock, *place.queue) if other is not None and other != state.id]
        desk.write(stream, places.enqueue(place, state.id))
    if state.phase is not Phase.QUEUED:
        deadline = later(desk.now, QUEUE_SECONDS)
        record(desk, state.id, [DeploymentQueued(behind=tuple(dict.fromkeys(behind)), deadline=deadline)])


def promote_deployment(command: Promote, desk: Desk) -> None:
    """End a pause."""
    state = desk.deployment(command.deployment)
    record(desk, state.id, promote(state, command.step, command.full, desk.actor, desk.now))
    _answer(desk, state.id)


def abort_deployment(command: Abort, desk: Desk) -> None:
    """Go back, or cancel."""
    state = desk.deployment(command.deployment)
    record(desk, state.id, abort(state, desk.actor, command.reason, desk.now))
    _answer(desk, state.id)


def rollback(command: Rollback, desk: Desk) -> None:
    """Abort what runs; leave what has succeeded, or could not go back, by a new deployment of the version before it."""
    state = desk.deployment(command.deployment)
    if state.phase in ACTIVE or state.phase in WAITING:
        abort_deployment(Abort(deployment=state.id, reason=command.reason), desk)
        return
    if state.phase is Phase.ROLLBACK_FAILED:
        again = _back_already(desk, state)
        if again is not None:
            _answer(desk, again)
            return
    elif state.phase is not Phase.SUCCEEDED:
        _answer(desk, state.id)
        return
    earlier = set()
    for target in state.targets:
        place = desk.place(state.environment, state.application, target)
        current = place.succeeded[-1] if place.succeeded else None
        if state.phase is Phase.ROLLBACK_FAILED:
            earlier.add(None if current is None else current[0])
            continue
        if current is None or current[1] != state.id:
            raise Refused(
                f"deployment {state.id} is not what runs in {state.environment} any more; roll back the newest one"
            )
        earlier.add(places.rollback_version(place, state.version))
    if None in earlier or len(earlier) != 1:
        raise Refused(
            f"no earlier version succeeded in {state.environment} on every target of {state.release}; "
            "deploy the version that you want"
        )
    strategy = _way_back(desk, state)
    wanted = Wanted(f"{state.application}@{earlier.pop()}", state.environment, strategy, reverts=state.id)
    _request(desk, plan(desk, wanted), None)


def _back_already(desk: Desk, state: Deployment) -> str | None:
    """The deployment that has gone back in its stead, or does; None where something is left to be set right."""
    unsettled = False
    gone_back: list[str] = []
    for binding in state.bindings:
        place = desk.place(state.environment, state.application, binding.target)
        if place.lock is not None:
            if desk.deployment(place.lock).reverts == state.id:
                return place.lock
            raise Refused(
                f"deployment {place.lock} is at work where {state.id} could not go back; let it end, or abort it first"
            )
        target = desk.environment(state.environment).targets[binding.target]
        standing = place.components.get(binding.component, places.Standing())
        unsettled |= standing.serving is None or not settled(standing, target.slots)
        gone_back += [id for _, id in place.succeeded if desk.deployment(id).reverts == state.id]
    if unsettled:
        return None
    if not gone_back:
        raise Refused(
            f"nothing is left of deployment {state.id} in {state.environment} that could be taken back: "
            "another has set it right; roll back the newest one, or deploy the version that you want"
        )
    return gone_back[-1]


def _way_back(desk: Desk, state: Deployment) -> StrategyName:
    """The fastest way that the targets can go: all traffic at once where they can, else recreate."""
    targets = desk.environment(state.environment).targets
    able = all(len(targets[name].slots) > 1 and targets[name].routes != "none" for name in state.targets)
    return "blue-green" if able else "recreate"


def retry(command: Retry, desk: Desk) -> None:
    """Deploy again what has ended without success."""
    state = desk.deployment(command.deployment)
    if not state.ended:
        raise Refused(f"deployment {state.id} is {state.phase}; only one that has ended can be retried")
    if state.phase is Phase.SUCCEEDED:
        _answer(desk, state.id)
        return
    strategy = state.strategy if state.chosen else None
    wanted = Wanted(state.release, state.environment, strategy, state.options, retries=state.id, reverts=state.reverts)
    _request(desk, plan(desk, wanted), None)


def _answer(desk: Desk, id: str) -> None:
    """The result says which deployment, its phase, and what every rule says of one that has not started."""
    state = desk.deployment(id)
    desk.result.update(deployment=id, phase=str(state.phase), approval=state.approval)
    if state.phase in WAITING:
        said = verdicts(situation(desk, state))
        desk.result["verdicts"] = [verdict.model_dump(exclude_none=True) for verdict in said]


HANDLERS: Mapping[type[Command], Callable[[Any, Desk], None]] = {
    PlanDeployment: plan_deployment,
    PreviewDeployment: preview,
    Deploy: deploy,
    Proceed: proceed,
    Promote: promote_deployment,
    Abort: abort_deployment,
    Rollback: rollback,
    Retry: retry,
}
