"""Deployment: given how far it is, when a command is given, then these facts or this refusal.

The plan is a canary over 50 %: 0 candidate, 1 await, 2 route 50, 3 pause until promoted, 4 route 100, 5 promote,
6 bake 30 s, 7 ask again, 8 retire the old version; and back: 0 route, 1 promote, 2 pause 30 s, 3 retire.
"""

import pytest
from pydantic import JsonValue

from release_management.domain.deployment.commands import (
    Abort,
    Expire,
    ExpireStep,
    Promote,
    ReportStep,
    Resume,
    RetryStep,
)
from release_management.domain.deployment.decide import EndBake, Start
from release_management.domain.deployment.events import (
    DeploymentAborting,
    DeploymentApprovalAwaited,
    DeploymentCancelled,
    DeploymentEvent,
    DeploymentExpired,
    DeploymentFastForwarded,
    DeploymentHalted,
    DeploymentPaused,
    DeploymentPlanned,
    DeploymentQueued,
    DeploymentRejected,
    DeploymentResumed,
    DeploymentRollbackFailed,
    DeploymentRolledBack,
    DeploymentStarted,
    DeploymentStepErrored,
    DeploymentStepFailed,
    DeploymentStepStarted,
    DeploymentSucceeded,
    DeploymentSuperseded,
)
from release_management.domain.deployment.state import (
    Deployment,
    DeploymentPhase,
    bake,
    doubted,
)
from release_management.domain.orders import ATTEMPTS, Result
from release_management.domain.plan import Leg, Plan
from release_management.domain.plan.step import ORDER_SECONDS
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.pause import Pause
from release_management.domain.plan.steps.promote import Promote as PromoteStep
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots
from release_management.kernel.timestamps import later
from release_management.kernel.types import Unsealed
from tests.domain.build import (
    BEN,
    DEPLOYMENT,
    NOW,
    OTHER,
    THIRD,
    binding,
    component,
    given,
    on,
    plan,
    planned,
    report_step,
    rollout,
    started,
)

CANARY = plan("canary", {"steps": [{"set_weight": 50}, {"pause": {}}], "pause_deadline": "1h"})
ROUTED, PAUSED, WIDE, BAKING, ASKED, RETIRED = 2, 3, 4, 6, 7, 8
MUCH_LATER = later(NOW, 30 * 86_400)


def names(facts: list[DeploymentEvent]) -> list[str]:
    return [fact.NAME.removeprefix("deployment.") for fact in facts]


EXPIRE = Expire(deployment=DEPLOYMENT)


def promotion(step: int | None, *, full: bool) -> Promote:
    return Promote(deployment=DEPLOYMENT, step=step, full=full)


def abort(reason: str | None) -> Abort:
    return Abort(deployment=DEPLOYMENT, reason=reason)


def pause_over(leg: Leg, step: int) -> Resume:
    return Resume(deployment=DEPLOYMENT, leg=leg, step=step)


def again(leg: Leg, step: int, attempt: int) -> RetryStep:
    return RetryStep(deployment=DEPLOYMENT, leg=leg, step=step, attempt=attempt)


def overdue(leg: Leg, step: int, attempt: int) -> ExpireStep:
    return ExpireStep(deployment=DEPLOYMENT, leg=leg, step=step, attempt=attempt)


def walked(until: int, compiled: Plan = CANARY) -> Deployment:
    """The steps before `until` are done and `until` has begun; a pause in between was promoted."""
    state = started(compiled)
    for index in range(until):
        if index == PAUSED:
            state = on(state).when(promotion(PAUSED, full=False)).after.state
        elif index == BAKING:
            state = on(state).when(pause_over("forward", BAKING), now=MUCH_LATER).after.state
        else:
            state = on(state).when(report_step(index)).after.state
    return state


def aborted(at: int) -> Deployment:
    state = walked(at)
    return on(state).when(abort(None)).after.state


