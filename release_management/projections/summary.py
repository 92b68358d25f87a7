"""One plain English line per fact, for a person who reads the trail. Names of people never stand in it."""

from release_management.domain import (
    approval,
    environment,
    estate,
    holdings,
    incident,
    pipeline,
    place,
    policy,
    release,
)
from release_management.domain.deployment import events as deployment
from release_management.domain.registry import CommandRefused
from release_management.domain.words import Fact

NAMED = 20
"""So many components are named."""


def summarize(fact: Fact, line: str | None = None) -> str:
    """What happened. `line` is the described step that the fact is of, if it is of one that the plan has."""
    aggregate = fact.NAME.partition(".")[0]
    if aggregate == "deployment":
        return _deployment(fact, line)
    if aggregate == "place":
        return _place(fact)
    if aggregate == "release":
        return _release(fact)
    if aggregate == "approval":
        return _approval(fact)
    if aggregate == "incident":
        return _incident(fact)
    return _configured(fact)


def _deployment(fact: Fact, line: str | None) -> str:
    match fact:
        case deployment.DeploymentStepStarted(attempt=attempt):
            return f"{_step(fact, line)}{f' (attempt {attempt})' if attempt > 1 else ''}"
        case deployment.DeploymentStepSucceeded():
            return f"done: {_step(fact, line)}"
        case deployment.DeploymentStepFailed(reason=reason):
            return f"failed: {_step(fact, line)}: {reason}"
        case deployment.DeploymentStepErrored(reason=reason, retry_at=again):
            return f"errored: {_step(fact, line)}: {reason}{f'; again at {again}' if again else ''}"
        case deployment.DeploymentPlanned():
            count = len(fact.plan.forward)
            what = f"{fact.release} to {fact.environment}: {fact.strategy}, {count} steps"
            origin = f", reverting {fact.reverts}" if fact.reverts else ""
            again = f", retrying {fact.retries}" if fact.retries else ""
            return f"planned {what}{origin}{again}{f', until {fact.deadline}' if fact.deadline else ''}"
        case deployment.DeploymentReplanned():
            return f"planned again, {fact.strategy}, {len(fact.plan.forward)} steps: {fact.reason}"
        case deployment.DeploymentRequested(by=by):
            return f"requested by {by}"
        case deployment.DeploymentApprovalAwaited(approval=id):
            return f"waits for approval {id}"
        case deployment.DeploymentQueued(behind=behind, deadline=deadline):
            return f"queued behind {', '.join(behind)} until {deadline}"
        case deployment.DeploymentStarted():
            return "started"
        case deployment.DeploymentPaused(until=until, deadline=deadline, reason=reason):
            end = f"until {until}" if until else f"until promoted, at most until {deadline}"
            return f"{'bakes' if fact.baking else 'paused'} {end} ({reason})"
        case deployment.DeploymentResumed(step=index, by=by, successor=str(successor)):
            return f"ended the bake of step {index + 1} early for deployment {successor}, by {by}"
        case deployment.DeploymentResumed(step=index, by=by):
            return f"resumed after step {index + 1} by {by}"
        case deployment.DeploymentFastForwarded(skipped=skipped, by=by):
            return f"promoted in full by {by}; skipped steps {', '.join(str(index + 1) for index in skipped)}"
        case deployment.DeploymentAborting(reason=reason, cause=cause):
            return f"aborting ({cause}): {reason}"
        case deployment.DeploymentInsisted(by=by, supersede=supersede, downgrade=downgrade):
            words = [word for word, said in (("supersede", supersede), ("downgrade", downgrade)) if said]
            return f"{by} insists: {', '.join(words)}"
        case deployment.DeploymentSucceeded():
            return "succeeded"
        case deployment.DeploymentRolledBack(empty=empty):
            return "rolled back; nothing had served before and nothing serves now" if empty else "rolled back"
        case deployment.DeploymentRollbackFailed(reason=reason):
            return f"rollback failed, a person is needed: {reason}"
        case deployment.DeploymentHalted(reason=reason):
            return f"halted: {reason}"
        case deployment.DeploymentRejected(reason=reason):
            return f"rejected: {reason}"
        case deployment.DeploymentExpired(reason=reason):
            return f"expired: {reason}"
        case deployment.DeploymentCancelled(by=by):
            return f"cancelled by {by}"
        case deployment.DeploymentSuperseded(successor=successor):
            return f"superseded by {successor}"
        case _:
            return _unknown(fact)


