"""Laws of a deployment, whatever its strategy, and whatever becomes of its orders and reports."""

from itertools import cycle
from random import Random
from typing import cast

import pytest
from hypothesis import HealthCheck, assume, event, given, reject, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import JsonValue

from release_management.domain.deployment.events import DeploymentPaused
from release_management.domain.deployment.state import DeploymentPhase, past_no_return
from release_management.domain.plan.strategies import StrategyName
from release_management.kernel.types import Refused
from tests.domain.build import (
    DEPLOYMENT,
    OTHER,
    THIRD,
    release,
    said,
)
from tests.domain.deployment_model import World
from tests.domain.scenarios import (
    rolling_options,
    strategies,
    worlds,
)
from tests.domain.seat import FATES, Fate
from tests.profiles import times

How = tuple[StrategyName, dict[str, JsonValue]]
FOREIGN = "0193a5c2-7d7e-7000-8000-00000000000f"
BROKEN: tuple[Fate, ...] = ("errored before", "errored midway", "errored after")
ENDS_BY_ITSELF = {
    DeploymentPhase.SUCCEEDED,
    DeploymentPhase.ROLLED_BACK,
    DeploymentPhase.ROLLBACK_FAILED,
    DeploymentPhase.HALTED,
}


class DeploymentMachine(RuleBasedStateMachine):
    """One deployment after another walks through a world in which anything can happen to orders and reports.

    `World.give` asserts the laws of every decision, `Seat` those of every order; the promises at the end are below.
    """

    world: World

    @initialize(world=worlds(), how=strategies)
    def begin(self, world: World, how: How) -> None:
        self.world = world
        self.ids = [THIRD, OTHER, DEPLOYMENT]
        self._start(how)

    def _start(self, how: How) -> None:
        strategy, options = how
        try:
            self.world.begin(self.ids.pop(), strategy, options)
        except Refused:
            self.world.begin(OTHER, "recreate", {})
        event(f"strategy {strategy}")

    @precondition(lambda self: self.world.orders)
    @rule(which=st.integers(0, 50), fate=st.sampled_from(("done", "done", *FATES)), keep=st.booleans())
    def an_order_is_taken(self, which: int, fate: Fate, keep: bool) -> None:
        self.world.deliver_order(which % len(self.world.orders), fate, keep)

    @precondition(lambda self: self.world.orders)
    @rule(turns=st.integers(1, 12))
    def all_goes_well_for_a_while(self, turns: int) -> None:
        for _ in range(turns):
            self.world.work()
            if not self.world.state.ended:
                self.world.sleep_until_due()
                self.world.fire_timers()

    @precondition(lambda self: self.world.orders)
    @rule(which=st.integers(0, 50))
    def an_order_is_lost(self, which: int) -> None:
        self.world.orders.pop(which % len(self.world.orders))

    @precondition(lambda self: self.world.reports)
    @rule(which=st.integers(0, 50), keep=st.booleans())
    def a_report_arrives(self, which: int, keep: bool) -> None:
        self.world.deliver_report(which % len(self.world.reports), keep)

    @precondition(lambda self: self.world.reports)
    @rule(which=st.integers(0, 50))
    def a_report_is_lost(self, which: int) -> None:
        self.world.reports.pop(which % len(self.world.reports))

    @rule()
    def executors_look(self) -> None:
        self.world.look()

    @rule(which=st.integers(0, 7))
    def a_slot_falls_ill_or_is_well_again(self, which: int) -> None:
        self.world.fall_ill(which)

    @rule(seconds=st.sampled_from([0.5, 10, 60, 300]))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule()
    def timers_fire(self) -> None:
        self.world.fire_timers()

    @precondition(lambda self: not self.world.state.ended and self.world.due())
    @rule()
    def time_passes_until_a_timer_is_due(self) -> None:
        self.world.sleep_until_due()
        self.world.fire_timers()

    @rule(step=st.none() | st.integers(0, 12))
    def somebody_promotes(self, step: int | None) -> None:
        self.world.promote(step, full=False)

    @rule()
    def somebody_promotes_in_full(self) -> None:
        self.world.promote(None, full=True)

    @rule()
    def the_next_one_waits_for_its_places(self) -> None:
        self.world.the_next_one_waits()

    @precondition(lambda self: not self.world.state.ended)
    @rule(broken=st.lists(st.sampled_from(BROKEN), min_size=1, max_size=4))
    def nothing_works_any_more_until_it_ends(self, broken: list[Fate]) -> None:
        self.world.break_down(cycle(broken))

    @precondition(lambda self: self.world.orders)
    @rule()
    def a_foreign_report_arrives(self) -> None:
        order = self.world.orders[-1]
        self.world.reports.append(said(order.step, leg=order.leg, attempt=order.attempt, deployment=FOREIGN))
        self.world.deliver_report(-1, keep=False)

    @precondition(lambda self: self.world.state.ended or len(self.world.log) > 4)
    @rule()
    def somebody_aborts(self) -> None:
        self.world.abort()

    @precondition(lambda self: self.world.state.ended and self.world.can_go_on and self.ids)
    @rule(how=strategies)
    def the_next_release_is_deployed(self, how: How) -> None:
        """While orders and reports of the one before are still under way, however it ended."""
        self.world.check_end()
        self.world.release = release(f"{5 - len(self.ids)}.0.0", [c.name for c in self.world.release.components])
        self._start(how)

    @invariant()
    def the_world_is_sound(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if not hasattr(self, "world") or self.world.state.phase is DeploymentPhase.ABSENT:
            return
        world = self.world
        world.finish("dead" if len(world.log) % 3 == 0 else "honest")
        event(f"end {world.state.phase}")
        assert world.state.phase in ENDS_BY_ITSELF
        world.check_end()
        world.deliver_leftovers()
        world.check()


pytestmark = pytest.mark.timeout(600 + times(600))  # they only compute, and beside other runs for long
TestDeploymentMachine = DeploymentMachine.TestCase
TestDeploymentMachine.settings = settings(
    max_examples=times(200),
    stateful_step_count=25,
    suppress_health_check=list(HealthCheck),
)


@settings(max_examples=times(400), suppress_health_check=list(HealthCheck))
@given(
    world=worlds(),
    hows=st.lists(strategies, min_size=3, max_size=3),
    moments=st.lists(st.integers(0, 14), min_size=2, max_size=2),
    broken=st.lists(st.sampled_from(BROKEN), min_size=1, max_size=5),
    back=st.booleans(),
)
def test_after_a_failed_way_back_nothing_is_replaced_while_it_has_traffic(
    world: World, hows: list[How], moments: list[int], broken: list[Fate], back: bool
) -> None:
    """`World` asserts it of every order, and of every end what it promises.

    The first deployment goes well, the second and perhaps the third break down on their way, the last goes well again;
    `back`: it brings the version that served first.
    """
    names = [component.name for component in world.release.components]
    assume(all(target.reversible for target in world.environment.targets.values()))
    try:
        world.begin(DEPLOYMENT, "recreate", {})
        world.finish("honest")
        for number, (how, moment) in enumerate(zip(hows[:2], moments, strict=True)):
            world.release = release(f"{3 + number}.0.0", names)
            world.begin(OTHER, *how)
            for _ in range(moment):
                if world.orders and not world.state.ended:
                    world.deliver_order(0, "done", keep=False)
                    world.deliver_report(0, keep=False)
                elif not world.state.ended:
                    world.sleep_until_due()
                    world.fire_timers()
            world.abort()
            world.break_down(cycle(broken))
        world.release = release("2.0.0" if back else "9.0.0", names)
        world.begin(THIRD, *hows[2])
    except Refused:
        reject()
    world.finish("honest")
    event(f"end {world.state.phase}")
    assert world.state.phase in (DeploymentPhase.SUCCEEDED, DeploymentPhase.ROLLED_BACK), (
        "nobody promotes: a pause may end it"
    )
    world.check_end()
    world.deliver_leftovers()


@settings(max_examples=times(200), suppress_health_check=list(HealthCheck))
@given(world=worlds(), how=strategies, moment=st.integers(0, 25), which=st.integers(0, 3))
def test_a_candidate_that_is_not_well_when_it_is_asked_again_never_succeeds_and_the_old_version_serves_again(
    world: World, how: How, moment: int, which: int
) -> None:
    """Found healthy or not yet, at any moment; `World` asserts that it gets no larger share from then on."""
    try:
        world.begin(DEPLOYMENT, *how)
    except Refused:
        reject()
    for _ in range(moment):
        if world.state.ended:
            reject()
        if world.orders:
            world.deliver_order(0, "done", keep=False)
        elif world.reports:
            world.deliver_report(0, keep=False)
        else:
            world.promote(None, full=False)
    candidates = [b for b in world.bindings if b.candidate and b.candidate_slot != b.stable_slot]
    if not candidates or world.state.ended:
        reject()
    bound = candidates[which % len(candidates)]
    seat = world.seats[bound.target, bound.component]
    assume(seat.replicas(bound.candidate_slot) > 0 and seat.weights.get(bound.candidate_slot) != 100)
    seat.ill.add(bound.candidate_slot)
    questions = world.questions

    world.finish("honest")

    event(f"end {world.state.phase}")
    if world.state.phase is DeploymentPhase.SUCCEEDED:
        assert world.questions == questions, "the last question was answered before it fell ill"
        return
    reversible = world.state.plan is None or world.state.plan.reversible
    elsewhere = past_no_return(world.state)  # what it replaces elsewhere had begun to go, so that there was no way back
    assert world.state.phase is (
        DeploymentPhase.ROLLED_BACK if reversible and not elsewhere else DeploymentPhase.HALTED
    )
    world.check_end()


Wrong = st.sampled_from(["abort", "promote", "promote in full", *FATES])


@settings(max_examples=times(350), suppress_health_check=list(HealthCheck))
@given(
    world=worlds(),
    how=strategies,
    verb=st.sampled_from(["provision", "await_healthy", "route", "retire"]),
    moment=st.integers(0, 8),
    wrong=st.lists(Wrong, min_size=1, max_size=4),
    chance=st.randoms(use_true_random=False),
)
def test_whatever_goes_wrong_at_one_moment_the_end_keeps_its_promise(
    world: World, how: How, verb: str, moment: int, wrong: list[str], chance: Random
) -> None:
    """From the nth order of a kind on, one thing after another goes wrong; then all goes well again."""
    try:
        world.begin(DEPLOYMENT, *how)
    except Refused:
        reject()
    while wrong and not world.state.ended:
        if world.orders:
            which = chance.randrange(len(world.orders))
            moment -= world.orders[which].action.verb == verb
            what = wrong.pop(0) if moment < 0 else "done"
            if what == "abort":
                world.abort()
            elif what.startswith("promote"):
                world.promote(None, full=what == "promote in full")
            else:
                world.deliver_order(which, cast(Fate, what), keep=moment < 0 and chance.random() < 0.3)
        elif not world.reports:
            world.sleep_until_due()
            world.fire_timers()
        while world.reports and chance.random() < 0.8:
            world.deliver_report(chance.randrange(len(world.reports)), keep=False)
        world.check()
    world.finish("honest")
    event(f"end {world.state.phase}")
    assert world.state.phase is not DeploymentPhase.ROLLBACK_FAILED
    world.check_end()
    world.deliver_leftovers()


@settings(max_examples=times(120), suppress_health_check=list(HealthCheck))
@given(world=worlds(), options=rolling_options, moment=st.integers(0, 12))
def test_promoted_in_full_at_any_moment_the_traffic_still_leaves_before_the_old_version_shrinks(
    world: World, options: dict[str, JsonValue], moment: int
) -> None:
    try:
        world.begin(DEPLOYMENT, "rolling", options)
    except Refused:
        reject()
    for _ in range(moment):
        if world.orders:
            world.deliver_order(0, "done", keep=False)
            world.deliver_report(0, keep=False)
    world.promote(None, full=True)
    world.finish("honest")
    assert world.state.phase is DeploymentPhase.SUCCEEDED
    world.check_end()


@settings(max_examples=times(300), suppress_health_check=list(HealthCheck))
@given(
    world=worlds(),
    how=strategies,
    ill=st.booleans(),
    which=st.integers(0, 3),
    aborted=st.none() | st.integers(0, 12),
)
def test_every_bake_ends_early_while_the_next_one_waits_and_the_end_keeps_its_promise(
    world: World, how: How, ill: bool, which: int, aborted: int | None
) -> None:
    """`ill`: a new version falls ill in the bake; then all goes back. `aborted` is the turn in which somebody aborts.

    `World` asserts that the old version has no traffic then, and does not go while the new one is ill.
    """
    try:
        world.begin(DEPLOYMENT, *how)
    except Refused:
        reject()
    early, falls_ill, turn = 0, ill, 0
    while not world.state.ended:
        comes = [b for b in world.bindings if b.candidate and (b.target, b.component) not in world.stays]
        if falls_ill and comes and world.state.phase is DeploymentPhase.BAKING:
            bound = comes[which % len(comes)]
            world.seats[bound.target, bound.component].ill.add(bound.candidate_slot)
            falls_ill = False
        early += world.the_next_one_waits()
        if turn == aborted:
            world.abort()
        if world.orders:
            world.deliver_order(0, "done", keep=False)
            world.deliver_report(0, keep=False)
        elif world.state.phase is DeploymentPhase.PAUSED:
            world.promote(None, full=False)
        world.check()
        turn += 1
    event(f"end {world.state.phase}, {early} ended early")
    baked = sum(isinstance(fact, DeploymentPaused) and fact.baking for fact in world.log)
    assert early == baked or aborted is not None, "nothing waited for the time to pass"
    fell_ill = ill and not falls_ill
    if aborted is None:
        reversible = world.state.plan is None or world.state.plan.reversible
        back = DeploymentPhase.ROLLED_BACK if reversible else DeploymentPhase.HALTED
        assert world.state.phase is (back if fell_ill else DeploymentPhase.SUCCEEDED)
    world.check_end()
    world.deliver_leftovers()