ENDS: list[DeploymentEvent] = [
    DeploymentSucceeded(),
    DeploymentRolledBack(empty=False),
    DeploymentRollbackFailed(reason="no word"),
    DeploymentHalted(reason="no way back"),
    DeploymentRejected(reason="denied"),
    DeploymentExpired(reason="too long"),
    DeploymentCancelled(by=BEN),
    DeploymentSuperseded(successor=OTHER),
]


# Start


def test_a_deployment_starts_with_the_orders_of_the_first_wave() -> None:
    facts = on(given(planned(CANARY))).when(Start((binding(),))).facts

    ordered = facts[1]
    assert isinstance(ordered, DeploymentStepStarted)
    assert facts[0] == DeploymentStarted(bindings=(binding(),), at=NOW)
    new = component()
    assert ordered.action == ProvisionSlot(
        slot="green",
        version="2.0.0",
        artifact=new.artifact,
        artifact_digest=new.artifact_digest,
        config={},
        replicas=4,
    )
    assert (ordered.leg, ordered.step, ordered.attempt, ordered.executor) == ("forward", 0, 1, "local")
    assert ordered.deadline == later(NOW, ORDER_SECONDS)
    assert len(facts) == 2


def test_a_deployment_with_nothing_to_do_succeeds_at_once() -> None:
    nothing = CANARY.model_copy(update={"forward": (), "rollback": ()})

    assert on(given(planned(nothing))).when(Start(())).names == ["started", "succeeded"]


def test_a_deployment_starts_once() -> None:
    on(walked(ROUTED)).when(Start((binding(),))).then_nothing()
    on(Deployment()).when(Start((binding(),))).then_nothing()


def test_a_deployment_does_not_start_if_a_step_has_no_slot() -> None:
    on(given(planned(CANARY))).when(Start((binding("web"),))).then_refused(
        f"deployment {DEPLOYMENT}: api on main has no slot; plan it again"
    )


def test_roles_that_share_a_slot_share_their_traffic() -> None:
    recreate = plan("recreate")
    shared = binding().model_copy(update={"candidate_slot": "blue"})
    state = given(planned(recreate))

    ordered = on(state).when(Start((shared,))).facts[1]

    assert isinstance(ordered, DeploymentStepStarted)
    assert ordered.action == RouteSlots(weights={"blue": 0})


# Reports


def test_the_next_wave_begins_when_all_of_the_one_before_is_done() -> None:
    both = plan("canary", {}, rollout("api"), rollout("web"))
    state = started(both, binding("api"), binding("web"))

    first = on(state).when(report_step(0)).facts
    assert names(first) == ["step_succeeded"]

    second = on(given(first, state)).when(report_step(1)).facts
    assert names(second) == ["step_succeeded", "step_started", "step_started"]
    assert [fact.action for fact in second if isinstance(fact, DeploymentStepStarted)] == [
        AwaitSlotHealthy(slot="green", replicas=4)
    ] * 2


def test_a_whole_walk_succeeds() -> None:
    state = walked(RETIRED)

    facts = on(state).when(report_step(RETIRED)).facts

    assert names(facts) == ["step_succeeded", "succeeded"]


def test_promote_is_recorded_and_never_ordered() -> None:
    facts = on(walked(WIDE)).when(report_step(WIDE)).facts

    assert names(facts) == ["step_succeeded", "step_succeeded", "paused"]
    assert facts[2] == DeploymentPaused(
        leg="forward",
        step=BAKING,
        wave=6,
        reason="before the old version is stopped",
        baking=True,
        until=later(NOW, 30),
    )


@pytest.mark.parametrize(
    "strange",
    [
        report_step(1),
        report_step(0, attempt=2),
        report_step(0, leg="rollback"),
        report_step(99),
        report_step(0, deployment=OTHER),
        report_step(PAUSED),
    ],
    ids=["not ordered", "another attempt", "the other leg", "no such step", "another deployment", "a pause"],
)
def test_a_report_of_what_is_not_out_records_nothing(strange: ReportStep) -> None:
    on(started(CANARY)).when(strange).then_nothing()


def test_a_report_that_comes_twice_is_taken_once() -> None:
    state = started(CANARY)
    state = on(state).when(report_step(0)).after.state

    on(state).when(report_step(0)).then_nothing()