_Step = (
    deployment.DeploymentStepStarted
    | deployment.DeploymentStepSucceeded
    | deployment.DeploymentStepFailed
    | deployment.DeploymentStepErrored
)


def _step(fact: _Step, line: str | None) -> str:
    what = f": {line}" if line else ""
    return f"{'rollback step' if fact.leg == 'rollback' else 'step'} {fact.step + 1}{what}"


def _place(fact: Fact) -> str:
    match fact:
        case place.PlaceLocked():
            return f"held by {fact.deployment}"
        case place.PlaceUnlocked(deployment=id, next=following):
            return f"let go by {id}{f'; next is {following}' if following else ''}"
        case place.PlaceQueued():
            return f"{fact.deployment} waits"
        case place.PlaceUnqueued():
            return f"{fact.deployment} no longer waits"
        case place.PlaceOffered(deployment=id, next=following):
            return f"{id} only keeps the version that goes; next is {following}"
        case place.PlaceSlotProvisioned(content=content, replicas=replicas, slot=slot):
            return f"{slot} runs {replicas} of {content.name} {content.version}"
        case place.PlaceSlotRetired(component=component, slot=slot):
            return f"{slot} no longer runs {component}"
        case place.PlaceSlotDoubted(component=component, slot=slot):
            return f"what {slot} runs of {component} is uncertain: its last order is not known to be done"
        case place.PlaceTrafficIntended(component=component, weights=weights):
            return f"wanted traffic of {component}: {_shares(weights)}"
        case place.PlaceTrafficObserved(component=component, weights=weights):
            return f"observed traffic of {component}: {_shares(weights)}"
        case place.PlaceConditionChanged(component=component, condition=condition, reason=reason):
            return f"{component} is seen {condition}{f': {reason}' if reason else ''}"
        case place.PlacePromoted(component=component, slot=slot):
            return f"{slot} is the stable {component}"
        case place.PlaceVersionSucceeded(version=version):
            return f"{version} succeeded here"
        case place.PlaceVersionWithdrawn(version=version):
            return f"{version} was rolled back here"
        case _:
            return _unknown(fact)


def _shares(weights: dict[str, int]) -> str:
    return ", ".join(f"{share} % {slot}" for slot, share in sorted(weights.items())) or "none"


def _release(fact: Fact) -> str:
    match fact:
        case release.ReleaseCreated():
            first = ", ".join(f"{component.name} {component.version}" for component in fact.components[:NAMED])
            more = len(fact.components) - NAMED
            parts = f"{first} and {more:,} more" if more > 0 else first
            return f"created {fact.application}@{fact.version}: {parts}; {len(fact.changes)} changes"
        case release.ReleaseChangesAdded(changes=changes, by=by):
            return f"{len(changes):,} changes added by {by}"
        case release.ReleasePublished():
            return "published"
        case release.ReleaseAttested(gate=gate, result=result, by=by):
            return f"gate {gate} {result}, attested by {by}"
        case release.ReleaseBlocked():
            return "blocked"
        case release.ReleaseUnblocked():
            return "unblocked"
        case release.ReleaseCanaryConfigured(initial_traffic=share):
            return f"canaries begin with {share} % of the traffic"
        case release.ReleaseDeploymentPlanned(environment=name, deployment=id, reverts=reverts):
            back = "" if reverts is None else f", which goes back from {reverts}"
            return f"planned for {name} by {id}{back}"
        case release.ReleaseSucceeded(environment=name):
            return f"succeeded in {name}"
        case release.ReleaseWithdrawn(environment=name):
            return f"rolled back in {name}"
        case _:
            return _unknown(fact)


