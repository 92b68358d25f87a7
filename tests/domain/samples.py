"""One fact of every kind, with realistic contents. The golden lines are made of them."""

from pydantic import JsonValue

from release_management.domain.approval import (
    ApprovalCompleted,
    ApprovalDenied,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRequested,
    ApprovalRuleChanged,
    ApprovalVoided,
)
from release_management.domain.condition import SlotCondition
from release_management.domain.deployment.events import (
    DeploymentAborting,
    DeploymentApprovalAwaited,
    DeploymentCancelled,
    DeploymentExpired,
    DeploymentFastForwarded,
    DeploymentHalted,
    DeploymentInsisted,
    DeploymentPaused,
    DeploymentPlanned,
    DeploymentQueued,
    DeploymentRejected,
    DeploymentReplanned,
    DeploymentRequested,
    DeploymentResumed,
    DeploymentRollbackFailed,
    DeploymentRolledBack,
    DeploymentStarted,
    DeploymentStepErrored,
    DeploymentStepFailed,
    DeploymentStepStarted,
    DeploymentStepSucceeded,
    DeploymentSucceeded,
    DeploymentSuperseded,
)
from release_management.domain.environment import (
    ApplicationEntered,
    ApprovalAwaited,
    ApprovalRule,
    ApprovalSettled,
    EnvironmentConfigured,
    Retired,
    RetirementBegun,
    RetirementCancelled,
    Target,
    TargetConfigured,
)
from release_management.domain.environment_index import EnvironmentListed, EnvironmentUnlisted
from release_management.domain.holdings import HoldingsChanged
from release_management.domain.incident import (
    IncidentAttributed,
    IncidentOpened,
    IncidentResolved,
)
from release_management.domain.pipeline import PipelineConfigured, Stage
from release_management.domain.place_events import (
    PlaceConditionChanged,
    PlaceLocked,
    PlaceOffered,
    PlacePromoted,
    PlaceQueued,
    PlaceSlotDoubted,
    PlaceSlotProvisioned,
    PlaceSlotRetired,
    PlaceTrafficIntended,
    PlaceTrafficObserved,
    PlaceUnlocked,
    PlaceUnqueued,
    PlaceVersionSucceeded,
    PlaceVersionWithdrawn,
)
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.route import RouteSlots
from release_management.domain.policy import (
    Gate,
    PolicyGatesConfigured,
    PolicyPipelineChosen,
    PolicyRollbackWindowConfigured,
    PolicyStrategyConfigured,
    PolicyTriggersConfigured,
    PolicyVersionsConfigured,
    TriggerCondition,
)
from release_management.domain.registry import CommandRefused
from release_management.domain.release import (
    Change,
    ReleaseAttested,
    ReleaseBlocked,
    ReleaseCanaryConfigured,
    ReleaseChangesAdded,
    ReleaseCreated,
    ReleaseDeploymentPlanned,
    ReleasePublished,
    ReleaseSucceeded,
    ReleaseUnblocked,
    ReleaseWithdrawn,
)
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Fact, Personal
from tests.domain.build import (
    ANN,
    BEN,
    DEPLOYMENT,
    DIGEST,
    LATER,
    NOW,
    OTHER,
    THIRD,
    binding,
    component,
    plan,
)

INCIDENT = "0193a5c2-7d7e-7000-8000-0000000000bb"
SEALED = Personal(subject=ANN, sealed="v1.k7.pZ4kq0m3cGVyc29uYWw")
STEPS: JsonValue = [{"set_weight": 10}, {"pause": {}}, {"set_weight": 50}, {"pause": {"duration": "5m"}}]
CANARY = plan("canary", {"steps": STEPS})
ROLLING = plan("rolling")
CHANGE = Change(commit="8f14e45f", committed_at="2026-11-20T16:05:00+01:00", author=SEALED, message=SEALED)
PROVISION = ProvisionSlot(
    slot="green",
    version="2.0.0",
    artifact="registry.example/shop/api:2.0.0",
    artifact_digest=DIGEST,
    config={"LOG_LEVEL": "info"},
    replicas=4,
)

