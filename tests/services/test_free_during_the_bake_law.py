"""Of many histories: nobody waits for a bake who waits for nothing else, and no bake ends early for anybody else."""

from collections.abc import Iterator
from itertools import count
from typing import Any, cast

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from release_management.domain.deployment.state import (
    Deployment,
    DeploymentPhase,
    bake,
)
from release_management.domain.place import PLACE, Place
from tests.profiles import times
from tests.services.gateway_harness import (
    COMMAND,
    REGISTRY,
    Follower,
    GatewayHarness,
    on_both_stores,
)

KEPT = {"scale_down_delay": 600, "abort_scale_down_delay": 600}
HOW: dict[str, dict[str, Any]] = {
    "bakes": {"strategy": "blue-green", "options": KEPT},
    "bakes not": {"strategy": "recreate"},
    "waits for a person": {"strategy": "blue-green", "options": {**KEPT, "auto_promotion": False}},
}
PARTS = {"east": "web", "west": "api"}
parts = st.sampled_from([("web",), ("api",), ("web", "api"), ("web", "api")])
which = st.integers(0, 5)
deploy = st.tuples(st.just("deploy"), parts, st.sampled_from(["bakes", "bakes", "bakes", *HOW]), st.booleans())
work = st.tuples(st.just("work"), which, st.sampled_from(["succeeded"] * 6 + ["failed"]), st.integers(1, 6))
others = st.tuples(st.sampled_from(["promote", "abort", "rollback", "orchestrate"]), which)
moves = st.one_of(deploy, work, work, others)
numbers, ports = count(1), count(10_000)


class History:
    """Deployments of one application to two places, with what an orchestrator would do of its agenda."""

    def __init__(self, harness: GatewayHarness) -> None:
        self.harness = harness
        self.application = f"shop{next(numbers)}"
        self.ids: list[str] = []
        self.versions = count(1)
        self.told: list[str] = []
        self.early = 0
        self.followed = Follower(harness)
        components = {name: {part: {"command": COMMAND, "port": next(ports)}} for name, part in PARTS.items()}
        targets = [{"name": name, "components": each} for name, each in components.items()]
        harness.do("environment.configure", {"name": self.application, "targets": targets})

    def state(self, id: str) -> Deployment:
        return cast(Deployment, self.followed.state(f"deployment:{id}"))

    def place(self, target: str) -> Place:
        return cast(Place, self.followed.state(PLACE.stream(self.application, self.application, target)))

    def ask(self, command: str, data: dict[str, Any]) -> dict[str, Any]:
        """Accepted or refused, what follows is taken in; the result."""
        outcome = self.harness.ask(command, data)
        assert outcome.status in ("accepted", "refused"), outcome
        self._take_in()
        return dict(outcome.result)

    def alive(self) -> list[str]:
        return [id for id in self.ids if not self.state(id).ended]

    def move(self, what: str, *how: Any) -> None:
        if what == "deploy":
            brings, walks, supersede = how
            self._deploy(brings, HOW[walks], supersede=supersede and len(self.alive()) > 2)
        elif what == "orchestrate":
            self.orchestrate()
        elif alive := self.alive():
            id = alive[how[0] % len(alive)]
            if what == "work":
                for _ in range(how[2]):
                    self._report(id, how[1])
            else:
                full = {"full": True} if what == "promote" else {}
                self._know(self.ask(f"deployment.{what}", {"deployment": id, **full}))

    def _deploy(self, brings: tuple[str, ...], how: dict[str, Any], *, supersede: bool) -> None:
        components = [{"name": name} for name in brings]
        version = f"{next(self.versions)}.0.0"
        release = self.harness.release(version, self.application, components=components, partial=True)
        wanted = {"release": release, "environment": self.application, "supersede": supersede, **how}
        self._know(self.ask("deployment.deploy", wanted))

    def _know(self, result: dict[str, Any]) -> None:
        id = result.get("deployment")
        if id is not None and id not in self.ids:
            self.ids.append(str(id))

    def _orders(self, id: str) -> Iterator[tuple[str, int, int]]:
        state = self.state(id)
        for index in sorted(state.open):
            step = state.steps[state.leg, index]
            if step.status.value == "started":
                yield state.leg, index, step.attempt

    def _report(self, id: str, result: str) -> bool:
        for leg, index, attempt in self._orders(id):
            self.harness.report(
                id, index, result if leg == "forward" else "succeeded", attempt, leg=leg, reason="it is"
            )
            self._take_in()
            return True
        return False

    def _take_in(self) -> None:
        """As the agenda would: whoever is named next is told to look again; and every end of a bake was right."""
        for recorded in self.followed.news():
            for read in REGISTRY.read(recorded, self.harness.log.content):
                if (told := getattr(read.fact, "next", None)) is not None:
                    self.told.append(told)
                if read.fact.NAME == "deployment.resumed" and (successor := getattr(read.fact, "successor", None)):
                    self.early += 1
                    self._check_right(successor)

    def _check_right(self, successor: str) -> None:
        """Check that a deployment that was let in waits only for places without earlier waiters, all released."""
        state = self.state(successor)
        if state.phase is not DeploymentPhase.QUEUED:
            return  # the holder has ended in the same commit, or the successor has given up since
        for target in state.targets:
            place = self.place(target)
            assert place.queue[0] == successor, f"{successor} was let in before {place.queue[0]}"
            assert place.lock is None or self.state(place.lock).successor == successor

    def orchestrate(self) -> None:
        while self.told:
            self.ask("deployment.proceed", {"deployment": self.told.pop(0)})

    def check_nobody_waits_for_a_bake(self) -> None:
        for id in self.ids:
            state = self.state(id)
            places = [self.place(target) for target in state.targets]
            first = all(place.queue[:1] == (id,) for place in places)
            if state.phase is not DeploymentPhase.QUEUED or not first or state.reverts is not None:
                continue
            holders = {place.lock for place in places if place.lock is not None}
            assert any(bake(self.state(holder)) is None for holder in holders), f"{id} waits for a bake: {places}"

    def finish(self) -> None:
        """All goes well from now on; time passes only where nobody waits."""
        for _ in range(500):
            self.orchestrate()
            self.check_nobody_waits_for_a_bake()
            alive = self.alive()
            if not alive:
                return
            if not any(self._report(id, "succeeded") for id in alive):
                paused = [id for id in alive if self.state(id).phase is DeploymentPhase.PAUSED]
                for id in paused:
                    self.ask("deployment.promote", {"deployment": id, "full": True})
                if not paused:
                    self._end_a_bake(alive)
        raise AssertionError(f"no end: {[(id, self.state(id).phase) for id in self.alive()]}")

    def _end_a_bake(self, alive: list[str]) -> None:
        baking = [(id, state, index) for id in alive if (index := bake(state := self.state(id))) is not None]
        assert baking, f"nothing goes on: {[(id, self.state(id).phase) for id in alive]}"
        self.harness.clock.advance(600)
        for id, state, index in baking:
            self.ask("deployment.resume", {"deployment": id, "leg": state.leg, "step": index})


@on_both_stores
@settings(max_examples=times(10), suppress_health_check=list(HealthCheck))
@given(made=st.lists(moves, min_size=15, max_size=40))
def test_whatever_happens_nobody_waits_for_a_bake_who_waits_for_nothing_else(
    harness: GatewayHarness, made: list[tuple[Any, ...]]
) -> None:
    history = History(harness)
    history.move("deploy", ("web", "api"), "bakes not", False)
    history.finish()

    for move in made:
        history.move(*move)
    history.finish()

    event(f"{min(history.early, 5)} bakes ended early")