def test_a_bad_release_goes_back_at_once() -> None:
    facts = on(walked(ROUTED)).when(report_step(ROUTED, "failed")).facts

    assert names(facts) == ["step_failed", "aborting", "step_started"]
    assert isinstance(facts[1], DeploymentAborting)
    assert (facts[1].cause, facts[1].reason) == ("failed", "step 3 failed: the executor answered failed")
    assert isinstance(facts[2], DeploymentStepStarted)
    assert facts[2].action == RouteSlots(weights={"blue": 100, "green": 0}, healthy={"blue": 1})


@pytest.mark.parametrize("result", ["errored", "stale"])
def test_broken_machinery_is_tried_again_later_each_time_and_then_it_goes_back(result: Result) -> None:
    state = started(CANARY)
    waits = []
    for attempt in range(1, ATTEMPTS["forward"]):
        (errored,) = on(state).when(report_step(0, result, attempt=attempt)).facts
        assert isinstance(errored, DeploymentStepErrored)
        assert errored.retry_at is not None
        waits.append(errored.retry_at)
        state = given([errored], state)
        on(state).when(again("forward", 0, attempt)).then_too_early(errored.retry_at)
        state = on(state).when(again("forward", 0, attempt), now=errored.retry_at).after.state

    assert waits == [later(NOW, 1), later(NOW, 2)]
    assert on(state).when(report_step(0, result, attempt=3)).names == [
        "step_errored",
        "aborting",
        "step_started",
    ]


def test_only_what_was_begun_is_undone() -> None:
    state = started(CANARY)

    facts = on(state).when(abort(None)).facts

    assert [fact.action for fact in facts if isinstance(fact, DeploymentStepStarted)] == [RetireSlot(slot="green")]


# Deadlines


def test_silence_until_the_deadline_is_the_machinerys_fault() -> None:
    state = started(CANARY)

    deadline = later(NOW, ORDER_SECONDS)
    on(state).when(overdue("forward", 0, 1), now=later(NOW, ORDER_SECONDS - 1)).then_too_early(deadline)
    (errored,) = on(state).when(overdue("forward", 0, 1), now=deadline).facts
    assert isinstance(errored, DeploymentStepErrored)
    assert errored.reason == "no word from the executor before the step's deadline"


def test_not_healthy_before_the_deadline_is_the_releases_fault() -> None:
    facts = on(walked(1)).when(overdue("forward", 1, 1), now=later(NOW, 300)).facts

    assert names(facts) == ["step_failed", "aborting", "step_started"]
    assert isinstance(facts[0], DeploymentStepFailed)
    assert facts[0].reason == "not healthy in time: no word from the executor before the step's deadline"


def test_a_step_done_in_time_counts_however_late_the_report_comes() -> None:
    assert on(started(CANARY)).when(report_step(0, at=later(NOW, ORDER_SECONDS - 1)), now=MUCH_LATER).names == [
        "step_succeeded",
        "step_started",
    ]


def test_a_step_done_too_late_is_retried_and_health_that_comes_too_late_is_a_failure() -> None:
    assert on(started(CANARY)).when(report_step(0, at=later(NOW, ORDER_SECONDS + 1))).names == ["step_errored"]
    assert on(walked(1)).when(report_step(1, at=later(NOW, 301))).names[0] == "step_failed"


def test_a_timer_for_another_attempt_or_for_what_is_done_changes_nothing() -> None:
    on(started(CANARY)).when(overdue("forward", 0, 2), now=MUCH_LATER).then_nothing()
    on(walked(1)).when(overdue("forward", 0, 1), now=MUCH_LATER).then_nothing()
    on(started(CANARY)).when(overdue("rollback", 0, 1), now=MUCH_LATER).then_nothing()
    on(started(CANARY)).when(again("forward", 0, 1), now=MUCH_LATER).then_nothing()


# Pauses


