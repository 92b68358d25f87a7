"""Deployment: given how far it is, when somebody or something wishes, then these facts or this refusal.

The plan is a canary over 50 %: 0 candidate, 1 await, 2 route 50, 3 pause until promoted, 4 route 100, 5 promote,
6 bake 30 s, 7 ask again, 8 retire the old version; and back: 0 route, 1 promote, 2 pause 30 s, 3 retire.
"""

from collections.abc import Callable

import pytest
from pydantic import JsonValue

from release_management.domain.deployment.decide import (
    abort,
    end_bake,
    expire,
    expire_step,
    later,
    promote,
    report,
    resume,
    retry_step,
    start,
)
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
from release_management.domain.orders import ATTEMPTS
from release_management.domain.plan import Plan
from release_management.domain.plan.step import ORDER_SECONDS
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.pause import Pause
from release_management.domain.plan.steps.promote import Promote
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots
from release_management.kernel.types import (
    NotYet,
    Refused,
    Unsealed,
)
from tests.domain.build import (
    BEN,
    DEPLOYMENT,
    NOW,
    OTHER,
    THIRD,
    binding,
    component,
    given,
    plan,
    planned,
    said,
    stand,
    started,
)

CANARY = plan("canary", {"steps": [{"set_weight": 50}, {"pause": {}}], "pause_deadline": "1h"})
ROUTED, PAUSED, WIDE, BAKING, ASKED, RETIRED = 2, 3, 4, 6, 7, 8
MUCH_LATER = later(NOW, 30 * 86_400)


def names(facts: list[DeploymentEvent]) -> list[str]:
    return [fact.NAME.removeprefix("deployment.") for fact in facts]


def walked(until: int, compiled: Plan = CANARY) -> Deployment:
    """The steps before `until` are done and `until` has begun; a pause in between was promoted."""
    state = started(compiled)
    for index in range(until):
        if index == PAUSED:
            state = given(promote(state, PAUSED, False, BEN, NOW), state)
        elif index == BAKING:
            state = given(resume(state, "forward", BAKING, MUCH_LATER), state)
        else:
            state = given(report(state, said(index), NOW), state)
    return state


def aborted(at: int) -> Deployment:
    state = walked(at)
    return given(abort(state, BEN, None, NOW), state)


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
    facts = start(given(planned(CANARY)), (binding(),), NOW)

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

    assert names(start(given(planned(nothing)), (), NOW)) == ["started", "succeeded"]


def test_a_deployment_starts_once() -> None:
    assert start(walked(ROUTED), (binding(),), NOW) == []
    assert start(Deployment(), (binding(),), NOW) == []


def test_a_deployment_does_not_start_if_a_step_has_no_slot() -> None:
    with pytest.raises(Refused) as refusal:
        start(given(planned(CANARY)), (binding("web"),), NOW)
    assert str(refusal.value) == f"deployment {DEPLOYMENT}: api on main has no slot; plan it again"


def test_roles_that_share_a_slot_share_their_traffic() -> None:
    recreate = plan("recreate")
    shared = binding().model_copy(update={"candidate_slot": "blue"})
    state = given(planned(recreate))

    ordered = start(state, (shared,), NOW)[1]

    assert isinstance(ordered, DeploymentStepStarted)
    assert ordered.action == RouteSlots(weights={"blue": 0})


# Reports


def test_the_next_wave_begins_when_all_of_the_one_before_is_done() -> None:
    both = plan("canary", {}, stand("api"), stand("web"))
    state = started(both, binding("api"), binding("web"))

    first = report(state, said(0), NOW)
    assert names(first) == ["step_succeeded"]

    second = report(given(first, state), said(1), NOW)
    assert names(second) == ["step_succeeded", "step_started", "step_started"]
    assert [fact.action for fact in second if isinstance(fact, DeploymentStepStarted)] == [
        AwaitSlotHealthy(slot="green", replicas=4)
    ] * 2


def test_a_whole_walk_succeeds() -> None:
    state = walked(RETIRED)

    facts = report(state, said(RETIRED), NOW)

    assert names(facts) == ["step_succeeded", "succeeded"]


