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
    report_step,
)
from tests.domain.deployment_model import Simulation
from tests.domain.scenarios import (
    rolling_options,
    strategies,
    worlds,
)
from tests.domain.simulated_executor import FATES, Fate
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

    `Simulation.give` asserts the laws of every decision, `SimulatedExecutor` those of every order.
    """

    simulation: Simulation

    @initialize(simulation=worlds(), how=strategies)
    def begin(self, simulation: Simulation, how: How) -> None:
        self.simulation = simulation
        self.ids = [THIRD, OTHER, DEPLOYMENT]
        self._start(how)

    def _start(self, how: How) -> None:
        strategy, options = how
        try:
            self.simulation.begin(self.ids.pop(), strategy, options)
        except Refused:
            self.simulation.begin(OTHER, "recreate", {})
        event(f"strategy {strategy}")

    @precondition(lambda self: self.simulation.orders)
    @rule(which=st.integers(0, 50), fate=st.sampled_from(("done", "done", *FATES)), keep=st.booleans())
    def an_order_is_taken(self, which: int, fate: Fate, keep: bool) -> None:
        self.simulation.deliver_order(which % len(self.simulation.orders), fate, keep)

    @precondition(lambda self: self.simulation.orders)
    @rule(turns=st.integers(1, 12))
    def all_goes_well_for_a_while(self, turns: int) -> None:
        for _ in range(turns):
            self.simulation.work()
            if not self.simulation.state.ended:
                self.simulation.sleep_until_due()
                self.simulation.fire_timers()

    @precondition(lambda self: self.simulation.orders)
    @rule(which=st.integers(0, 50))
    def an_order_is_lost(self, which: int) -> None:
        self.simulation.orders.pop(which % len(self.simulation.orders))

    @precondition(lambda self: self.simulation.reports)
    @rule(which=st.integers(0, 50), keep=st.booleans())
    def a_report_arrives(self, which: int, keep: bool) -> None:
        self.simulation.deliver_report(which % len(self.simulation.reports), keep)

    @precondition(lambda self: self.simulation.reports)
    @rule(which=st.integers(0, 50))
    def a_report_is_lost(self, which: int) -> None:
        self.simulation.reports.pop(which % len(self.simulation.reports))

    @rule()
    def executors_look(self) -> None:
        self.simulation.look()

    @rule(which=st.integers(0, 7))
    def a_slot_falls_ill_or_is_well_again(self, which: int) -> None:
        self.simulation.fall_ill(which)

    @rule(seconds=st.sampled_from([0.5, 10, 60, 300]))
    def time_passes(self, seconds: float) -> None:
        self.simulation.pass_time(seconds)

    @rule()
    def timers_fire(self) -> None:
        self.simulation.fire_timers()

    @precondition(lambda self: not self.simulation.state.ended and self.simulation.due())
    @rule()
    def time_passes_until_a_timer_is_due(self) -> None:
        self.simulation.sleep_until_due()
        self.simulation.fire_timers()

    @rule(step=st.none() | st.integers(0, 12))
    def somebody_promotes(self, step: int | None) -> None:
        self.simulation.promote(step, full=False)

    @rule()
    def somebody_promotes_in_full(self) -> None:
        self.simulation.promote(None, full=True)

    @rule()
    def the_next_one_waits_for_its_places(self) -> None:
        self.simulation.the_next_one_waits()

    @precondition(lambda self: not self.simulation.state.ended)
    @rule(broken=st.lists(st.sampled_from(BROKEN), min_size=1, max_size=4))
    def nothing_works_any_more_until_it_ends(self, broken: list[Fate]) -> None:
        self.simulation.break_down(cycle(broken))

    @precondition(lambda self: self.simulation.orders)
    @rule()
    def a_foreign_report_arrives(self) -> None:
        order = self.simulation.orders[-1]
        self.simulation.reports.append(
            report_step(order.step, leg=order.leg, attempt=order.attempt, deployment=FOREIGN)
        )
        self.simulation.deliver_report(-1, keep=False)

    @precondition(lambda self: self.simulation.state.ended or len(self.simulation.log) > 4)
    @rule()
    def somebody_aborts(self) -> None:
        self.simulation.abort()

    @precondition(lambda self: self.simulation.state.ended and self.simulation.can_go_on and self.ids)
    @rule(how=strategies)
    def the_next_release_is_deployed(self, how: How) -> None:
        """While orders and reports of the one before are still under way, however it ended."""
        self.simulation.check_end()
        self.simulation.release = release(
            f"{5 - len(self.ids)}.0.0", [c.name for c in self.simulation.release.components]
        )
        self._start(how)

    @invariant()
    def the_world_is_sound(self) -> None:
        if hasattr(self, "world"):
            self.simulation.check()

    def teardown(self) -> None:
        if not hasattr(self, "world") or self.simulation.state.phase is DeploymentPhase.ABSENT:
            return
        simulation = self.simulation
        simulation.finish("dead" if len(simulation.log) % 3 == 0 else "honest")
        event(f"end {simulation.state.phase}")
        assert simulation.state.phase in ENDS_BY_ITSELF
        simulation.check_end()
        simulation.deliver_leftovers()
        simulation.check()


pytestmark = pytest.mark.timeout(600 + times(600))  # they only compute, and beside other runs for long
TestDeploymentMachine = DeploymentMachine.TestCase
TestDeploymentMachine.settings = settings(
    max_examples=times(200),
    stateful_step_count=25,
    suppress_health_check=list(HealthCheck),
)


@settings(max_examples=times(400), suppress_health_check=list(HealthCheck))
@given(
    simulation=worlds(),
    hows=st.lists(strategies, min_size=3, max_size=3),
    moments=st.lists(st.integers(0, 14), min_size=2, max_size=2),
    broken=st.lists(st.sampled_from(BROKEN), min_size=1, max_size=5),
    back=st.booleans(),
)
def test_after_a_failed_way_back_nothing_is_replaced_while_it_has_traffic(
    simulation: Simulation, hows: list[How], moments: list[int], broken: list[Fate], back: bool
) -> None:
    """`Simulation` asserts it of every order, and of every end what it promises.

    The first deployment goes well, the second and perhaps the third break down on their way, the last goes well again;
    `back`: it brings the version that served first.
    """
    names = [component.name for component in simulation.release.components]
    assume(all(target.reversible for target in simulation.environment.targets.values()))
    try:
        simulation.begin(DEPLOYMENT, "recreate", {})
        simulation.finish("honest")
        for number, (how, moment) in enumerate(zip(hows[:2], moments, strict=True)):
            simulation.release = release(f"{3 + number}.0.0", names)
            simulation.begin(OTHER, *how)
            for _ in range(moment):
                if simulation.orders and not simulation.state.ended:
                    simulation.deliver_order(0, "done", keep=False)
                    simulation.deliver_report(0, keep=False)
                elif not simulation.state.ended:
                    simulation.sleep_until_due()
                    simulation.fire_timers()
            simulation.abort()
            simulation.break_down(cycle(broken))
        simulation.release = release("2.0.0" if back else "9.0.0", names)
        simulation.begin(THIRD, *hows[2])
    except Refused:
        reject()
    simulation.finish("honest")
    event(f"end {simulation.state.phase}")
    assert simulation.state.phase in (DeploymentPhase.SUCCEEDED, DeploymentPhase.ROLLED_BACK), (
        "nobody promotes: a pause may end it"
    )
    simulation.check_end()
    simulation.deliver_leftovers()


@settings(max_examples=times(200), suppress_health_check=list(HealthCheck))
@given(simulation=worlds(), how=strategies, moment=st.integers(0, 25), which=st.integers(0, 3))
def test_a_candidate_that_is_not_well_when_it_is_asked_again_never_succeeds_and_the_old_version_serves_again(
    simulation: Simulation, how: How, moment: int, which: int
) -> None:
    """Found healthy or not yet, at any moment; `Simulation` asserts that it gets no larger share from then on."""
    try:
        simulation.begin(DEPLOYMENT, *how)
    except Refused:
        reject()
    for _ in range(moment):
        if simulation.state.ended:
            reject()
        if simulation.orders:
            simulation.deliver_order(0, "done", keep=False)
        elif simulation.reports:
            simulation.deliver_report(0, keep=False)
        else:
            simulation.promote(None, full=False)
    candidates = [b for b in simulation.bindings if b.candidate and b.candidate_slot != b.stable_slot]
    if not candidates or simulation.state.ended:
        reject()
    bound = candidates[which % len(candidates)]
    simulated_executor = simulation.simulated_executors[bound.target, bound.component]
    assume(
        simulated_executor.replicas(bound.candidate_slot) > 0
        and simulated_executor.weights.get(bound.candidate_slot) != 100
    )
    simulated_executor.ill.add(bound.candidate_slot)
    questions = simulation.questions

    simulation.finish("honest")

    event(f"end {simulation.state.phase}")
    if simulation.state.phase is DeploymentPhase.SUCCEEDED:
        assert simulation.questions == questions, "the last question was answered before it fell ill"
        return
    reversible = simulation.state.plan is None or simulation.state.plan.reversible
    elsewhere = past_no_return(
        simulation.state
    )  # what it replaces elsewhere had begun to go, so that there was no way back
    assert simulation.state.phase is (
        DeploymentPhase.ROLLED_BACK if reversible and not elsewhere else DeploymentPhase.HALTED
    )
    simulation.check_end()


Wrong = st.sampled_from(["abort", "promote", "promote in full", *FATES])


@settings(max_examples=times(350), suppress_health_check=list(HealthCheck))
@given(
    simulation=worlds(),
    how=strategies,
    verb=st.sampled_from(["provision", "await_healthy", "route", "retire"]),
    moment=st.integers(0, 8),
    wrong=st.lists(Wrong, min_size=1, max_size=4),
    chance=st.randoms(use_true_random=False),
)
def test_whatever_goes_wrong_at_one_moment_the_end_keeps_its_promise(
    simulation: Simulation, how: How, verb: str, moment: int, wrong: list[str], chance: Random
) -> None:
    """From the nth order of a kind on, one thing after another goes wrong; then all goes well again."""
    try:
        simulation.begin(DEPLOYMENT, *how)
    except Refused:
        reject()
    while wrong and not simulation.state.ended:
        if simulation.orders:
            which = chance.randrange(len(simulation.orders))
            moment -= simulation.orders[which].action.verb == verb
            what = wrong.pop(0) if moment < 0 else "done"
            if what == "abort":
                simulation.abort()
            elif what.startswith("promote"):
                simulation.promote(None, full=what == "promote in full")
            else:
                simulation.deliver_order(which, cast(Fate, what), keep=moment < 0 and chance.random() < 0.3)
        elif not simulation.reports:
            simulation.sleep_until_due()
            simulation.fire_timers()
        while simulation.reports and chance.random() < 0.8:
            simulation.deliver_report(chance.randrange(len(simulation.reports)), keep=False)
        simulation.check()
    simulation.finish("honest")
    event(f"end {simulation.state.phase}")
    assert simulation.state.phase is not DeploymentPhase.ROLLBACK_FAILED
    simulation.check_end()
    simulation.deliver_leftovers()


@settings(max_examples=times(120), suppress_health_check=list(HealthCheck))
@given(simulation=worlds(), options=rolling_options, moment=st.integers(0, 12))
def test_promoted_in_full_at_any_moment_the_traffic_still_leaves_before_the_old_version_shrinks(
    simulation: Simulation, options: dict[str, JsonValue], moment: int
) -> None:
    try:
        simulation.begin(DEPLOYMENT, "rolling", options)
    except Refused:
        reject()
    for _ in range(moment):
        if simulation.orders:
            simulation.deliver_order(0, "done", keep=False)
            simulation.deliver_report(0, keep=False)
    simulation.promote(None, full=True)
    simulation.finish("honest")
    assert simulation.state.phase is DeploymentPhase.SUCCEEDED
    simulation.check_end()


@settings(max_examples=times(300), suppress_health_check=list(HealthCheck))
@given(
    simulation=worlds(),
    how=strategies,
    ill=st.booleans(),
    which=st.integers(0, 3),
    aborted=st.none() | st.integers(0, 12),
)
def test_every_bake_ends_early_while_the_next_one_waits_and_the_end_keeps_its_promise(
    simulation: Simulation, how: How, ill: bool, which: int, aborted: int | None
) -> None:
    """`ill`: a new version falls ill in the bake; then all goes back. `aborted` is the turn in which somebody aborts.

    `Simulation` asserts that the old version has no traffic then, and does not go while the new one is ill.
    """
    try:
        simulation.begin(DEPLOYMENT, *how)
    except Refused:
        reject()
    early, falls_ill, turn = 0, ill, 0
    while not simulation.state.ended:
        comes = [b for b in simulation.bindings if b.candidate and (b.target, b.component) not in simulation.stays]
        if falls_ill and comes and simulation.state.phase is DeploymentPhase.BAKING:
            bound = comes[which % len(comes)]
            simulation.simulated_executors[bound.target, bound.component].ill.add(bound.candidate_slot)
            falls_ill = False
        early += simulation.the_next_one_waits()
        if turn == aborted:
            simulation.abort()
        if simulation.orders:
            simulation.deliver_order(0, "done", keep=False)
            simulation.deliver_report(0, keep=False)
        elif simulation.state.phase is DeploymentPhase.PAUSED:
            simulation.promote(None, full=False)
        simulation.check()
        turn += 1
    event(f"end {simulation.state.phase}, {early} ended early")
    baked = sum(isinstance(fact, DeploymentPaused) and fact.baking for fact in simulation.log)
    assert early == baked or aborted is not None, "nothing waited for the time to pass"
    fell_ill = ill and not falls_ill
    if aborted is None:
        reversible = simulation.state.plan is None or simulation.state.plan.reversible
        back = DeploymentPhase.ROLLED_BACK if reversible else DeploymentPhase.HALTED
        assert simulation.state.phase is (back if fell_ill else DeploymentPhase.SUCCEEDED)
    simulation.check_end()
    simulation.deliver_leftovers()