def test_a_pause_for_a_person_ends_by_promotion() -> None:
    state = walked(PAUSED)
    assert state.phase is DeploymentPhase.PAUSED

    facts = on(state).when(promotion(PAUSED, full=False)).facts

    assert facts[0] == DeploymentResumed(leg="forward", step=PAUSED, by=BEN)
    assert names(facts) == ["resumed", "step_started"]
    on(given(facts, state)).when(promotion(PAUSED, full=False)).then_nothing()


def test_a_pause_for_a_person_does_not_end_by_time_but_its_deadline_takes_it_back() -> None:
    state = walked(PAUSED)

    on(state).when(pause_over("forward", PAUSED), now=MUCH_LATER).then_nothing()
    on(state).when(EXPIRE, now=later(NOW, 3599)).then_too_early(later(NOW, 3600))
    facts = on(state).when(EXPIRE, now=later(NOW, 3600)).facts
    assert names(facts) == ["aborting", "step_started"]
    assert isinstance(facts[0], DeploymentAborting)
    assert (facts[0].cause, facts[0].reason) == ("deadline", "nobody promoted it before the pause's deadline")


def test_a_timed_pause_ends_by_its_time_and_not_before() -> None:
    state = walked(BAKING)
    assert state.phase is DeploymentPhase.BAKING

    on(state).when(pause_over("forward", BAKING), now=later(NOW, 29)).then_too_early(later(NOW, 30))
    assert on(state).when(pause_over("forward", BAKING), now=later(NOW, 30)).names == ["resumed", "step_started"]
    on(state).when(pause_over("forward", PAUSED), now=MUCH_LATER).then_nothing()
    on(state).when(pause_over("rollback", BAKING), now=MUCH_LATER).then_nothing()


def test_a_bake_ends_early_for_another_deployment_and_asks_again_whether_the_new_version_is_well() -> None:
    state = walked(BAKING)

    facts = on(state).when(EndBake(OTHER)).facts

    assert facts[0] == DeploymentResumed(leg="forward", step=BAKING, by=BEN, successor=OTHER)
    assert names(facts) == ["resumed", "step_started"]
    later_on = given(facts, state)
    assert (later_on.phase, later_on.successor) == (DeploymentPhase.PROGRESSING, OTHER)
    on(later_on).when(EndBake(THIRD)).then_nothing()


def test_the_bake_of_the_way_back_ends_early_too() -> None:
    state = aborted(BAKING)
    while state.open and bake(state) is None:
        [index] = state.open
        state = on(state).when(report_step(index, leg="rollback")).after.state
    assert state.phase is DeploymentPhase.ABORTING

    facts = on(state).when(EndBake(OTHER)).facts

    assert names(facts) == ["resumed", "step_started"]
    assert given(facts, state).phase is DeploymentPhase.ABORTING


@pytest.mark.parametrize("until", [ROUTED, PAUSED, WIDE, ASKED, RETIRED])
def test_a_pause_that_is_no_bake_does_not_end_early(until: int) -> None:
    on(walked(until)).when(EndBake(OTHER)).then_nothing()


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.NAME)
def test_a_deployment_that_ended_in_its_bake_does_not_move_for_another(end: DeploymentEvent) -> None:
    on(given([end], walked(BAKING))).when(EndBake(OTHER)).then_nothing()


def test_a_deployment_that_does_not_wait_cannot_be_promoted() -> None:
    on(walked(ROUTED)).when(promotion(None, full=False)).then_refused(
        f"deployment {DEPLOYMENT} is Progressing and waits for nobody; "
        "promote it when it is Paused, or promote it in full"
    )


TWICE = plan("canary", {"steps": [{"set_weight": 50}, {"pause": {}}, {"set_weight": 75}, {"pause": {}}]})


def test_a_deployment_with_one_pause_is_promoted_without_naming_it() -> None:
    assert on(walked(PAUSED)).when(promotion(None, full=False)).names == ["resumed", "step_started"]