def test_promote_is_recorded_and_never_ordered() -> None:
    facts = report(walked(WIDE), said(WIDE), NOW)

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
        said(1),
        said(0, attempt=2),
        said(0, leg="rollback"),
        said(99),
        said(0, deployment=OTHER),
        said(PAUSED),
    ],
    ids=["not ordered", "another attempt", "the other leg", "no such step", "another deployment", "a pause"],
)
def test_a_report_of_what_is_not_out_records_nothing(strange: object) -> None:
    assert report(started(CANARY), strange, NOW) == []  # type: ignore[arg-type] # a text for a literal


def test_a_report_that_comes_twice_is_taken_once() -> None:
    state = started(CANARY)
    state = given(report(state, said(0), NOW), state)

    assert report(state, said(0), NOW) == []


def test_a_bad_release_goes_back_at_once() -> None:
    facts = report(walked(ROUTED), said(ROUTED, "failed"), NOW)

    assert names(facts) == ["step_failed", "aborting", "step_started"]
    assert isinstance(facts[1], DeploymentAborting)
    assert (facts[1].cause, facts[1].reason) == ("failed", "step 3 failed: the executor answered failed")
    assert isinstance(facts[2], DeploymentStepStarted)
    assert facts[2].action == RouteSlots(weights={"blue": 100, "green": 0}, healthy={"blue": 1})


@pytest.mark.parametrize("result", ["errored", "stale"])
def test_broken_machinery_is_tried_again_later_each_time_and_then_it_goes_back(result: str) -> None:
    state = started(CANARY)
    waits = []
    for attempt in range(1, ATTEMPTS["forward"]):
        (errored,) = report(state, said(0, result, attempt=attempt), NOW)  # type: ignore[arg-type] # a text for a literal
        assert isinstance(errored, DeploymentStepErrored)
        assert errored.retry_at is not None
        waits.append(errored.retry_at)
        state = given([errored], state)
        assert too_early(retry_step, state, "forward", 0, attempt, NOW) == errored.retry_at
        state = given(retry_step(state, "forward", 0, attempt, errored.retry_at), state)

    assert waits == [later(NOW, 1), later(NOW, 2)]
    assert names(report(state, said(0, result, attempt=3), NOW)) == [  # type: ignore[arg-type] # a text for a literal
        "step_errored",
        "aborting",
        "step_started",
    ]


def test_only_what_was_begun_is_undone() -> None:
    state = started(CANARY)

    facts = abort(state, BEN, None, NOW)

    assert [fact.action for fact in facts if isinstance(fact, DeploymentStepStarted)] == [RetireSlot(slot="green")]


# Deadlines


def too_early(timer: Callable[..., object], *given: object) -> str:
    """Have a timer fire before its time; when it is told to come again."""
    with pytest.raises(NotYet) as early:
        timer(*given)
    return early.value.retry_at


def test_silence_until_the_deadline_is_the_machinerys_fault() -> None:
    state = started(CANARY)

    deadline = later(NOW, ORDER_SECONDS)
    assert too_early(expire_step, state, "forward", 0, 1, later(NOW, ORDER_SECONDS - 1)) == deadline
    (errored,) = expire_step(state, "forward", 0, 1, deadline)
    assert isinstance(errored, DeploymentStepErrored)
    assert errored.reason == "no word from the executor before the step's deadline"


def test_not_healthy_before_the_deadline_is_the_releases_fault() -> None:
    facts = expire_step(walked(1), "forward", 1, 1, later(NOW, 300))

    assert names(facts) == ["step_failed", "aborting", "step_started"]
    assert isinstance(facts[0], DeploymentStepFailed)
    assert facts[0].reason == "not healthy in time: no word from the executor before the step's deadline"


def test_a_step_done_in_time_counts_however_late_the_report_comes() -> None:
    assert names(report(started(CANARY), said(0, at=later(NOW, ORDER_SECONDS - 1)), MUCH_LATER)) == [
        "step_succeeded",
        "step_started",
    ]


