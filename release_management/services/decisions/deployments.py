"""Planning, deploying, promoting, aborting, rolling back, retrying; and whether a waiting deployment may start."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
)
from release_management.domain.deployment.decide import QUEUE_SECONDS, abort, end_bake, later, promote, start, supersede
from release_management.domain.deployment.events import (
    DeploymentApprovalAwaited,
    DeploymentExpired,
    DeploymentInsisted,
    DeploymentQueued,
    DeploymentRejected,
    DeploymentRequested,
    DeploymentSuperseded,
)
from release_management.domain.deployment.state import WAITING, Deployment, Phase
from release_management.domain.errors import ErrorCode
from release_management.domain.place import PLACE
from release_management.domain.plan import describe
from release_management.domain.rules import Situation, denials, verdicts
from release_management.domain.words import Command, Refused, Unsealed, Verdict
from release_management.services.decisions.consequences import let_go, record, write_approval
from release_management.services.decisions.planning import (
    Wanted,
    compile_again,
    compile_now,
    keep,
    plan,
    replanned,
    why_replanned,
)
from release_management.services.decisions.situations import approval_digest, before, situation, taking_away, yielding
from release_management.services.desk import Desk

APPROVAL_SECONDS = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Insists:
    """What somebody insists on who deploys: see `DeploymentInsisted`."""

    supersede: bool = False
    downgrade: bool = False


def plan_deployment(command: PlanDeployment, desk: Desk) -> None:
    """Plan, and show what would stop it today."""
    wanted = Wanted(command.release, command.environment, command.strategy, command.options)
    answer(desk, plan(desk, wanted).id)


def preview(command: PreviewDeployment, desk: Desk) -> None:
    """What `deployment.deploy` would do: the plan and the verdicts. Nothing is recorded."""
    release = desk.release(command.release)
    planned = _planned(desk, _wanted(command))
    if planned is not None:
        compiled = compile_again(desk, planned)
    else:
        compiled = compile_now(
            desk, release, command.environment, command.strategy, command.options, redeploys=command.redeploy
        )
    state = Deployment(
        release=release.ref,
        application=release.application,
        environment=command.environment,
        targets=compiled.targets,
        digest=compiled.plan.digest,
        supersede=command.supersede,
        downgrade=command.downgrade,
    )
    said = verdicts(situation(desk, state))
    shown = slice(command.after, command.after + command.limit)
    legs = {"forward": compiled.plan.forward[shown], "rollback": compiled.plan.rollback[shown]}
    part = compiled.plan.model_copy(update=legs)
    desk.result.update(
        strategy=compiled.strategy,
        plan=part.model_dump(mode="json"),
        steps=[describe(step) for step in part.forward],
        total=len(compiled.plan.forward),
        digest=compiled.plan.digest,
        verdicts=[verdict.model_dump(exclude_none=True) for verdict in said],
    )


def deploy(command: Deploy, desk: Desk) -> None:
    """Plan unless it is planned, and begin. What runs already, or is on its way, is already so."""
    wanted = _wanted(command)
    insists = Insists(supersede=command.supersede, downgrade=command.downgrade)
    state = _planned(desk, wanted) or plan(desk, wanted)
    if state.phase is Phase.SUCCEEDED or (state.plan is not None and not state.plan.forward):
        state = _stay(desk, wanted, state, insists)
    request(desk, state, insists)
    desk.result["already_so"] = state.phase is Phase.SUCCEEDED or None


def _stay(desk: Desk, wanted: Wanted, state: Deployment, insists: Insists) -> Deployment:
    """What is wanted runs already: so it is to stay, although another is on its way there. That one gives way first.

    Raises `Refused` where it was not said that it is to give way.
    """
    others = taking_away(desk, state)
    if not others:
        return state
    if not insists.supersede:
        other = desk.deployment(others[0])
        raise Refused(
            f"{state.release} runs in {state.environment}, and deployment {other.id} is {other.phase} there with "
            f"{other.release}; to keep {state.version}, take that back: relman deployment abort {other.id}, or deploy "
            "with --supersede",
            code=ErrorCode.CONFLICT,
        )
    release = desk.release(state.release)
    compiled = compile_now(desk, release, state.environment, wanted.strategy, wanted.options or {})
    targets = dict.fromkeys(target for other in others for target in desk.deployment(other).targets)
    kept = keep(desk, wanted, replace(compiled, targets=tuple(targets)))
    if state.phase is Phase.PLANNED:
        record(desk, state.id, [DeploymentSuperseded(successor=kept.id)])
    return kept


def _wanted(command: Deploy | PreviewDeployment) -> Wanted:
    return Wanted(command.release, command.environment, command.strategy, command.options, redeploys=command.redeploy)


def _planned(desk: Desk, wanted: Wanted) -> Deployment | None:
    """The plan that is there already, where nothing else is asked for: it keeps the strategy that was chosen for it."""
    id = desk.release(wanted.release).planned.get(wanted.environment)
    if id is None or wanted.strategy is not None or wanted.options:
        return None
    known = desk.deployment(id)
    return known if known.phase is Phase.PLANNED and known.redeploys == wanted.redeploys else None


def request(desk: Desk, state: Deployment, insists: Insists, note: str | None = None) -> None:
    """Begin what is planned, as soon as the rules allow; what has begun already stays as it is."""
    first = state.phase is Phase.PLANNED
    if first:
        text = None if note is None else Unsealed(subject=desk.actor, text=note)
        record(desk, state.id, [DeploymentRequested(by=desk.actor, note=text)])
    said_now = Insists(insists.supersede and not state.supersede, insists.downgrade and not state.downgrade)
    if state.phase in WAITING and (said_now.supersede or said_now.downgrade):
        insisted = DeploymentInsisted(by=desk.actor, supersede=said_now.supersede, downgrade=said_now.downgrade)
        record(desk, state.id, [insisted])
        if not first:
            go_on(desk, state.id)
    if first:
        _go_on(desk, state.id, first=True)
    answer(desk, state.id)


def proceed(command: Proceed, desk: Desk) -> None:
    """Something that a waiting deployment waited for has happened: ask the rules again."""
    go_on(desk, command.deployment)
    answer(desk, command.deployment)


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
    why = None
    if compiled.plan.digest != state.digest:
        why = why_replanned(state.plan, compiled.plan)
        record(desk, id, [replanned(state, compiled, why)])
        for target in _to_leave(state.targets, compiled.targets):
            let_go(desk, state, target)
        state = desk.deployment(id)
    adopt_rule(desk, state)
    asked = situation(desk, state)
    said = verdicts(asked)
    if denied := denials(said):
        if first:
            raise Refused(_why_not(state, said), said, code=ErrorCode.DENIED)
        if asked.approval.phase is approvals.Phase.EXPIRED:
            record(desk, id, [DeploymentExpired(reason=_first_line(denied[0].reason))])
        else:
            record(desk, id, [DeploymentRejected(reason=_first_line(denied[0].reason))])
        return
    waits = {verdict.rule for verdict in said if verdict.says == "wait"}
    if "approval" in waits:
        _await_approval(desk, state, asked, why or "the plan or the evidence has changed")
    elif "place" in waits:
        _queue(desk, state)
        if state.supersede and _clear_the_way(desk, state):
            _go_on(desk, id, first=first)
        else:
            _end_bakes(desk, id)
    else:
        for target in state.targets:
            place = desk.place(state.environment, state.application, target)
            desk.write(PLACE.stream(state.environment, state.application, target), places.lock(place, id))
        record(desk, id, start(state, compiled.bindings, desk.now))


def _to_leave(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """The targets whose queues a deployment leaves because it has others now.

    Where some are new, all of them: it joins its queues together, so that no two deployments wait for each other.
    """
    return [target for target in before if set(now) - set(before) or target not in now]


def _clear_the_way(desk: Desk, state: Deployment) -> bool:
    """Have whatever holds the deployment's places, or awaits them before it, give way; whether anything does."""
    gave_way = False
    ahead: list[str] = []
    for target in state.targets:
        place = desk.place(state.environment, state.application, target)
        ahead += [other for other in (*before(place, state.id), place.lock) if other not in (None, state.id)]
    for other in dict.fromkeys(ahead):
        facts = supersede(desk.deployment(other), state.release, state.id, desk.now)
        record(desk, other, facts)
        gave_way |= bool(facts)
    return gave_way