TEXTUAL = Gate(pass_threshold="no critical", label="Security_Scan")
SAMPLES: tuple[tuple[str, Fact], ...] = (
    (
        "environment:production",
        EnvironmentConfigured(
            name="production",
            label="Production (München)",
            tier="production",
            order=3,
            approval=ApprovalRule(required=2, approvers=(ANN, BEN), allow_self=False),
            variables={"REGION": "eu-central-1", "DB_PASSWORD": "env:DB_PASSWORD"},
        ),
    ),
    (
        "environment:production",
        TargetConfigured(
            target=Target(
                name="eu",
                label="EU",
                executor="local",
                routes=(5, 25, 50),
                slots=("blue", "green"),
                reversible=False,
                labels={"region": "eu-central-1"},
                components={"api": {"replicas": 4, "command": ["./run", "--port", "{port}"], "health": None}},
            )
        ),
    ),
    ("environment:production", ApplicationEntered(application="shop")),
    ("environment:production", ApprovalAwaited(deployment=DEPLOYMENT)),
    ("environment:production", ApprovalSettled(deployment=DEPLOYMENT)),
    ("environment:production", RetirementBegun(target="eu", by=ANN, note=SEALED)),
    ("environment:production", RetirementCancelled(target="eu", by=ANN)),
    ("environment:production", Retired(target="eu")),
    ("estate:main", EnvironmentListed(environment="production", order=3)),
    ("estate:main", EnvironmentUnlisted(environment="production")),
    (
        "holdings:main",
        HoldingsChanged(
            environment="production",
            application="shop",
            target="main",
            component="web",
            executor="local",
            things=("port 8080",),
        ),
    ),
    (
        "pipeline:main",
        PipelineConfigured(
            name="main",
            application="shop",
            stages=(Stage(environment="staging"), Stage(environment="production", requires=("staging",))),
            label="Main Pipeline",
        ),
    ),
    (
        "policy:shop/production",
        PolicyStrategyConfigured(strategy="canary", options={"initial_traffic": 5, "increment": 10, "interval": "5m"}),
    ),
    (
        "policy:shop",
        PolicyTriggersConfigured(
            conditions=(TriggerCondition(metric="error_rate", threshold=0.02, duration_seconds=120.0),)
        ),
    ),
    ("policy:shop", PolicyGatesConfigured(gates={"load": Gate(required=True, pass_threshold=7.5), "scan": TEXTUAL})),
    ("policy:shop", PolicyPipelineChosen(pipeline="main")),
    ("policy:shop", PolicyVersionsConfigured(versions="calendar")),
    ("policy:shop", PolicyRollbackWindowConfigured(seconds=86_400.0)),
    (
        "release:shop@2.0.0",
        ReleaseCreated(
            application="shop",
            version="2.0.0",
            author=ANN,
            components=(component("api", config={"LOG_LEVEL": "info"}), component("web", "1.4.0-rc.1+build.7")),
            changes=(
                Change(commit="8f14e45f", committed_at="2026-11-20T16:05:00+01:00", author=SEALED, message=SEALED),
            ),
            changelog=(SEALED,),
            pipeline="main",
            stages=(Stage(environment="staging"), Stage(environment="production", requires=("staging",))),
            content=DIGEST,
            label="Shop",
            component_labels={"api": "The API"},
        ),
    ),
    (
        "release:shop@2.0.0",
        ReleaseChangesAdded(
            changes=(Change(commit="c0ffee12", committed_at="2026-11-22T08:00:00Z", author=SEALED, message=SEALED),),
            by=BEN,
        ),
    ),
    ("release:shop@2.0.0", ReleasePublished()),
    ("release:shop@2.0.0", ReleaseAttested(gate="security-scan", result="passed", by=BEN, note=SEALED)),
    ("release:shop@2.0.0", ReleaseBlocked(reason=SEALED)),
    ("release:shop@2.0.0", ReleaseUnblocked()),
    ("release:shop@2.0.0", ReleaseCanaryConfigured(initial_traffic=20)),
    ("release:shop@2.0.0", ReleaseDeploymentPlanned(environment="production", deployment=DEPLOYMENT)),
    ("release:shop@2.0.0", ReleaseSucceeded(environment="production", deployment=DEPLOYMENT)),
    ("release:shop@2.0.0", ReleaseWithdrawn(environment="production", deployment=OTHER)),
    ("place:production/shop/main", PlaceLocked(deployment=DEPLOYMENT)),
    ("place:production/shop/main", PlaceUnlocked(deployment=DEPLOYMENT, next=OTHER)),
    ("place:production/shop/main", PlaceQueued(deployment=OTHER)),
    ("place:production/shop/main", PlaceUnqueued(deployment=OTHER, next=THIRD)),
    ("place:production/shop/main", PlaceOffered(deployment=DEPLOYMENT, next=OTHER)),
    (
        "place:production/shop/main",
        PlaceSlotProvisioned(
            deployment=DEPLOYMENT, component="api", slot="green", content=component("api"), replicas=4
        ),
    ),
    ("place:production/shop/main", PlaceSlotRetired(deployment=DEPLOYMENT, component="api", slot="blue")),
    ("place:production/shop/main", PlaceSlotDoubted(deployment=DEPLOYMENT, component="api", slot="green")),
    (
        "place:production/shop/main",
        PlaceTrafficIntended(deployment=DEPLOYMENT, component="api", weights={"blue": 95, "green": 5}),
    ),
    (
        "place:production/shop/main",
        PlaceTrafficObserved(deployment=DEPLOYMENT, component="api", weights={"blue": 95, "green": 5}, observedat=NOW),
    ),
    (
        "place:production/shop/main",
        PlaceConditionChanged(
            component="api",
            condition="degraded",
            reason="green1 exited with code 1 after 2.0 s; it wrote nothing",
            slots=(
                SlotCondition(
                    slot="green",
                    role="candidate",
                    version="2.0.0",
                    condition="down",
                    reason="green1 exited with code 1 after 2.0 s; it wrote nothing",
                    wanted=1,
                    running=0,
                    healthy=0,
                    restarts=3,
                    share=5,
                ),
            ),
            by="local",
            fence=42,
            observedat=NOW,
        ),
    ),
    ("place:production/shop/main", PlacePromoted(deployment=DEPLOYMENT, component="api", slot="green")),
    ("place:production/shop/main", PlaceVersionSucceeded(deployment=DEPLOYMENT, version="2.0.0")),
    ("place:production/shop/main", PlaceVersionWithdrawn(deployment=OTHER, version="2.0.0")),
    (
        "approval:0193a5c2-7d7e-7000-8000-0000000000aa",
        ApprovalRequested(
            approval="0193a5c2-7d7e-7000-8000-0000000000aa",
            deployment=DEPLOYMENT,
            release="shop@2.0.0",
            environment="production",
            digest=DIGEST,
            rule=ApprovalRule(required=2, approvers=(BEN,)),
            people=(ANN,),
            expires_at="2026-12-23T09:30:00.000000Z",
        ),
    ),
    ("approval:0193a5c2-7d7e-7000-8000-0000000000aa", ApprovalGranted(by=BEN, note=SEALED)),
    ("approval:0193a5c2-7d7e-7000-8000-0000000000aa", ApprovalCompleted(deployment=DEPLOYMENT)),
    ("approval:0193a5c2-7d7e-7000-8000-0000000000aa", ApprovalDenied(by=BEN, deployment=DEPLOYMENT)),
    ("approval:0193a5c2-7d7e-7000-8000-0000000000aa", ApprovalExpired(deployment=DEPLOYMENT)),
    ("approval:0193a5c2-7d7e-7000-8000-0000000000aa", ApprovalVoided(reason="the plan has changed")),
    (
        "approval:0193a5c2-7d7e-7000-8000-0000000000aa",
        ApprovalRuleChanged(
            approval="0193a5c2-7d7e-7000-8000-0000000000aa", rule=ApprovalRule(required=2), expires_at=LATER
        ),
    ),
    (
        f"deployment:{DEPLOYMENT}",
        DeploymentPlanned(
            deployment=DEPLOYMENT,
            release="shop@2.0.0",
            application="shop",
            version="2.0.0",
            environment="production",
            targets=("main",),
            strategy="canary",
            chosen=True,
            options={"steps": STEPS},
            plan=CANARY,
            digest=CANARY.digest,
            by=ANN,
            retries=OTHER,
            deadline="2026-12-23T09:30:00.000000Z",
        ),
    ),
    (
        f"deployment:{DEPLOYMENT}",
        DeploymentReplanned(
            strategy="rolling",
            options={"max_surge": "25%", "max_unavailable": 0},
            targets=("main",),
            plan=ROLLING,
            digest=ROLLING.digest,
            reason="what stands at its places, or a policy, has changed",
        ),
    ),
    (f"deployment:{DEPLOYMENT}", DeploymentRequested(by=ANN, note=SEALED)),
    (f"deployment:{DEPLOYMENT}", DeploymentInsisted(by=ANN, supersede=True)),
    (f"deployment:{DEPLOYMENT}", DeploymentApprovalAwaited(approval="0193a5c2-7d7e-7000-8000-0000000000aa")),
    (f"deployment:{DEPLOYMENT}", DeploymentQueued(behind=(OTHER, THIRD), deadline="2026-11-24T09:30:00.000000Z")),
    (f"deployment:{DEPLOYMENT}", DeploymentStarted(bindings=(binding("api"), binding("web", serving=False)))),
    (
        f"deployment:{DEPLOYMENT}",
        DeploymentStepStarted(
            leg="forward",
            step=0,
            attempt=1,
            wave=0,
            environment="production",
            application="shop",
            target="main",
            component="api",
            executor="local",
            action=PROVISION,
            settings={"replicas": 4, "port": 8080},
            variables={"REGION": "eu-central-1"},
            deadline="2026-11-23T09:32:00.000000Z",
        ),
    ),
    (
        f"deployment:{DEPLOYMENT}",
        DeploymentStepStarted(
            leg="rollback",
            step=0,
            attempt=2,
            wave=0,
            environment="production",
            application="shop",
            target="main",
            component="api",
            executor="local",
            action=RouteSlots(weights={"blue": 100, "green": 0}),
            deadline="2026-11-23T09:32:00.000000Z",
        ),
    ),
    (
        f"deployment:{DEPLOYMENT}",
        DeploymentStepSucceeded(
            leg="forward", step=2, attempt=1, wave=2, observed={"blue": 90, "green": 10}, observedat=NOW
        ),
    ),
    (
        f"deployment:{DEPLOYMENT}",
        DeploymentStepFailed(leg="forward", step=1, attempt=1, reason="1 of 4 replicas exited with status 3"),
    ),
    (
        f"deployment:{DEPLOYMENT}",
        DeploymentStepErrored(
            leg="forward", step=0, attempt=1, reason="no word from the executor", retry_at="2026-11-23T09:32:01.000000Z"
        ),
    ),
    (
        f"deployment:{DEPLOYMENT}",
        DeploymentPaused(leg="forward", step=3, wave=3, reason="canary step", deadline="2026-11-30T09:30:00.000000Z"),
    ),
    (
        f"deployment:{DEPLOYMENT}",
        DeploymentPaused(
            leg="forward", step=9, wave=8, reason="before the old version is stopped", baking=True, until=LATER
        ),
    ),
    (f"deployment:{DEPLOYMENT}", DeploymentResumed(leg="forward", step=3, by="system:timers")),
    (f"deployment:{DEPLOYMENT}", DeploymentResumed(leg="forward", step=9, by=BEN, successor=OTHER)),
    (f"deployment:{DEPLOYMENT}", DeploymentFastForwarded(skipped=(3, 4, 5), by=BEN)),
    (
        f"deployment:{DEPLOYMENT}",
        DeploymentAborting(cause="person", reason="somebody aborted it", by=BEN, note=SEALED),
    ),
    (f"deployment:{DEPLOYMENT}", DeploymentSucceeded()),
    (f"deployment:{DEPLOYMENT}", DeploymentRolledBack(empty=False)),
    (f"deployment:{DEPLOYMENT}", DeploymentRollbackFailed(reason="step 1 errored: no word from the executor")),
    (f"deployment:{DEPLOYMENT}", DeploymentHalted(reason="the new version serves; the old one could not be stopped")),
    (f"deployment:{DEPLOYMENT}", DeploymentRejected(reason="the approval was refused")),
    (f"deployment:{DEPLOYMENT}", DeploymentExpired(reason="the place did not become free before the deadline")),
    (f"deployment:{DEPLOYMENT}", DeploymentCancelled(by=BEN, note=SEALED)),
    (f"deployment:{DEPLOYMENT}", DeploymentSuperseded(successor=OTHER)),
    (
        f"incident:{INCIDENT}",
        IncidentOpened(
            incident=INCIDENT,
            application="shop",
            environment="production",
            severity="major",
            title=SEALED,
            detected_at=NOW,
            cause=DEPLOYMENT,
            attribution="explicit",
        ),
    ),
    (f"incident:{INCIDENT}", IncidentAttributed(cause=DEPLOYMENT)),
    (f"incident:{INCIDENT}", IncidentResolved(resolved_at=LATER, remedy=OTHER, note=SEALED)),
    (
        "refusals:production",
        CommandRefused(
            command="deployment.deploy",
            sender="cli",
            by=ANN,
            reason=SEALED,
            application="shop",
            release="shop@2.0.0",
            environment="production",
            deployment=DEPLOYMENT,
            unkept=17,
        ),
    ),
    (
        "refusals:production",
        CommandRefused(command="deployment.deploy", sender="cli", by=ANN, reason=SEALED, code=ErrorCode.NOT_FOUND),
    ),
)