def test_a_step_done_too_late_is_retried_and_health_that_comes_too_late_is_a_failure() -> None:
    assert names(report(started(CANARY), said(0, at=later(NOW, ORDER_SECONDS + 1)), NOW)) == ["step_errored"]
    assert names(report(walked(1), said(1, at=later(NOW, 301)), NOW))[0] == "step_failed"


def test_a_timer_for_another_attempt_or_for_what_is_done_changes_nothing() -> None:
    assert expire_step(started(CANARY), "forward", 0, 2, MUCH_LATER) == []
    assert expire_step(walked(1), "forward", 0, 1, MUCH_LATER) == []
    assert expire_step(started(CANARY), "rollback", 0, 1, MUCH_LATER) == []
    assert retry_step(started(CANARY), "forward", 0, 1, MUCH_LATER) == []


# Pauses


def test_a_pause_for_a_person_ends_by_promotion() -> None:
    state = walked(PAUSED)
    assert state.phase is DeploymentPhase.PAUSED

    facts = promote(state, PAUSED, False, BEN, NOW)

    assert facts[0] == DeploymentResumed(leg="forward", step=PAUSED, by=BEN)
    assert names(facts) == ["resumed", "step_started"]
    assert promote(given(facts, state), PAUSED, False, BEN, NOW) == []


def test_a_pause_for_a_person_does_not_end_by_time_but_its_deadline_takes_it_back() -> None:
    state = walked(PAUSED)

    assert resume(state, "forward", PAUSED, MUCH_LATER) == []
    assert too_early(expire, state, later(NOW, 3599)) == later(NOW, 3600)
    facts = expire(state, later(NOW, 3600))
    assert names(facts) == ["aborting", "step_started"]
    assert isinstance(facts[0], DeploymentAborting)
    assert (facts[0].cause, facts[0].reason) == ("deadline", "nobody promoted it before the pause's deadline")


def test_a_timed_pause_ends_by_its_time_and_not_before() -> None:
    state = walked(BAKING)
    assert state.phase is DeploymentPhase.BAKING

    assert too_early(resume, state, "forward", BAKING, later(NOW, 29)) == later(NOW, 30)
    assert names(resume(state, "forward", BAKING, later(NOW, 30))) == ["resumed", "step_started"]
    assert resume(state, "forward", PAUSED, MUCH_LATER) == []
    assert resume(state, "rollback", BAKING, MUCH_LATER) == []


def test_a_bake_ends_early_for_another_deployment_and_asks_again_whether_the_new_version_is_well() -> None:
    state = walked(BAKING)

    facts = end_bake(state, OTHER, BEN, NOW)

    assert facts[0] == DeploymentResumed(leg="forward", step=BAKING, by=BEN, successor=OTHER)
    assert names(facts) == ["resumed", "step_started"]
    later_on = given(facts, state)
    assert (later_on.phase, later_on.successor) == (DeploymentPhase.PROGRESSING, OTHER)
    assert end_bake(later_on, THIRD, BEN, NOW) == []


def test_the_bake_of_the_way_back_ends_early_too() -> None:
    state = aborted(BAKING)
    while state.open and bake(state) is None:
        [index] = state.open
        state = given(report(state, said(index, leg="rollback"), NOW), state)
    assert state.phase is DeploymentPhase.ABORTING

    facts = end_bake(state, OTHER, BEN, NOW)

    assert names(facts) == ["resumed", "step_started"]
    assert given(facts, state).phase is DeploymentPhase.ABORTING


@pytest.mark.parametrize("until", [ROUTED, PAUSED, WIDE, ASKED, RETIRED])
def test_a_pause_that_is_no_bake_does_not_end_early(until: int) -> None:
    assert end_bake(walked(until), OTHER, BEN, NOW) == []


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.NAME)
def test_a_deployment_that_ended_in_its_bake_does_not_move_for_another(end: DeploymentEvent) -> None:
    assert end_bake(given([end], walked(BAKING)), OTHER, BEN, NOW) == []


