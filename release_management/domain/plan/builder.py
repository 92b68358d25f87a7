"""Builds the steps of a plan, wave by wave, for each component on each target."""

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
    """A component at a place as the compiler sees it, and what the target can do.

    `replicas` is what should run in the end; `serving` says whether an earlier stable version does now, and `before`
    with how many replicas (None: with as many).

    `unsettled`: what the deployment before left there is to be set right first. `busy`: the candidate's slot may have
    traffic then. `stays`: the stable version is the one that is wanted, and nothing else is to be done. `leaves`: the
    component is given up, and nothing is to run in the end.
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
    def stood(self) -> int:
        """The replicas of the stable version now, and again after a rollback."""
        if not self.serving:
            return 0
        return self.replicas if self.before is None else self.before


Count = Callable[[RolloutTarget], int]
"""A number for each stand: of replicas, or of the forward wave since which a step is needed (-1: not at all)."""


class PlanBuilder:
    """Steps while they are written, wave by wave. What gives no step begins no wave.

    Steps are written for `stands`; `leaving` are those that are given up, whose turn comes at the end. `running` counts
    the candidate's replicas so far, all of which must be well before it gets traffic, and before the old version goes.

    `since` is given on the way back only: a stand whose number is -1 is left out.
    """

    def __init__(self, stands: Sequence[RolloutTarget], options: Options) -> None:
        self.stands = stands
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
        """Run so many replicas of the role, where more than none are asked for."""
        if role == "candidate":
            self.running |= {(s.target, s.component): count(s) for s in self.stands if count(s)}
        self._each(
            lambda s, at: Provision(**at, role=role, replicas=count(s)) if count(s) else None,
            since,
        )

    def await_healthy(self, count: Count, role: Role = "candidate", since: Count | None = None) -> None:
        """Await them."""
        limits: dict[str, Any] = {"min_ready": self.options.min_ready, "deadline": self.options.healthy_deadline}
        self._each(
            lambda s, at: AwaitHealthy(**at, **limits, role=role, replicas=count(s)) if count(s) else None,
            since,
        )

    def beside(self, count: Count) -> None:
        """Run the candidate beside the stable version, and await it."""
        self.provision(count)
        self.await_healthy(count)

    def route(self, weights: Callable[[RolloutTarget], dict[Role, int] | None], since: Count | None = None) -> None:
        """Set traffic shares where the target can; None leaves a stand out.

        The candidate gets a share only while it is well, and the stable version all traffic while a part of it is.
        """

        def step(stand: RolloutTarget, at: dict[str, Any]) -> AnyStep | None:
            shares = None if stand.routes == "none" else weights(stand)
            if shares is None:
                return None
            healthy: dict[Role, int] = self._candidate(stand) if shares.get("candidate") else {}
            if shares.get("stable") == 100:
                healthy = {"stable": 1}
            return Route(**at, weights=shares, healthy=healthy)

        self._each(step, since)

    def promote(self, role: Role = "candidate", since: Count | None = None) -> None:
        """The role is stable now; for stable again, only where there was one."""
        self._each(lambda s, at: Promote(**at, role=role) if role == "candidate" or s.serving else None, since)

    def retire(self, role: Role, since: Count | None = None) -> None:
        """Stop the role's version; for stable, only where there was one, and while a candidate beside it is well."""

        def step(stand: RolloutTarget, at: dict[str, Any]) -> AnyStep | None:
            if role == "stable" and not stand.serving:
                return None
            return Retire(**at, role=role, healthy=self._candidate(stand) if role == "stable" else {})

        self._each(step, since)

    def ask_again(self) -> None:
        """Ask whether the candidate is still well, unless that was asked just before.

        A promotion takes no time; where several walk in lockstep, the others' steps before it may have taken some.
        """
        done = [step for step in self.steps if len(self.stands) > 1 or not isinstance(step, Promote)]
        asked = {
            (step.target, step.component)
            for step in done
            if step.wave == done[-1].wave
            and (isinstance(step, AwaitHealthy) or (isinstance(step, Route) and step.healthy))
        }
        deadline = self.options.healthy_deadline

        def step(stand: RolloutTarget, at: dict[str, Any]) -> AnyStep | None:
            count = self.running.get((stand.target, stand.component))
            if count is None or (stand.target, stand.component) in asked:
                return None
            return AwaitHealthy(**at, role="candidate", replicas=count, deadline=deadline, again=True)

        self._each(step, None)

    def _candidate(self, stand: RolloutTarget) -> dict[Role, int]:
        count = self.running.get((stand.target, stand.component))
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
        """Wait; a duration of 0 writes nothing."""
        if duration != 0:
            wait = {"reason": reason, "duration": duration, "deadline": deadline, "baking": baking}
            self.write([Pause.model_validate({"wave": self.wave, "since": since, **wait})])

    def finish(self) -> None:
        """All traffic to the candidate; it is stable; after a delay the old one goes."""
        self.route(lambda stand: shares_of(stand, 100))
        self.ask_again()
        self.promote()
        if any(stand.serving for stand in (*self.stands, *self.leaving)):
            self.pause("before the old version is stopped", self.options.scale_down_delay, baking=True)
            self.ask_again()
        self.give_up(beside=self.stands)
        self.clear()

    def give_up(self, beside: Sequence[RolloutTarget] = ()) -> None:
        """Take the traffic away from what is given up, then stop it, and the stable version of those `beside` it."""
        stands, self.stands = self.stands, self.leaving
        self.route(lambda stand: {"stable": 0} if stand.serving else None)
        self.stands = [*beside, *self.leaving]
        self.retire("stable")
        self.stands = [stand for stand in self.leaving if stand.unsettled]
        self.retire("candidate")
        self.stands = self.leaving
        self.clear()
        self.stands = stands

    def clear(self) -> None:
        """Stop what was left behind where nothing was stable; the candidate has all traffic."""
        self._each(lambda s, at: Retire(**at, role="stable") if s.left else None, None)

    def _each(self, step: Callable[[RolloutTarget, dict[str, Any]], AnyStep | None], since: Count | None) -> None:
        """Write one wave: the step of every stand that has one, told where it stands."""
        wave = self.wave
        made = (
            step(s, {"wave": wave, "since": since and since(s), "target": s.target, "component": s.component})
            for s in self.stands
            if since is None or since(s) >= 0
        )
        self.write(one for one in made if one is not None)


def shares_of(stand: RolloutTarget, share: int) -> dict[Role, int]:
    """The candidate's share and the rest; where nothing served before, the candidate gets everything at once."""
    return {"stable": 100 - share, "candidate": share} if stand.serving else {"candidate": 100}