def _end_bakes(desk: Desk, id: str) -> None:
    """Where a deployment waits only for others which keep an old version, have them stop that now."""
    for holder in yielding(desk, desk.deployment(id)):
        record(desk, holder, end_bake(desk.deployment(holder), id, desk.actor, desk.now))


def _why_not(state: Deployment, said: tuple[Verdict, ...]) -> str:
    reasons = "; ".join(verdict.reason for verdict in denials(said))
    return f"{state.release} may not be deployed to {state.environment}: {reasons}"


def _first_line(reason: str) -> str:
    return reason.splitlines()[0][:500]


def _await_approval(desk: Desk, state: Deployment, asked: Situation, why: str) -> None:
    """Wait for a person; whoever stands behind it in a queue need not wait for that person too."""
    for target in state.targets:
        let_go(desk, state, target)
    given = asked.approval
    if given.phase in (approvals.Phase.WAITING, approvals.Phase.GRANTED) and given.digest != asked.digest:
        write_approval(desk, given.id, approvals.void(given, f"{why} since approval was asked for"))
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
    write_approval(desk, id, [requested])
    record(desk, state.id, [DeploymentApprovalAwaited(approval=id)])
    return id


def adopt_rule(desk: Desk, state: Deployment) -> None:
    """Have the deployment's approval follow its environment's rule of now."""
    given = desk.approval(state.approval)
    if given.id:
        rule = desk.environment(state.environment).approval
        write_approval(desk, given.id, approvals.adopt(given, rule, later(desk.now, APPROVAL_SECONDS)))


def review_approvals(desk: Desk, environment: str) -> None:
    """The environment's approval rule has changed: ask it of every deployment that waits for approval there."""
    for id in desk.environment(environment).awaiting:
        adopt_rule(desk, desk.deployment(id))
        go_on(desk, id)


def _queue(desk: Desk, state: Deployment) -> None:
    """Wait for every place; the plan may have changed since it was queued, and with it the places."""
    behind: list[str] = []
    for target in state.targets:
        place = desk.place(state.environment, state.application, target)
        behind += [other for other in (place.lock, *place.queue) if other is not None and other != state.id]
        desk.write(PLACE.stream(state.environment, state.application, target), places.enqueue(place, state.id))
    if state.phase is not Phase.QUEUED:
        deadline = later(desk.now, QUEUE_SECONDS)
        record(desk, state.id, [DeploymentQueued(behind=tuple(dict.fromkeys(behind)), deadline=deadline)])


def promote_deployment(command: Promote, desk: Desk) -> None:
    """End a pause."""
    state = desk.deployment(command.deployment)
    record(desk, state.id, promote(state, command.step, command.full, desk.actor, desk.now))
    answer(desk, state.id)


def abort_deployment(command: Abort, desk: Desk) -> None:
    """Go back, or cancel."""
    state = desk.deployment(command.deployment)
    record(desk, state.id, abort(state, desk.actor, command.reason, desk.now))
    answer(desk, state.id)


def answer(desk: Desk, id: str) -> None:
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
}