def test_a_deployment_that_does_not_wait_cannot_be_promoted() -> None:
    with pytest.raises(Refused) as refusal:
        promote(walked(ROUTED), None, False, BEN, NOW)
    assert str(refusal.value) == (
        f"deployment {DEPLOYMENT} is Progressing and waits for nobody; "
        "promote it when it is Paused, or promote it in full"
    )


TWICE = plan("canary", {"steps": [{"set_weight": 50}, {"pause": {}}, {"set_weight": 75}, {"pause": {}}]})


def test_a_deployment_with_one_pause_is_promoted_without_naming_it() -> None:
    assert names(promote(walked(PAUSED), None, False, BEN, NOW)) == ["resumed", "step_started"]


@pytest.mark.parametrize("full", [False, True])
def test_a_deployment_with_several_pauses_is_promoted_only_by_the_pause_that_was_seen(full: bool) -> None:
    state = walked(PAUSED, TWICE)
    with pytest.raises(Refused) as unnamed:
        promote(state, None, False, BEN, NOW)
    assert str(unnamed.value) == (
        f"deployment {DEPLOYMENT} waits at step 4 and may pause more than once; look at it, and name the pause that "
        f"you saw: relman deployment promote {DEPLOYMENT} --step 4"
    )
    later_on = given(promote(state, PAUSED, False, BEN, NOW), state)
    later_on = given(report(later_on, said(PAUSED + 1), NOW), later_on)
    assert later_on.phase is DeploymentPhase.PAUSED

    assert promote(later_on, PAUSED, full, BEN, NOW) == []
    with pytest.raises(Refused) as other:
        promote(state, PAUSED + 2, full, BEN, NOW)
    assert str(other.value).startswith(f"deployment {DEPLOYMENT} does not wait at step 6, but at step 4; look at it")


def test_a_bake_is_ended_only_by_who_names_it() -> None:
    state = walked(BAKING)

    with pytest.raises(Refused, match="waits at step 7 and may pause more than once"):
        promote(state, None, False, BEN, NOW)
    assert names(promote(state, BAKING, False, BEN, NOW)) == ["resumed", "step_started"]


@pytest.mark.parametrize("state", [given(planned(CANARY)), aborted(PAUSED)], ids=["planned", "aborting"])
def test_a_deployment_that_does_not_run_cannot_be_promoted(state: Deployment) -> None:
    with pytest.raises(Refused, match=f"deployment {DEPLOYMENT} is {state.phase}; only a running one can be promoted"):
        promote(state, None, True, BEN, NOW)


def test_promoted_in_full_it_skips_pauses_and_traffic_steps_but_the_last_and_still_bakes() -> None:
    steps: JsonValue = [{"set_weight": 10}, {"set_weight": 20}, {"set_weight": 30}, {"pause": {}}, {"set_weight": 60}]
    long = plan("canary", {"steps": steps})
    state = walked(2, long)

    facts = promote(state, None, True, BEN, NOW)

    assert facts == [DeploymentFastForwarded(skipped=(3, 4, 5, 6), by=BEN)]
    state = given(facts, state)
    assert promote(state, None, True, BEN, NOW) == []
    after = report(state, said(2), NOW)
    assert [fact.action for fact in after if isinstance(fact, DeploymentStepStarted)] == [
        RouteSlots(weights={"blue": 0, "green": 100}, healthy={"green": 4})
    ]
    state = given(after, state)
    assert given(report(state, said(7), NOW), state).phase is DeploymentPhase.BAKING


def test_promoted_in_full_while_it_waits_it_goes_on_and_the_old_timer_does_nothing() -> None:
    timed = plan("canary", {"steps": [{"set_weight": 50}, {"pause": {"duration": 60}}]})
    state = walked(PAUSED, timed)

    state = given(promote(state, None, True, BEN, NOW), state)

    assert state.phase is DeploymentPhase.PROGRESSING
    assert resume(state, "forward", PAUSED, MUCH_LATER) == []


def test_promoted_in_full_rolling_still_moves_the_traffic_before_the_old_version_shrinks() -> None:
    rolling = plan("rolling", {"max_surge": 0, "max_unavailable": "50%", "interval": 10})
    state = started(rolling)

    (skipped,) = promote(state, None, True, BEN, NOW)

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

    facts = abort(state, BEN, "wrong one", NOW)

    assert facts == [DeploymentCancelled(by=BEN, note=Unsealed(subject=BEN, text="wrong one"))]
    assert abort(given(facts, state), BEN, None, NOW) == []


