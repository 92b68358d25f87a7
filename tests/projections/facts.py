"""One of each fact."""

from release_management.domain import (
    approval,
    environment,
    environment_index,
    holdings,
    incident,
    pipeline,
    policy,
    release,
)
from release_management.domain import place_events as place
from release_management.domain.deployment import events as deployment
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.registry import CommandRefused
from release_management.kernel.types import Fact
from tests.projections.event_script import (
    ANN,
    EventScript,
    at,
    binding,
    compiled,
    component,
    planned,
    sealed,
)

_RULE = environment.ApprovalRule()
_PLAN = compiled()


def _told() -> tuple[Fact, ...]:
    script = EventScript()
    script.release()
    script.ask_approval("d-1")
    return tuple(event.fact for event in script.events)


SAMPLES: tuple[Fact, ...] = (
    *_told(),
    environment.EnvironmentConfigured(name="dev", label="Dev", tier="development", order=1, approval=_RULE),
    environment.TargetConfigured(target=environment.Target()),
    environment.ApplicationEntered(application="shop"),
    environment.ApprovalAwaited(deployment="d-1"),
    environment.ApprovalSettled(deployment="d-1"),
    environment.RetirementBegun(target="main", by=ANN, note=sealed("x")),
    environment.RetirementCancelled(by=ANN),
    environment.Retired(),
    environment_index.EnvironmentListed(environment="dev", order=1),
    environment_index.EnvironmentUnlisted(environment="dev"),
    holdings.HoldingsChanged(environment="dev", application="shop", target="main", component="web", executor="local"),
    pipeline.PipelineConfigured(name="main", application="shop", stages=(pipeline.Stage(environment="dev"),)),
    policy.PolicyStrategyConfigured(strategy="canary"),
    policy.PolicyTriggersConfigured(
        conditions=(policy.TriggerCondition(metric="error_rate", threshold=0.05, duration_seconds=60.0),)
    ),
    policy.PolicyGatesConfigured(gates={"tests": policy.Gate()}),
    policy.PolicyPipelineChosen(pipeline="main"),
    policy.PolicyVersionsConfigured(versions="any"),
    policy.PolicyRollbackWindowConfigured(seconds=60.0),
    release.ReleaseChangesAdded(
        changes=(release.Change(commit="c0ffee12", committed_at="2026-11-22T08:00:00Z"),), by=ANN
    ),
    release.ReleaseAttested(gate="tests", result="passed", by=ANN, note=sealed("x")),
    release.ReleaseBlocked(reason=sealed("x")),
    release.ReleaseUnblocked(),
    release.ReleaseCanaryConfigured(initial_traffic=5),
    release.ReleaseDeploymentPlanned(environment="dev", deployment="d-1"),
    release.ReleaseSucceeded(environment="dev", deployment="d-1"),
    release.ReleaseWithdrawn(environment="dev", deployment="d-1"),
    place.PlaceLocked(deployment="d-1"),
    place.PlaceUnlocked(deployment="d-1", next="d-2"),
    place.PlaceQueued(deployment="d-1"),
    place.PlaceUnqueued(deployment="d-1"),
    place.PlaceOffered(deployment="d-1", next="d-2"),
    place.PlaceSlotProvisioned(deployment="d-1", component="web", slot="blue", content=component(), replicas=2),
    place.PlaceSlotRetired(deployment="d-1", component="web", slot="blue"),
    place.PlaceSlotDoubted(deployment="d-1", component="web", slot="blue"),
    place.PlaceTrafficIntended(deployment="d-1", component="web", weights={"blue": 100}),
    place.PlaceTrafficObserved(deployment="d-1", component="web", weights={"blue": 100}, observedat=at(1)),
    place.PlaceConditionChanged(
        component="web", condition="down", reason="gone", by="local", fence=3, observedat=at(1)
    ),
    place.PlacePromoted(deployment="d-1", component="web", slot="blue"),
    place.PlaceVersionSucceeded(deployment="d-1", version="1.0.0"),
    place.PlaceVersionWithdrawn(deployment="d-1", version="1.0.0"),
    approval.ApprovalGranted(by=ANN, note=sealed("x")),
    approval.ApprovalCompleted(deployment="d-1"),
    approval.ApprovalDenied(by=ANN, deployment="d-1", note=sealed("x")),
    approval.ApprovalExpired(deployment="d-1"),
    approval.ApprovalVoided(reason="changed"),
    approval.ApprovalRuleChanged(approval="a-1", rule=_RULE, expires_at=at(9)),
    planned("d-1"),
    deployment.DeploymentReplanned(
        strategy="canary", targets=("main",), plan=_PLAN, digest=_PLAN.digest, reason="changed"
    ),
    deployment.DeploymentRequested(by=ANN),
    deployment.DeploymentInsisted(by=ANN, downgrade=True),
    deployment.DeploymentApprovalAwaited(approval="a-1"),
    deployment.DeploymentQueued(behind=("d-0",), deadline=at(9)),
    deployment.DeploymentStarted(bindings=(binding(),)),
    deployment.DeploymentStepStarted(
        leg="forward",
        step=0,
        attempt=2,
        wave=0,
        environment="dev",
        application="shop",
        target="main",
        component="web",
        executor="local",
        action=RetireSlot(slot="blue"),
        deadline=at(9),
    ),
    deployment.DeploymentStepSucceeded(leg="rollback", step=0, attempt=1, wave=0, observedat=at(9)),
    deployment.DeploymentStepFailed(leg="forward", step=0, attempt=1, reason="why"),
    deployment.DeploymentStepErrored(leg="forward", step=0, attempt=1, reason="why", retry_at=at(9)),
    deployment.DeploymentPaused(leg="forward", step=0, wave=0, reason="canary step", deadline=at(9)),
    deployment.DeploymentResumed(leg="forward", step=0, by=ANN),
    deployment.DeploymentResumed(leg="forward", step=0, by=ANN, successor="d-2"),
    deployment.DeploymentFastForwarded(skipped=(1, 2), by=ANN),
    deployment.DeploymentAborting(cause="person", reason="somebody aborted it", by=ANN, note=sealed("x")),
    deployment.DeploymentSucceeded(),
    deployment.DeploymentRolledBack(empty=False),
    deployment.DeploymentRollbackFailed(reason="why"),
    deployment.DeploymentHalted(reason="why"),
    deployment.DeploymentRejected(reason="why"),
    deployment.DeploymentExpired(reason="why"),
    deployment.DeploymentCancelled(by=ANN, note=sealed("x")),
    deployment.DeploymentSuperseded(successor="d-2"),
    incident.IncidentOpened(
        incident="i-1",
        application="shop",
        environment="production",
        title=sealed("x"),
        detected_at=at(1),
        attribution="inferred",
    ),
    incident.IncidentAttributed(cause="d-1"),
    incident.IncidentResolved(resolved_at=at(2), remedy="d-2", note=sealed("x")),
    CommandRefused(command="release.block", sender="cli", by=ANN, reason=sealed("x")),
)