@pytest.mark.parametrize("full", [False, True])
def test_a_deployment_with_several_pauses_is_promoted_only_by_the_pause_that_was_seen(full: bool) -> None:
    state = walked(PAUSED, TWICE)
    on(state).when(promotion(None, full=False)).then_refused(
        f"deployment {DEPLOYMENT} waits at step 4 and may pause more than once; look at it, and name the pause that "
        f"you saw: relman deployment promote {DEPLOYMENT} --step 4"
    )
    later_on = on(state).when(promotion(PAUSED, full=False)).after.state
    later_on = on(later_on).when(report_step(PAUSED + 1)).after.state
    assert later_on.phase is DeploymentPhase.PAUSED

    on(later_on).when(promotion(PAUSED, full=full)).then_nothing()
    on(state).when(promotion(PAUSED + 2, full=full)).then_refused(
        f"deployment {DEPLOYMENT} does not wait at step 6, but at step 4; look at it"
    )


def test_a_bake_is_ended_only_by_who_names_it() -> None:
    state = walked(BAKING)

    on(state).when(promotion(None, full=False)).then_refused("waits at step 7 and may pause more than once")
    assert on(state).when(promotion(BAKING, full=False)).names == ["resumed", "step_started"]


@pytest.mark.parametrize("state", [given(planned(CANARY)), aborted(PAUSED)], ids=["planned", "aborting"])
def test_a_deployment_that_does_not_run_cannot_be_promoted(state: Deployment) -> None:
    on(state).when(promotion(None, full=True)).then_refused(
        f"deployment {DEPLOYMENT} is {state.phase}; only a running one can be promoted"
    )


def test_promoted_in_full_it_skips_pauses_and_traffic_steps_but_the_last_and_still_bakes() -> None:
    steps: JsonValue = [{"set_weight": 10}, {"set_weight": 20}, {"set_weight": 30}, {"pause": {}}, {"set_weight": 60}]
    long = plan("canary", {"steps": steps})
    state = walked(2, long)

    facts = on(state).when(promotion(None, full=True)).facts

    assert facts == [DeploymentFastForwarded(skipped=(3, 4, 5, 6), by=BEN)]
    state = given(facts, state)
    on(state).when(promotion(None, full=True)).then_nothing()
    after = on(state).when(report_step(2)).facts
    assert [fact.action for fact in after if isinstance(fact, DeploymentStepStarted)] == [
        RouteSlots(weights={"blue": 0, "green": 100}, healthy={"green": 4})
    ]
    state = given(after, state)
    assert on(state).when(report_step(7)).after.state.phase is DeploymentPhase.BAKING


def test_promoted_in_full_while_it_waits_it_goes_on_and_the_old_timer_does_nothing() -> None:
    timed = plan("canary", {"steps": [{"set_weight": 50}, {"pause": {"duration": 60}}]})
    state = walked(PAUSED, timed)

    state = on(state).when(promotion(None, full=True)).after.state

    assert state.phase is DeploymentPhase.PROGRESSING
    on(state).when(pause_over("forward", PAUSED), now=MUCH_LATER).then_nothing()


def test_promoted_in_full_rolling_still_moves_the_traffic_before_the_old_version_shrinks() -> None:
    rolling = plan("rolling", {"max_surge": 0, "max_unavailable": "50%", "interval": 10})
    state = started(rolling)

    (skipped,) = on(state).when(promotion(None, full=True)).facts

    assert isinstance(skipped, DeploymentFastForwarded)
    assert {type(rolling.forward[index]).__name__ for index in skipped.skipped} == {"Pause"}


# Abort


@pytest.mark.parametrize(
    "waiting",
    [
        [],
        [DeploymentApprovalAwaited(approval=OTHER)],
        [DeploymentQueued(behind=(OTHER,), deadline=MUCH_LATER)],
    ],
    ids=["planned", "awaiting approval", "queued"],
)
def test_before_it_began_an_abort_cancels_it(waiting: list[DeploymentEvent]) -> None:
    state = given([*planned(CANARY), *waiting])

    facts = on(state).when(abort("wrong one")).facts

    assert facts == [DeploymentCancelled(by=BEN, note=Unsealed(subject=BEN, text="wrong one"))]
    on(given(facts, state)).when(abort(None)).then_nothing()