def test_an_abort_sends_the_traffic_back_first() -> None:
    state = walked(PAUSED)

    facts = abort(state, BEN, None, NOW)

    assert names(facts) == ["aborting", "step_started"]
    state = given(facts, state)
    facts = report(state, said(0, leg="rollback"), NOW)
    assert names(facts) == ["step_succeeded", "paused"]
    state = given(facts, state)
    facts = resume(state, "rollback", 2, later(NOW, 30))
    assert names(facts) == ["resumed", "step_started"]
    state = given(facts, state)
    assert report(state, said(3, leg="rollback"), NOW)[1:] == [DeploymentRolledBack(empty=False)]


def test_an_abort_that_comes_twice_is_taken_once() -> None:
    assert abort(aborted(PAUSED), BEN, None, NOW) == []


def test_a_first_deployment_that_is_aborted_leaves_nothing() -> None:
    state = given(planned(plan("canary", {}, stand(serving=False))))
    state = given(start(state, (binding(serving=False),), NOW), state)
    state = given(abort(state, BEN, None, NOW), state)

    assert report(state, said(1, leg="rollback"), NOW)[1:] == [DeploymentRolledBack(empty=True)]


def test_after_the_old_version_has_begun_to_go_there_is_no_abort() -> None:
    with pytest.raises(Refused) as refusal:
        abort(walked(RETIRED), BEN, None, NOW)
    assert str(refusal.value) == (
        f"deployment {DEPLOYMENT} has begun to stop the old version; let it end, then roll it back"
    )


def test_an_old_version_that_cannot_be_stopped_halts_it() -> None:
    facts = report(walked(RETIRED), said(RETIRED, "failed"), NOW)

    assert names(facts) == ["step_failed", "halted"]
    assert isinstance(facts[1], DeploymentHalted)
    assert facts[1].reason.startswith("the new version serves; the old one could not be stopped: step 9 failed")


def test_a_candidate_that_is_not_well_gets_no_larger_share_and_it_goes_back() -> None:
    facts = report(walked(WIDE), said(WIDE, "unwell", reason="green1 exited"), NOW)

    assert names(facts) == ["step_failed", "aborting", "step_started"]
    assert isinstance(facts[0], DeploymentStepFailed)
    assert facts[0].untouched
    assert isinstance(facts[1], DeploymentAborting)
    assert (facts[1].cause, facts[1].reason) == ("failed", "step 5 failed: green1 exited")


def test_the_old_version_is_stopped_only_while_the_new_one_is_well_and_else_takes_the_traffic_back() -> None:
    [_, ordered] = report(walked(ASKED), said(ASKED), NOW)
    assert isinstance(ordered, DeploymentStepStarted)
    assert ordered.action == RetireSlot(slot="blue", healthy={"green": 4})
    state = walked(RETIRED)

    facts = report(state, said(RETIRED, "unwell"), NOW)

    assert names(facts) == ["step_failed", "aborting", "step_started"]
    state = given(facts, state)
    for index, step in enumerate(CANARY.rollback):
        if isinstance(step, Pause):
            state = given(resume(state, "rollback", index, MUCH_LATER), state)
        elif not isinstance(step, Promote):
            state = given(report(state, said(index, leg="rollback"), NOW), state)
    assert state.phase is DeploymentPhase.ROLLED_BACK
    assert doubted(state) == ()


def test_a_stable_version_that_is_not_well_is_asked_again_before_it_gets_the_traffic_back() -> None:
    state = aborted(PAUSED)

    (errored,) = report(state, said(0, "unwell", leg="rollback", reason="blue1 does not answer"), NOW)

    assert isinstance(errored, DeploymentStepErrored)
    assert (errored.reason, errored.retry_at) == ("blue1 does not answer", later(NOW, 1))


