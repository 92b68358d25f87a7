"""A simulated world of executors, and the one deployment that is driven through it.

Each component at a place has a `SimulatedExecutor`: its slots, its traffic, and the highest fence that it has seen.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import JsonValue

from release_management.domain.condition import SeenSlot
from release_management.domain.deployment.commands import (
    Abort,
    Expire,
    ExpireStep,
    ReportStep,
    Resume,
    RetryStep,
)
from release_management.domain.deployment.commands import Promote as PromoteDeployment
from release_management.domain.deployment.decide import (
    DeploymentCommand,
    EndBake,
    NoticeCondition,
    Start,
)
from release_management.domain.deployment.effects import doubts, effects
from release_management.domain.deployment.events import (
    DeploymentAborting,
    DeploymentEvent,
    DeploymentHalted,
    DeploymentPlanned,
    DeploymentRequested,
    DeploymentStepStarted,
    DeploymentStepSucceeded,
)
from release_management.domain.deployment.state import (
    Deployment,
    DeploymentPhase,
    bake,
    evolve,
    past_no_return,
    step_at,
)
from release_management.domain.deployment.steps import StepStatus
from release_management.domain.environment import Environment
from release_management.domain.orders import Order, Report
from release_management.domain.place import Place
from release_management.domain.place import evolve as evolve_place
from release_management.domain.place_component import ComponentStatus
from release_management.domain.plan import Binding
from release_management.domain.plan.planning import draft
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.promote import Promote
from release_management.domain.plan.steps.provision import Provision
from release_management.domain.plan.strategies import StrategyName
from release_management.domain.release import Release
from release_management.kernel.record import timestamp
from release_management.kernel.types import NotYet, Refused
from tests.domain.build import (
    ANN,
    DEPLOYMENT,
    NOW,
    OTHER,
    on,
)
from tests.domain.simulated_executor import Fate, SimulatedExecutor

PlaceKey = tuple[str, str]
MAX_TURNS = 3000
START = datetime.fromisoformat(NOW)


@dataclass
class Simulation:
    """Everything outside the deployment's own state: the log's positions, the clock, orders and reports under way."""

    release: Release
    environment: Environment
    places: dict[str, Place]
    simulated_executors: dict[PlaceKey, SimulatedExecutor]
    position: int = 0
    clock: datetime = START
    state: Deployment = field(default_factory=Deployment)
    bindings: tuple[Binding, ...] = ()
    log: list[DeploymentEvent] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    reports: list[ReportStep] = field(default_factory=list)
    routable: dict[PlaceKey, bool] = field(default_factory=dict)
    stood: dict[PlaceKey, int] = field(default_factory=dict)
    states: bool = True
    wanted: dict[PlaceKey, int] = field(default_factory=dict)
    found: dict[tuple[str, str, str], bool] = field(default_factory=dict)
    questions: int = 0

    @property
    def now(self) -> str:
        return timestamp(self.clock)

    @property
    def can_go_on(self) -> bool:
        """True if the rest of the deployment can be repaired; past the point of no return a person has to look."""
        return self.state.phase is not DeploymentPhase.HALTED or (
            self.state.plan is not None and self.state.plan.reversible
        )

    # One deployment

    def begin(self, id: str, strategy: StrategyName, options: dict[str, JsonValue]) -> None:
        """Plan and start a deployment against what stands. Raises `Refused` where the targets cannot."""
        drafted = draft(self.release, self.environment, self.places, strategy, options)
        self.bindings = drafted.bindings
        brought = {
            (step.target, step.component)
            for step in drafted.plan.forward
            if isinstance(step, Provision) and step.role == "candidate"
        }
        self.stays = {(binding.target, binding.component) for binding in drafted.bindings} - brought
        self.state = Deployment()
        self.log = []
        self.found = {}
        for binding in drafted.bindings:
            key = (binding.target, binding.component)
            status = self.places[binding.target].components.get(binding.component, ComponentStatus())
            before = [
                step.replicas
                for step in drafted.plan.rollback
                if isinstance(step, Provision) and step.role == "stable" and (step.target, step.component) == key
            ]
            self.stood[key] = before[0] if before else status.serving.replicas if status.serving else 0
            self.wanted[key] = binding.replicas
            self.routable[key] = self.environment.targets[binding.target].routes != "none"
            known = key in self.simulated_executors
            simulated_executor = self.simulated_executors.setdefault(key, SimulatedExecutor(states=self.states))
            if status.serving is not None and status.stable is not None and not known:
                simulated_executor.running = {status.stable: (status.serving.content.version, status.serving.replicas)}
                simulated_executor.weights = {status.stable: 100} if self.routable[key] else {}
        self._record(
            [
                DeploymentPlanned(
                    deployment=id,
                    release=self.release.ref,
                    application=self.release.application,
                    version=self.release.version,
                    environment=self.environment.name,
                    targets=drafted.targets,
                    strategy=strategy,
                    options=options,
                    plan=drafted.plan,
                    digest=drafted.plan.digest,
                    by=ANN,
                ),
                DeploymentRequested(by=ANN),
            ]
        )
        self.give(Start(self.bindings))

    def give(self, command: DeploymentCommand) -> list[DeploymentEvent]:
        """Decide and record; the same command again, and any command of an ended deployment, records nothing."""
        ended = self.state.ended
        facts = self._decided(command)
        assert not (ended and facts), f"an ended deployment moved: {facts}"
        state = self.state
        self._record(facts)
        again = self._decided(command)
        assert again == [], f"the same command again recorded {again}"
        for fact in facts:
            if isinstance(fact, DeploymentHalted):
                assert state.plan is not None
                assert past_no_return(state) or not state.plan.reversible, "halted where there was a way back"
            if isinstance(fact, DeploymentAborting):
                assert not past_no_return(state), "went back after the old version had begun to go"
            state = evolve(state, fact)
        return facts

    def _decided(self, command: DeploymentCommand) -> list[DeploymentEvent]:
        """What the command leads to; nothing where it is refused or too early."""
        decided = on(self.state).when(command, now=self.now).decided
        return [] if isinstance(decided, Refused | NotYet) else list(decided)

    def _record(self, facts: Iterable[DeploymentEvent]) -> None:
        for fact in facts:
            self.position += 1
            self.log.append(fact)
            self.state = evolve(self.state, fact)
            if isinstance(fact, DeploymentStepStarted):
                self.orders.append(self._order(fact))
            elif isinstance(fact, DeploymentStepSucceeded):
                step = step_at(self.state, fact.leg, fact.step)
                if isinstance(step, Promote) and step.role == "candidate":
                    self._check_found_well()
            left = doubts(self.state) if self.state.ended else ()
            for target, effect in (*effects(self.state, fact), *left):
                self.places[target] = evolve_place(self.places[target], effect)

    def _check_found_well(self) -> None:
        """Every candidate that runs was well when it was asked last."""
        for (target, component, slot), well in self.found.items():
            binding = self.state.binding(target, component)
            if binding is not None and binding.candidate_slot == slot:
                assert well, f"{component} on {target} was not well when it was asked last"

    def _order(self, fact: DeploymentStepStarted) -> Order:
        return Order(
            deployment=self.state.id,
            leg=fact.leg,
            step=fact.step,
            attempt=fact.attempt,
            fence=self.position,
            executor=fact.executor,
            environment=fact.environment,
            application=fact.application,
            target=fact.target,
            component=fact.component,
            action=fact.action,
            deadline=fact.deadline,
        )

    # What may happen

    def deliver_order(self, index: int, fate: Fate, keep: bool) -> None:
        """An executor takes an order; `keep`: it comes again later."""
        order = self.orders[index] if keep else self.orders.pop(index)
        simulated_executor = self.simulated_executors[order.target, order.component]
        fresh, before = (
            order.fence > simulated_executor.fence,
            (dict(simulated_executor.weights), dict(simulated_executor.running)),
        )
        report = simulated_executor.execute(order, fate, self.now)
        if fresh:
            self._note_what_was_asked(order, report)
        if before != (simulated_executor.weights, simulated_executor.running):
            self._check_effect(order, simulated_executor, *before)
        self.reports.append(report)

    def _note_what_was_asked(self, order: Order, report: Report) -> None:
        asked = {order.action.slot} if isinstance(order.action, AwaitSlotHealthy) else set(order.action.must_be_well)
        self.questions += len(asked)
        for slot in asked:
            self.found[order.target, order.component, slot] = report.result == "succeeded"

    def _check_effect(
        self,
        order: Order,
        simulated_executor: SimulatedExecutor,
        weights: Mapping[str, int],
        running: Mapping[str, Any],
    ) -> None:
        """Check that an ill slot gets no larger share as candidate, nor all traffic, and is not the only one left."""
        binding = self.state.binding(order.target, order.component)
        if binding is None or order.deployment != self.state.id:
            return
        candidate = binding.candidate_slot
        for slot, share in simulated_executor.weights.items():
            if share > weights.get(slot, 0) and (share == 100 or slot == candidate):
                assert slot not in simulated_executor.ill, (
                    f"{slot} gets {share} % and is not well: {simulated_executor}"
                )
        gone = set(running) - set(simulated_executor.running)
        if self.state.promoted and order.leg == "forward" and binding.candidate and binding.stable:
            assert binding.stable_slot not in gone or candidate not in simulated_executor.ill, (
                f"only the ill one is left: {simulated_executor}"
            )

    def look(self) -> None:
        """The executors look at everything; a candidate that was found healthy and is not well is gone back from."""
        for (target, component), simulated_executor in self.simulated_executors.items():
            slots = [
                SeenSlot(
                    slot=slot,
                    version=version,
                    condition="down" if slot in simulated_executor.ill else "well",
                    wanted=replicas,
                    running=replicas,
                    healthy=0 if slot in simulated_executor.ill else replicas,
                )
                for slot, (version, replicas) in simulated_executor.running.items()
            ]
            self.give(NoticeCondition(target, component, slots))
        if self.state.phase in (DeploymentPhase.PAUSED, DeploymentPhase.BAKING):
            for bound in self.bindings:
                ill = self.simulated_executors[bound.target, bound.component].ill
                assert bound.candidate is None or bound.candidate_slot not in ill, "it waits beside what is not well"

    def fall_ill(self, which: int) -> None:
        """Make a slot's instances unhealthy, or healthy again."""
        stands = [
            (simulated_executor, slot)
            for simulated_executor in self.simulated_executors.values()
            for slot in simulated_executor.running
        ]
        if stands:
            simulated_executor, slot = stands[which % len(stands)]
            simulated_executor.ill ^= {slot}

    def deliver_report(self, index: int, keep: bool) -> None:
        """A report arrives; `keep`: it comes again later."""
        report = self.reports[index] if keep else self.reports.pop(index)
        step = self.state.steps.get((report.leg, report.step))
        current = step is not None and step.status is StepStatus.STARTED and step.attempt == report.attempt
        facts = self.give(report)
        if report.deployment != self.state.id or not current:
            assert facts == [], f"a stale or foreign report recorded {facts}"

    def due(self) -> list[str]:
        """The times at which a timer is to fire."""
        leg = self.state.leg
        skipped = {("forward", index) for index in self.state.skipped}
        steps = [it for key, it in self.state.steps.items() if key[0] == leg and key not in skipped]
        return sorted(step.due for step in steps if step.due is not None)

    def fire_timers(self) -> None:
        """Every timer of every step, of both legs, whether its time has come or not."""
        for (leg, index), step in list(self.state.steps.items()):
            for attempt in {step.attempt, 1}:
                self.give(ExpireStep(deployment=DEPLOYMENT, leg=leg, step=index, attempt=attempt))
                self.give(RetryStep(deployment=DEPLOYMENT, leg=leg, step=index, attempt=attempt))
            self.give(Resume(deployment=DEPLOYMENT, leg=leg, step=index))
        self.give(Expire(deployment=DEPLOYMENT))

    def pass_time(self, seconds: float) -> None:
        self.clock += timedelta(seconds=seconds)

    def sleep_until_due(self) -> None:
        """The clock goes on to the next timer."""
        due = self.due()
        assert due or self.orders or self.reports, f"stuck in {self.state.phase}: nothing is due and nothing under way"
        if due:
            self.clock = max(self.clock, datetime.fromisoformat(due[0]))

    def abort(self) -> None:
        self.give(Abort(deployment=DEPLOYMENT, reason="stop"))

    def the_next_one_waits(self) -> bool:
        """Another deployment waits for nothing but these places; whether a bake has ended for it."""
        baking = bake(self.state)
        if baking is not None and self.state.leg == "forward":
            self._check_only_kept()
        facts = self.give(EndBake(OTHER))
        assert bool(facts) == (baking is not None), "nothing but a bake ends early"
        return bool(facts)

    def _check_only_kept(self) -> None:
        """In the bake, what is replaced has no traffic any more."""
        for binding in self.bindings:
            simulated_executor = self.simulated_executors[binding.target, binding.component]
            replaced = binding.stable_slot not in (None, binding.candidate_slot)
            if binding.candidate is not None and replaced and (binding.target, binding.component) not in self.stays:
                assert not simulated_executor.weights.get(str(binding.stable_slot)), (
                    f"it bakes while both have traffic: {simulated_executor}"
                )

    def promote(self, step: int | None, full: bool) -> None:
        if step is None and not full:
            waiting = [index for (leg, index), known in self.state.steps.items() if known.status is StepStatus.WAITING]
            step = waiting[-1] if waiting else None
        self.give(PromoteDeployment(deployment=DEPLOYMENT, step=step, full=full))

    # To the end

    def finish(self, executors: Literal["honest", "dead"]) -> None:
        """Time goes on until it ends; the executors do and say everything, or nothing at all."""
        for _ in range(MAX_TURNS):
            if executors == "honest":
                self.work()
            if self.state.ended:
                return
            self.sleep_until_due()
            self.fire_timers()
        raise AssertionError(f"no end after {MAX_TURNS} turns: {self.state.phase}")

    def break_down(self, fates: Iterator[Fate]) -> None:
        """Time goes on until it ends, while no order is done as it should be."""
        for _ in range(MAX_TURNS):
            while self.orders and not self.state.ended:
                self.deliver_order(0, next(fates), keep=False)
            while self.reports and not self.state.ended:
                self.deliver_report(0, keep=False)
            if self.state.ended:
                return
            self.sleep_until_due()
            self.fire_timers()
        raise AssertionError(f"no end after {MAX_TURNS} turns: {self.state.phase}")

    def work(self) -> None:
        """All orders are done and reported, and those that follow, until nothing is under way."""
        while self.orders or self.reports:
            while self.orders:
                self.deliver_order(0, "done", keep=False)
            while self.reports:
                self.deliver_report(0, keep=False)

    def deliver_leftovers(self) -> None:
        """Deliver reports after the end; they change nothing."""
        before = self._visible()
        ended = self.state.phase in (DeploymentPhase.SUCCEEDED, DeploymentPhase.ROLLED_BACK)
        while self.orders:
            self.deliver_order(0, "done", keep=False)
        while self.reports:
            self.deliver_report(0, keep=False)
        if ended:
            assert self._visible() == before, "an order took effect after the end"

    def _visible(self) -> list[tuple[dict[str, tuple[str, int]], dict[str, int]]]:
        return [
            (dict(simulated_executor.running), dict(simulated_executor.weights))
            for simulated_executor in self.simulated_executors.values()
        ]

    # The laws of an end

    def check(self) -> None:
        for simulated_executor in self.simulated_executors.values():
            simulated_executor.check()

    def check_end(self) -> None:
        """Check the world after the end."""
        if self.state.phase is DeploymentPhase.SUCCEEDED:
            self._check_found_well()
        for binding in self.bindings:
            key = (binding.target, binding.component)
            simulated_executor = self.simulated_executors[key]
            if self.state.phase is DeploymentPhase.SUCCEEDED and binding.candidate is None:
                assert simulated_executor.running == {}, f"it was given up: {simulated_executor}"
                assert sum(simulated_executor.weights.values()) == 0
            elif self.state.phase is DeploymentPhase.SUCCEEDED and key in self.stays and binding.stable_slot:
                assert binding.candidate is not None
                self._serves(simulated_executor, key, binding.stable_slot, binding.candidate.version, self.wanted[key])
                assert (
                    binding.candidate_slot == binding.stable_slot
                    or binding.candidate_slot not in simulated_executor.running
                )
            elif self.state.phase is DeploymentPhase.SUCCEEDED:
                assert binding.candidate is not None
                self._serves(
                    simulated_executor, key, binding.candidate_slot, binding.candidate.version, self.wanted[key]
                )
                if binding.stable_slot not in (None, binding.candidate_slot):
                    assert binding.stable_slot not in simulated_executor.running
            elif self.state.phase is DeploymentPhase.ROLLED_BACK and binding.stable_slot and binding.stable:
                self._serves(simulated_executor, key, binding.stable_slot, binding.stable.version, self.stood[key])
                if binding.stable_slot != binding.candidate_slot:
                    assert binding.candidate_slot not in simulated_executor.running
            elif self.state.phase is DeploymentPhase.ROLLED_BACK:
                assert sum(simulated_executor.weights.values()) == 0
                assert self.places[binding.target].components[binding.component].serving is None
                assert binding.candidate_slot not in simulated_executor.running

    def _serves(
        self, simulated_executor: SimulatedExecutor, key: PlaceKey, slot: str, version: str, replicas: int
    ) -> None:
        assert (simulated_executor.version(slot), simulated_executor.replicas(slot)) == (version, replicas), (
            f"{slot}: {simulated_executor}"
        )
        status = self.places[key[0]].components[key[1]]
        assert status.stable == slot
        assert status.serving is not None
        assert (status.serving.content.version, status.serving.replicas) == (version, replicas)
        if self.routable[key]:
            assert simulated_executor.weights.get(slot) == 100, f"{slot}: {simulated_executor}"