def test_an_abort_sends_the_traffic_back_first() -> None:
    state = walked(PAUSED)

    facts = on(state).when(abort(None)).facts

    assert names(facts) == ["aborting", "step_started"]
    state = given(facts, state)
    facts = on(state).when(report_step(0, leg="rollback")).facts
    assert names(facts) == ["step_succeeded", "paused"]
    state = given(facts, state)
    facts = on(state).when(pause_over("rollback", 2), now=later(NOW, 30)).facts
    assert names(facts) == ["resumed", "step_started"]
    state = given(facts, state)
    assert on(state).when(report_step(3, leg="rollback")).facts[1:] == [DeploymentRolledBack(empty=False)]


def test_an_abort_that_comes_twice_is_taken_once() -> None:
    on(aborted(PAUSED)).when(abort(None)).then_nothing()


def test_a_first_deployment_that_is_aborted_leaves_nothing() -> None:
    state = given(planned(plan("canary", {}, rollout(serving=False))))
    state = on(state).when(Start((binding(serving=False),))).after.state
    state = on(state).when(abort(None)).after.state

    assert on(state).when(report_step(1, leg="rollback")).facts[1:] == [DeploymentRolledBack(empty=True)]


def test_after_the_old_version_has_begun_to_go_there_is_no_abort() -> None:
    on(walked(RETIRED)).when(abort(None)).then_refused(
        f"deployment {DEPLOYMENT} has begun to stop the old version; let it end, then roll it back"
    )


def test_an_old_version_that_cannot_be_stopped_halts_it() -> None:
    facts = on(walked(RETIRED)).when(report_step(RETIRED, "failed")).facts

    assert names(facts) == ["step_failed", "halted"]
    assert isinstance(facts[1], DeploymentHalted)
    assert facts[1].reason.startswith("the new version serves; the old one could not be stopped: step 9 failed")


def test_a_candidate_that_is_not_well_gets_no_larger_share_and_it_goes_back() -> None:
    facts = on(walked(WIDE)).when(report_step(WIDE, "unwell", reason="green1 exited")).facts

    assert names(facts) == ["step_failed", "aborting", "step_started"]
    assert isinstance(facts[0], DeploymentStepFailed)
    assert facts[0].untouched
    assert isinstance(facts[1], DeploymentAborting)
    assert (facts[1].cause, facts[1].reason) == ("failed", "step 5 failed: green1 exited")


def test_the_old_version_is_stopped_only_while_the_new_one_is_well_and_else_takes_the_traffic_back() -> None:
    [_, ordered] = on(walked(ASKED)).when(report_step(ASKED)).facts
    assert isinstance(ordered, DeploymentStepStarted)
    assert ordered.action == RetireSlot(slot="blue", healthy={"green": 4})
    state = walked(RETIRED)

    facts = on(state).when(report_step(RETIRED, "unwell")).facts

    assert names(facts) == ["step_failed", "aborting", "step_started"]
    state = given(facts, state)
    for index, step in enumerate(CANARY.rollback):
        if isinstance(step, Pause):
            state = on(state).when(pause_over("rollback", index), now=MUCH_LATER).after.state
        elif not isinstance(step, PromoteStep):
            state = on(state).when(report_step(index, leg="rollback")).after.state
    assert state.phase is DeploymentPhase.ROLLED_BACK
    assert doubted(state) == ()


def test_a_stable_version_that_is_not_well_is_asked_again_before_it_gets_the_traffic_back() -> None:
    state = aborted(PAUSED)

    (errored,) = on(state).when(report_step(0, "unwell", leg="rollback", reason="blue1 does not answer")).facts

    assert isinstance(errored, DeploymentStepErrored)
    assert (errored.reason, errored.retry_at) == ("blue1 does not answer", later(NOW, 1))


def test_while_it_bakes_it_can_still_be_aborted() -> None:
    facts = on(walked(BAKING)).when(abort(None)).facts

    assert names(facts) == ["aborting", "step_started"]