def test_while_it_bakes_it_can_still_be_aborted() -> None:
    facts = abort(walked(BAKING), BEN, None, NOW)

    assert names(facts) == ["aborting", "step_started"]


def test_a_deployment_without_a_way_back_halts() -> None:
    irreversible = CANARY.model_copy(update={"reversible": False})

    facts = abort(walked(ROUTED, irreversible), BEN, None, NOW)

    assert facts == [
        DeploymentHalted(reason="somebody aborted it; there is no way back here: a newer version is needed")
    ]


def test_a_rollback_that_fails_too_often_says_so() -> None:
    state = aborted(PAUSED)
    for attempt in range(1, ATTEMPTS["rollback"]):
        state = given(report(state, said(0, "failed", leg="rollback", attempt=attempt), NOW), state)
        assert state.phase is DeploymentPhase.ABORTING
        state = given(retry_step(state, "rollback", 0, attempt, MUCH_LATER), state)

    facts = report(state, said(0, "failed", leg="rollback", attempt=6), NOW)

    assert names(facts) == ["step_errored", "rollback_failed"]


def test_a_succeeded_deployment_is_rolled_back_and_not_aborted() -> None:
    with pytest.raises(Refused) as refusal:
        abort(given([*planned(CANARY), DeploymentSucceeded()]), BEN, None, NOW)
    assert str(refusal.value) == f"deployment {DEPLOYMENT} has succeeded; to leave its version, roll it back"


# The queue, and the end


def test_a_plan_that_nobody_deploys_expires() -> None:
    made, requested = planned(CANARY)
    assert isinstance(made, DeploymentPlanned)
    state = given([made.model_copy(update={"deadline": later(NOW, 60)})])

    with pytest.raises(NotYet):
        expire(state, later(NOW, 59))
    facts = expire(state, later(NOW, 60))
    assert facts == [DeploymentExpired(reason="nobody deployed it before the plan's deadline")]
    assert expire(given(facts, state), MUCH_LATER) == []
    begun = given([requested, DeploymentApprovalAwaited(approval=OTHER)], state)
    assert expire(begun, MUCH_LATER) == [], "the approval has a deadline of its own"


def test_a_plan_of_the_time_before_deadlines_waits_for_ever() -> None:
    assert expire(given(planned(CANARY)[:1]), MUCH_LATER) == []


def test_a_deployment_that_waits_too_long_for_a_place_expires() -> None:
    state = given([*planned(CANARY), DeploymentQueued(behind=(OTHER,), deadline=later(NOW, 60))])

    assert too_early(expire, state, later(NOW, 59)) == later(NOW, 60)
    facts = expire(state, later(NOW, 60))
    assert facts == [DeploymentExpired(reason="the place did not become free before the deadline")]
    assert expire(given(facts, state), MUCH_LATER) == []


@pytest.mark.parametrize("end", ENDS, ids=[end.NAME for end in ENDS])
def test_an_ended_deployment_never_moves(end: DeploymentEvent) -> None:
    state = given([end], walked(PAUSED))
    assert state.ended

    assert start(state, (binding(),), NOW) == []
    assert report(state, said(ROUTED), NOW) == []
    assert expire_step(state, "forward", ROUTED, 1, MUCH_LATER) == []
    assert retry_step(state, "forward", ROUTED, 1, MUCH_LATER) == []
    assert resume(state, "forward", PAUSED, MUCH_LATER) == []
    assert expire(state, MUCH_LATER) == []
    if state.phase is DeploymentPhase.SUCCEEDED:
        assert promote(state, PAUSED, False, BEN, NOW) == []
        with pytest.raises(Refused, match="has succeeded; to leave its version, roll it back"):
            abort(state, BEN, None, NOW)
    else:
        assert abort(state, BEN, None, NOW) == []
        with pytest.raises(Refused, match="only a running one can be promoted"):
            promote(state, PAUSED, False, BEN, NOW)


def test_every_command_to_an_unknown_deployment_is_refused() -> None:
    assert abort(Deployment(), BEN, None, NOW) == []
    assert expire(Deployment(), MUCH_LATER) == []
    assert report(Deployment(), said(0), NOW) == []
