"""Builds the steps of a plan, wave by wave, for each component on each target (a rollout target)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from release_management.domain.plan import AnyStep, Role
from release_management.domain.plan.options import Options
from release_management.domain.plan.steps.await_healthy import AwaitHealthy
from release_management.domain.plan.steps.pause import Pause
from release_management.domain.plan.steps.promote import Promote
from release_management.domain.plan.steps.provision import Provision
from release_management.domain.plan.steps.retire import Retire
from release_management.domain.plan.steps.route import Route


@dataclass(frozen=True, slots=True)
class RolloutTarget:
    """A component at a place as the compiler sees it, with the abilities of its target.

    `replicas` should run in the end. `serving`: an earlier stable version runs now, with `before` replicas (None: with
    as many).

    `unsettled`: an earlier deployment left the place in an uncertain state, which the plan repairs first; `busy`: the
    candidate's slot may have traffic until then. `stays`: the stable version is the desired one, and only the repair is
    to be done. `left`: a version without a stable one remains, and is stopped. `leaves`: the component is given up.
    """

    target: str
    component: str
    serving: bool
    replicas: int = 1
    slots: int = 2
    routes: Literal["any", "none"] | tuple[int, ...] = "any"
    reversible: bool = True
    before: int | None = None
    unsettled: bool = False
    busy: bool = False
    stays: bool = False
    left: bool = False
    leaves: bool = False

    @property
    def stable_replicas(self) -> int:
        """The replicas of the stable version now, and again after a rollback."""
        if not self.serving:
            return 0
        return self.replicas if self.before is None else self.before


Count = Callable[[RolloutTarget], int]
"""A number for each rollout target: of replicas, or of the forward wave since which a step is needed (-1: never)."""


class PlanBuilder:
    """Builds a plan's steps wave by wave. A wave without a step is not begun.

    Steps are written for `rollouts`; `leaving` are the rollout targets whose component is given up, which come last.
    `running` counts the candidate's replicas so far: all of them must be healthy before the candidate gets traffic, and
    before the old version is stopped.

    The argument `since` is for a rollback: a rollout target whose number is -1 gets no step.
    """

    def __init__(self, rollouts: Sequence[RolloutTarget], options: Options) -> None:
        self.rollouts = rollouts
        self.leaving: Sequence[RolloutTarget] = ()
        self.options = options
        self.steps: list[AnyStep] = []
        self.running: dict[tuple[str, str], int] = {}

    @property
    def wave(self) -> int:
        """The wave that is written next."""
        return self.steps[-1].wave + 1 if self.steps else 0

    def write(self, steps: Iterable[AnyStep]) -> None:
        """Add one wave."""
        self.steps += list(steps)

    def provision(self, count: Count, role: Role = "candidate", since: Count | None = None) -> None:
        """Write a step that runs `count` replicas of the role, where that is more than 0."""
        if role == "candidate":
            self.running |= {(s.target, s.component): count(s) for s in self.rollouts if count(s)}
        self._each(
            lambda s, at: Provision(**at, role=role, replicas=count(s)) if count(s) else None,
            since,
        )

    def await_healthy(self, count: Count, role: Role = "candidate", since: Count | None = None) -> None:
        """Write a step that awaits `count` healthy replicas of the role, where that is more than 0."""
        limits: dict[str, Any] = {"min_ready": self.options.min_ready, "deadline": self.options.healthy_deadline}
        self._each(
            lambda s, at: AwaitHealthy(**at, **limits, role=role, replicas=count(s)) if count(s) else None,
            since,
        )

    def beside(self, count: Count) -> None:
        """Write the steps that run the candidate beside the stable version, and await its health."""
        self.provision(count)
        self.await_healthy(count)

    def route(self, weights: Callable[[RolloutTarget], dict[Role, int] | None], since: Count | None = None) -> None:
        """Set traffic shares where the target can; None leaves a rollout target out.

        The candidate gets a share only while it is well, and the stable version all traffic while a part of it is.
        """

        def step(rollout: RolloutTarget, at: dict[str, Any]) -> AnyStep | None:
            shares = None if rollout.routes == "none" else weights(rollout)
            if shares is None:
                return None
            healthy: dict[Role, int] = self._candidate(rollout) if shares.get("candidate") else {}
            if shares.get("stable") == 100:
                healthy = {"stable": 1}
            return Route(**at, weights=shares, healthy=healthy)

        self._each(step, since)

    def promote(self, role: Role = "candidate", since: Count | None = None) -> None:
        """Write a step that makes the role stable; for the stable role, only where it has a version."""
        self._each(lambda s, at: Promote(**at, role=role) if role == "candidate" or s.serving else None, since)

    def retire(self, role: Role, since: Count | None = None) -> None:
        """Write a step that stops the role's version.

        The stable version is stopped only where there is one, and while the candidate beside it is healthy.
        """

        def step(rollout: RolloutTarget, at: dict[str, Any]) -> AnyStep | None:
            if role == "stable" and not rollout.serving:
                return None
            return Retire(**at, role=role, healthy=self._candidate(rollout) if role == "stable" else {})

        self._each(step, since)

    def check_again(self) -> None:
        """Write a step that checks again that the candidate is healthy, unless the wave before has just checked it.

        A promotion takes no time, but of several components the others' steps before it may have taken some.
        """
        done = [step for step in self.steps if len(self.rollouts) > 1 or not isinstance(step, Promote)]
        checked = {
            (step.target, step.component)
            for step in done
            if step.wave == done[-1].wave
            and (isinstance(step, AwaitHealthy) or (isinstance(step, Route) and step.healthy))
        }
        deadline = self.options.healthy_deadline

        def step(rollout: RolloutTarget, at: dict[str, Any]) -> AnyStep | None:
            count = self.running.get((rollout.target, rollout.component))
            if count is None or (rollout.target, rollout.component) in checked:
                return None
            return AwaitHealthy(**at, role="candidate", replicas=count, deadline=deadline, again=True)

        self._each(step, None)

    def _candidate(self, rollout: RolloutTarget) -> dict[Role, int]:
        count = self.running.get((rollout.target, rollout.component))
        return {} if count is None else {"candidate": count}

    def pause(
        self,
        reason: str,
        duration: float | None,
        *,
        deadline: float = 0.0,
        baking: bool = False,
        since: int | None = None,
    ) -> None:
        """Write a pause of `duration` seconds, or for a person (None); 0 writes nothing."""
        if duration != 0:
            wait = {"reason": reason, "duration": duration, "deadline": deadline, "baking": baking}
            self.write([Pause.model_validate({"wave": self.wave, "since": since, **wait})])

    def finish(self) -> None:
        """Route all traffic to the candidate, make it stable, and stop the old version after a delay."""
        self.route(lambda rollout: shares_of(rollout, 100))
        self.check_again()
        self.promote()
        if any(rollout.serving for rollout in (*self.rollouts, *self.leaving)):
            self.pause("before the old version is stopped", self.options.scale_down_delay, baking=True)
            self.check_again()
        self.give_up(beside=self.rollouts)
        self.clear()

    def give_up(self, beside: Sequence[RolloutTarget] = ()) -> None:
        """Take the traffic from components that are given up, then stop them, and the stable versions of `beside`."""
        rollouts, self.rollouts = self.rollouts, self.leaving
        self.route(lambda rollout: {"stable": 0} if rollout.serving else None)
        self.rollouts = [*beside, *self.leaving]
        self.retire("stable")
        self.rollouts = [rollout for rollout in self.leaving if rollout.unsettled]
        self.retire("candidate")
        self.rollouts = self.leaving
        self.clear()
        self.rollouts = rollouts

    def clear(self) -> None:
        """Stop the version left where none was stable; the candidate has all traffic by then."""
        self._each(lambda s, at: Retire(**at, role="stable") if s.left else None, None)

    def _each(self, step: Callable[[RolloutTarget, dict[str, Any]], AnyStep | None], since: Count | None) -> None:
        """Write one wave: the step of every rollout target that has one; `step` gets the wave and the place."""
        wave = self.wave
        made = (
            step(s, {"wave": wave, "since": since and since(s), "target": s.target, "component": s.component})
            for s in self.rollouts
            if since is None or since(s) >= 0
        )
        self.write(one for one in made if one is not None)


def shares_of(rollout: RolloutTarget, share: int) -> dict[Role, int]:
    """Return the traffic shares in percent; where nothing served before, the candidate gets all at once."""
    return {"stable": 100 - share, "candidate": share} if rollout.serving else {"candidate": 100}