def _approval(fact: Fact) -> str:
    match fact:
        case approval.ApprovalRequested(release=ref, environment=name, rule=rule):
            return f"approval of {ref} for {name} asked of {rule.required}, until {fact.expires_at}"
        case approval.ApprovalGranted(by=by):
            return f"granted by {by}"
        case approval.ApprovalCompleted():
            return "approved"
        case approval.ApprovalDenied(by=by):
            return f"denied by {by}"
        case approval.ApprovalExpired():
            return "nobody decided in time"
        case approval.ApprovalVoided(reason=reason):
            return f"void: {reason}"
        case approval.ApprovalRuleChanged(rule=rule):
            return f"the rule has changed: asked of {rule.required}, until {fact.expires_at}"
        case _:
            return _unknown(fact)


def _incident(fact: Fact) -> str:
    match fact:
        case incident.IncidentOpened(severity=severity, detected_at=at):
            said = "nobody has said yet what caused it" if fact.attribution == "inferred" else _caused(fact.cause)
            return f"{f'{severity} ' if severity else ''}incident, detected at {at}; {said}"
        case incident.IncidentAttributed(cause=cause):
            return _caused(cause)
        case incident.IncidentResolved(resolved_at=at, remedy=remedy):
            return f"over at {at}{f', by deployment {remedy}' if remedy else ''}"
        case _:
            return _unknown(fact)


def _caused(cause: str | None) -> str:
    return f"caused by deployment {cause}" if cause else "no deployment caused it"


def _whole(target: str | None) -> str:
    return "the environment" if target is None else f"target {target}"


def _configured(fact: Fact) -> str:
    match fact:
        case environment.EnvironmentConfigured(name=name, tier=tier, approval=rule):
            return f"environment {name}: {tier}, {rule.required} approvals required"
        case environment.TargetConfigured(target=target):
            return f"target {target.name}: executor {target.executor}, slots {', '.join(target.slots)}"
        case environment.ApplicationEntered(application=name):
            return f"application {name} comes here for the first time"
        case environment.ApprovalAwaited(deployment=id):
            return f"{id} waits for approval"
        case environment.ApprovalSettled(deployment=id):
            return f"{id} waits for approval no longer"
        case environment.RetirementBegun(target=target, by=by):
            return f"{_whole(target)} is to be retired, says {by}"
        case environment.RetirementCancelled(target=target, by=by):
            return f"{_whole(target)} stays, says {by}"
        case environment.Retired(target=target):
            return f"{_whole(target)} is retired"
        case estate.EnvironmentListed(environment=name, order=order):
            return f"environment {name} exists, at place {order}"
        case estate.EnvironmentUnlisted(environment=name):
            return f"environment {name} is retired"
        case holdings.HoldingsChanged(component=component, application=application, target=target, things=things):
            return f"{component} of {application} on {target} holds {', '.join(things) or 'nothing any more'}"
        case pipeline.PipelineConfigured(name=name, stages=stages):
            return f"pipeline {name}: {' → '.join(stage.environment for stage in stages)}"
        case policy.PolicyStrategyConfigured(strategy=strategy):
            return f"strategy {strategy} is the default"
        case policy.PolicyTriggersConfigured(conditions=conditions):
            said = ", ".join(f"{it.metric} beyond {it.threshold:g} for {it.duration_seconds:g} s" for it in conditions)
            return f"triggers: {said or 'none'}"
        case policy.PolicyGatesConfigured(gates=gates):
            return f"gates: {', '.join(sorted(gates)) or 'none'}"
        case policy.PolicyVersionsConfigured(versions=versions):
            return f"numbers its releases: {versions}"
        case policy.PolicyRollbackWindowConfigured(seconds=seconds):
            return f"going back asks for no approval for {seconds:g} s after a success"
        case policy.PolicyPipelineChosen(pipeline=name):
            return f"releases walk pipeline {name}"
        case CommandRefused(command=command, sender=sender, by=by):
            before = f" (and {fact.unkept:,} others of this sender before it)" if fact.unkept else ""
            return f"refused: {command}, wished by {by} through {sender}{before}"
        case _:
            return _unknown(fact)


def _unknown(fact: Fact) -> str:
    return fact.NAME.replace(".", " ").replace("_", " ")
