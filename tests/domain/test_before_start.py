"""Deployment, until it begins: it is planned, asked for, waits, gives way, or ends without having begun."""

import pytest

from release_management.domain.deployment.before_start import (
    QUEUE_SECONDS,
    AwaitApproval,
    Insist,
    KeepPlan,
    Lapse,
    PlanRequest,
    Queue,
    Reject,
    Replan,
    RequestDeployment,
    Supersede,
)
from release_management.domain.deployment.decide import GiveWay, StopBlocked
from release_management.domain.deployment.events import (
    DeploymentAborting,
    DeploymentApprovalAwaited,
    DeploymentExpired,
    DeploymentInsisted,
    DeploymentPaused,
    DeploymentQueued,
    DeploymentRejected,
    DeploymentReplanned,
    DeploymentRequested,
    DeploymentStarted,
    DeploymentSuperseded,
)
from release_management.domain.deployment.state import DeploymentPhase
from release_management.domain.plan import Plan
from release_management.domain.plan.planning import Draft
from release_management.domain.plan.strategies import StrategyName
from release_management.kernel.timestamps import later
from release_management.kernel.types import Unsealed
from tests.domain.build import (
    BEN,
    DEPLOYMENT,
    DEPLOYMENTS,
    NOW,
    OTHER,
    DeploymentGiven,
    binding,
    plan,
    planned,
)

CANARY = plan("canary", {"steps": [{"set_weight": 50}, {"pause": {}}], "pause_deadline": "1h"})
RECREATE = plan("recreate")
WAITING = DEPLOYMENTS.given(*planned(CANARY))
PLANNED = DEPLOYMENTS.given(*planned(CANARY)[:1])
BEGUN = WAITING.then_given(DeploymentStarted(bindings=(binding(),), at=NOW))


def draft(strategy: StrategyName, compiled: Plan, *targets: str) -> Draft:
    return Draft(strategy, {"plan_deadline": "1h"}, targets, compiled, (binding(),))


def test_a_plan_is_kept_with_what_was_wanted_and_waits_as_long_as_its_options_say() -> None:
    wanted = PlanRequest("shop@2.0.0", "production", "canary", {"plan_deadline": "1h"}, redeploys=True)

    after = DEPLOYMENTS.given().when(KeepPlan(DEPLOYMENT, wanted, draft("canary", CANARY, "main"))).after.state

    assert (after.id, after.phase, after.by) == (DEPLOYMENT, DeploymentPhase.PLANNED, BEN)
    assert (after.release, after.application, after.version) == ("shop@2.0.0", "shop", "2.0.0")
    assert (after.strategy, after.chosen, after.options) == ("canary", True, {"plan_deadline": "1h"})
    assert (after.plan, after.digest, after.targets) == (CANARY, CANARY.digest, ("main",))
    assert (after.redeploys, after.deadline) == (True, later(NOW, 3600))


def test_a_plan_that_is_compiled_again_is_kept_where_it_is_another_one() -> None:
    PLANNED.when(Replan(draft("canary", CANARY, "main"), "a policy has changed")).then_nothing()
    PLANNED.when(Replan(draft("recreate", RECREATE, "eu"), "a policy has changed")).then(
        DeploymentReplanned(
            strategy="recreate",
            targets=("eu",),
            plan=RECREATE,
            digest=RECREATE.digest,
            reason="a policy has changed",
        )
    )


def test_it_is_asked_for_once_while_it_is_only_planned() -> None:
    PLANNED.when(RequestDeployment("hotfix")).then(
        DeploymentRequested(by=BEN, note=Unsealed(subject=BEN, text="hotfix"))
    )
    WAITING.then_given(DeploymentApprovalAwaited(approval=OTHER)).when(RequestDeployment()).then_nothing()
    BEGUN.when(RequestDeployment()).then_nothing()


def test_what_is_insisted_on_is_recorded_once_and_only_while_it_waits() -> None:
    insisted = DeploymentInsisted(by=BEN, supersede=True)

    WAITING.when(Insist()).then_nothing()
    WAITING.when(Insist(supersede=True)).then(insisted)
    known = WAITING.then_given(insisted)
    known.when(Insist(supersede=True)).then_nothing()
    known.when(Insist(supersede=True, downgrade=True)).then(DeploymentInsisted(by=BEN, downgrade=True))
    BEGUN.when(Insist(supersede=True)).then_nothing()


def test_it_waits_for_an_approval_and_in_a_queue() -> None:
    queued = DeploymentQueued(behind=(OTHER,), deadline=later(NOW, QUEUE_SECONDS))

    WAITING.when(AwaitApproval(OTHER)).then(DeploymentApprovalAwaited(approval=OTHER))
    WAITING.when(Queue((OTHER,))).then(queued)
    WAITING.then_given(queued).when(Queue((OTHER,))).then_nothing()


def test_the_first_line_of_a_reason_ends_it() -> None:
    WAITING.when(Reject("denied\nby somebody")).then(DeploymentRejected(reason="denied"))
    WAITING.when(Lapse("x" * 600)).then(DeploymentExpired(reason="x" * 500))
    WAITING.when(Supersede(OTHER)).then(DeploymentSuperseded(successor=OTHER))


def test_it_gives_way_by_not_beginning_or_by_going_back() -> None:
    WAITING.when(GiveWay("shop@3.0.0", OTHER)).then(DeploymentSuperseded(successor=OTHER))
    assert BEGUN.when(GiveWay("shop@3.0.0", OTHER)).names == ["aborting", "rolled_back"]
    BEGUN.when(GiveWay("shop@3.0.0", OTHER)).after.when(GiveWay("shop@3.0.0", OTHER)).then_nothing()


@pytest.mark.parametrize("deployment", [PLANNED, WAITING, BEGUN], ids=["planned", "waiting", "begun"])
def test_a_block_ends_only_what_pauses(deployment: DeploymentGiven) -> None:
    deployment.when(StopBlocked()).then_nothing()


def test_a_block_takes_back_what_pauses() -> None:
    paused = DeploymentPaused(leg="forward", step=3, wave=3, reason="until promoted", deadline=later(NOW, 3600))

    first, *_ = BEGUN.then_given(paused).when(StopBlocked()).facts

    assert isinstance(first, DeploymentAborting)
    assert (first.cause, first.reason) == ("blocked", "shop@2.0.0 is blocked")