def test_a_deployment_without_a_way_back_halts() -> None:
    irreversible = CANARY.model_copy(update={"reversible": False})

    facts = on(walked(ROUTED, irreversible)).when(abort(None)).facts

    assert facts == [
        DeploymentHalted(reason="somebody aborted it; there is no way back here: a newer version is needed")
    ]


def test_a_rollback_that_fails_too_often_says_so() -> None:
    state = aborted(PAUSED)
    for attempt in range(1, ATTEMPTS["rollback"]):
        state = on(state).when(report_step(0, "failed", leg="rollback", attempt=attempt)).after.state
        assert state.phase is DeploymentPhase.ABORTING
        state = on(state).when(again("rollback", 0, attempt), now=MUCH_LATER).after.state

    facts = on(state).when(report_step(0, "failed", leg="rollback", attempt=6)).facts

    assert names(facts) == ["step_errored", "rollback_failed"]


def test_a_succeeded_deployment_is_rolled_back_and_not_aborted() -> None:
    on(given([*planned(CANARY), DeploymentSucceeded()])).when(abort(None)).then_refused(
        f"deployment {DEPLOYMENT} has succeeded; to leave its version, roll it back"
    )


# The queue, and the end


def test_a_plan_that_nobody_deploys_expires() -> None:
    made, requested = planned(CANARY)
    assert isinstance(made, DeploymentPlanned)
    state = given([made.model_copy(update={"deadline": later(NOW, 60)})])

    on(state).when(EXPIRE, now=later(NOW, 59)).then_too_early(later(NOW, 60))
    facts = on(state).when(EXPIRE, now=later(NOW, 60)).facts
    assert facts == [DeploymentExpired(reason="nobody deployed it before the plan's deadline")]
    on(given(facts, state)).when(EXPIRE, now=MUCH_LATER).then_nothing()
    begun = given([requested, DeploymentApprovalAwaited(approval=OTHER)], state)
    on(begun).when(EXPIRE, now=MUCH_LATER).then_nothing()


def test_a_plan_of_the_time_before_deadlines_waits_for_ever() -> None:
    on(given(planned(CANARY)[:1])).when(EXPIRE, now=MUCH_LATER).then_nothing()


def test_a_deployment_that_waits_too_long_for_a_place_expires() -> None:
    state = given([*planned(CANARY), DeploymentQueued(behind=(OTHER,), deadline=later(NOW, 60))])

    on(state).when(EXPIRE, now=later(NOW, 59)).then_too_early(later(NOW, 60))
    facts = on(state).when(EXPIRE, now=later(NOW, 60)).facts
    assert facts == [DeploymentExpired(reason="the place did not become free before the deadline")]
    on(given(facts, state)).when(EXPIRE, now=MUCH_LATER).then_nothing()


@pytest.mark.parametrize("end", ENDS, ids=[end.NAME for end in ENDS])
def test_an_ended_deployment_never_moves(end: DeploymentEvent) -> None:
    state = given([end], walked(PAUSED))
    assert state.ended

    on(state).when(Start((binding(),))).then_nothing()
    on(state).when(report_step(ROUTED)).then_nothing()
    on(state).when(overdue("forward", ROUTED, 1), now=MUCH_LATER).then_nothing()
    on(state).when(again("forward", ROUTED, 1), now=MUCH_LATER).then_nothing()
    on(state).when(pause_over("forward", PAUSED), now=MUCH_LATER).then_nothing()
    on(state).when(EXPIRE, now=MUCH_LATER).then_nothing()
    if state.phase is DeploymentPhase.SUCCEEDED:
        on(state).when(promotion(PAUSED, full=False)).then_nothing()
        on(state).when(abort(None)).then_refused("has succeeded; to leave its version, roll it back")
    else:
        on(state).when(abort(None)).then_nothing()
        on(state).when(promotion(PAUSED, full=False)).then_refused("only a running one can be promoted")


def test_no_command_to_an_unknown_deployment_changes_anything() -> None:
    on(Deployment()).when(abort(None)).then_nothing()
    on(Deployment()).when(EXPIRE, now=MUCH_LATER).then_nothing()
    on(Deployment()).when(report_step(0)).then_nothing()
