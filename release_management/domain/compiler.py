"""Compile a strategy to a plan: a pure function of the release, what stands at the places, and the options.

Several components walk in lockstep: provision all, await all, route all. The rollback plan is compiled with the forward
plan; each of its steps says since which forward wave it is needed, so an early failure undoes only what was done.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

from release_management.domain.plan import (
    AnyStep,
    AwaitHealthy,
    Pause,
    Plan,
    Promote,
    Provision,
    Retire,
    Role,
    Route,
    bounded,
)
from release_management.domain.strategies import (
    AnyOptions,
    BlueGreen,
    Canary,
    Recreate,
    Rolling,
    SetScale,
    StrategyName,
    surge_and_unavailable,
)
from release_management.domain.words import Refused


@dataclass(frozen=True, slots=True)
class Stand:
    """A component at a place as the compiler sees it, and what the target can do.

    `replicas` is what should run in the end; `serving` says whether an earlier stable version does now, and `before`
    with how many replicas (None: with as many).
    """

    target: str
    component: str
    serving: bool
    replicas: int = 1
    slots: int = 2
    routes: Literal["any", "none"] | tuple[int, ...] = "any"
    reversible: bool = True
    before: int | None = None

    @property
    def stood(self) -> int:
        """How many replicas of the stable version run now, and must again after a rollback."""
        if not self.serving:
            return 0
        return self.replicas if self.before is None else self.before


Count = Callable[[Stand], int]


def compile_plan(
    strategy: StrategyName,
    version: str,
    stands: Sequence[Stand],
    options: AnyOptions,
    notes: tuple[str, ...] = (),
) -> Plan:
    """Compile. Raises `Refused` where a target cannot do what the strategy asks."""
    if options.replicas is not None:
        stands = [replace(stand, replicas=options.replicas) for stand in stands]
    for stand in stands:
        _check(strategy, stand)
    fresh = [stand for stand in stands if not stand.serving]
    if fresh and strategy != "recreate":
        names = ", ".join(f"{stand.component} on {stand.target}" for stand in fresh)
        notes = (*notes, f"no {strategy} for {names}: the first deployment there, nothing serves yet"[:500])
    sheet = _Sheet(stands, options)
    if not isinstance(options, Recreate) and len(fresh) == len(stands):
        sheet.beside(lambda stand: stand.replicas)
        sheet.finish()
    else:
        match options:
            case Recreate():
                _recreate(sheet)
            case Rolling():
                _rolling(sheet, options)
            case BlueGreen():
                _blue_green(sheet, options)
            case Canary():
                _canary(sheet, options)
    back = _back_by_recreate if isinstance(options, Recreate) else _back_by_traffic
    plan = Plan(
        strategy=strategy,
        version=version,
        forward=tuple(sheet.steps),
        rollback=tuple(back(sheet)),
        reversible=all(stand.reversible for stand in stands),
        notes=notes,
    )
    _check_weights(plan, stands)
    return bounded(plan)


def _check(strategy: StrategyName, stand: Stand) -> None:
    where = f"{stand.component} on target {stand.target}"
    if strategy != "recreate" and stand.serving and stand.slots < 2:
        raise Refused(f"{where}: {strategy} needs two slots and there is one; use recreate, or add a slot")
    if strategy in ("canary", "blue-green") and stand.routes == "none":
        raise Refused(f"{where}: {strategy} shifts traffic and the target cannot; use recreate or rolling")


def _check_weights(plan: Plan, stands: Sequence[Stand]) -> None:
    routes = {(stand.target, stand.component): stand.routes for stand in stands}
    for step in plan.forward:
        if isinstance(step, Route):
            allowed = routes[step.target, step.component]
            share = step.weights.get("candidate", 0)
            if isinstance(allowed, tuple) and share not in (0, 100, *allowed):
                shown = ", ".join(str(value) for value in sorted({0, 100, *allowed}))
                raise Refused(
                    f"{step.component} on target {step.target}: it cannot route {share} %; it can route {shown} %"
                )


class _Sheet:
    """Steps while they are written, wave by wave. What gives no step begins no wave."""

    def __init__(self, stands: Sequence[Stand], options: AnyOptions) -> None:
        self.stands = stands
        self.options = options
        self.steps: list[AnyStep] = []

    @property
    def wave(self) -> int:
        """The wave that is written next."""
        return self.steps[-1].wave + 1 if self.steps else 0

    def write(self, steps: Iterator[AnyStep]) -> None:
        """Add one wave."""
        self.steps += list(steps)

    def provision(self, count: Count, role: Role = "candidate", since: Count | None = None) -> None:
        """Run so many replicas of the role, where more than none are asked for."""
        wave = self.wave
        self.write(
            Provision(
                wave=wave,
                since=since(s) if since else None,
                target=s.target,
                component=s.component,
                role=role,
                replicas=count(s),
            )
            for s in self.stands
            if count(s) and (since is None or since(s) >= 0)
        )

    def await_healthy(self, count: Count, role: Role = "candidate", since: Count | None = None) -> None:
        """Await them."""
        wave = self.wave
        self.write(
            AwaitHealthy(
                wave=wave,
                since=since(s) if since else None,
                target=s.target,
                component=s.component,
                role=role,
                replicas=count(s),
                min_ready=self.options.min_ready,
                deadline=self.options.healthy_deadline,
            )
            for s in self.stands
            if count(s) and (since is None or since(s) >= 0)
        )

    def beside(self, count: Count) -> None:
        """Run the candidate beside the stable version, and await it."""
        self.provision(count)
        self.await_healthy(count)

    def route(self, weights: Callable[[Stand], dict[Role, int] | None], since: Count | None = None) -> None:
        """Set traffic shares where the target can; None leaves a stand out."""
        wave = self.wave
        self.write(
            Route(
                wave=wave,
                since=since(s) if since else None,
                target=s.target,
                component=s.component,
                weights=shares,
            )
            for s in self.stands
            if s.routes != "none" and (since is None or since(s) >= 0) and (shares := weights(s)) is not None
        )

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
            pause = Pause(
                wave=self.wave,
                since=since,
                reason=reason,
                duration=duration,
                deadline=deadline,
                baking=baking,
            )
            self.write(iter([pause]))

    def promote(self, role: Role = "candidate", since: Count | None = None) -> None:
        """The role is stable now; for stable again, only where there was one."""
        wave = self.wave
        self.write(
            Promote(
                wave=wave,
                since=since(s) if since else None,
                target=s.target,
                component=s.component,
                role=role,
            )
            for s in self.stands
            if (role == "candidate" or s.serving) and (since is None or since(s) >= 0)
        )

    def retire(self, role: Role, since: Count | None = None) -> None:
        """Stop the role's version; for stable, only where there was one."""
        wave = self.wave
        self.write(
            Retire(
                wave=wave,
                since=since(s) if since else None,
                target=s.target,
                component=s.component,
                role=role,
            )
            for s in self.stands
            if (role == "candidate" or s.serving) and (since is None or since(s) >= 0)
        )

    def finish(self) -> None:
        """All traffic to the candidate; it is stable; after a delay the old one goes."""
        self.route(lambda stand: _shares(stand, 100))
        self.promote()
        if any(stand.serving for stand in self.stands):
            self.pause("before the old version is stopped", self.options.scale_down_delay, baking=True)
            self.retire("stable")


def _shares(stand: Stand, share: int) -> dict[Role, int]:
    return {"stable": 100 - share, "candidate": share} if stand.serving else {"candidate": 100}


def _recreate(sheet: _Sheet) -> None:
    sheet.route(lambda stand: {"stable": 0, "candidate": 0} if stand.serving else None)
    sheet.retire("stable")
    sheet.beside(lambda stand: stand.replicas)
    sheet.route(lambda stand: _shares(stand, 100))
    sheet.promote()


def _blue_green(sheet: _Sheet, options: BlueGreen) -> None:
    preview = options.preview_replicas
    sheet.beside(lambda stand: min(preview or stand.replicas, stand.replicas))
    if options.auto_promotion_seconds:
        sheet.pause("before the switch", options.auto_promotion_seconds)
    elif not options.auto_promotion:
        sheet.pause("before the switch", None, deadline=options.pause_deadline)
    if preview is not None and any(preview < stand.replicas for stand in sheet.stands):
        sheet.beside(lambda stand: stand.replicas)
    sheet.finish()


def _canary(sheet: _Sheet, options: Canary) -> None:
    walk = options.walk()
    scale = SetScale(weight=100)
    if walk and walk[0].set_scale is not None:
        scale, walk = walk[0].set_scale, walk[1:]
    share = next((step.set_weight for step in walk if step.set_weight is not None), 100)
    running = _replicas(scale, share)
    sheet.beside(running)
    for step in walk:
        if step.pause is not None:
            deadline = options.pause_deadline if step.pause.duration is None else 0.0
            sheet.pause("canary step", step.pause.duration, deadline=deadline)
            continue
        scale = step.set_scale or scale
        share = share if step.set_weight is None else step.set_weight
        wanted = _replicas(scale, share)
        if any(wanted(stand) != running(stand) for stand in sheet.stands):
            sheet.beside(wanted)
        running = wanted
        if step.set_weight is not None:
            sheet.route(lambda stand, share=share: _shares(stand, share))  # type: ignore[misc] # bound now, not later
    if any(running(stand) != stand.replicas for stand in sheet.stands):
        sheet.beside(lambda stand: stand.replicas)
    sheet.finish()


def _replicas(scale: SetScale, share: int) -> Count:
    """How many replicas of the candidate a scale means at a traffic share; a fresh component runs in full."""

    def count(stand: Stand) -> int:
        if not stand.serving:
            return stand.replicas
        if scale.replicas is not None:
            return scale.replicas
        portion = share if scale.match_traffic_weight else scale.weight or 0
        return max(1, ceil(stand.replicas * portion / 100))

    return count


def _rolling(sheet: _Sheet, options: Rolling) -> None:
    new = {_key(stand): 0 for stand in sheet.stands}
    old = {_key(stand): stand.stood for stand in sheet.stands}
    while True:
        grown = _grown(sheet.stands, new, old, options)
        sheet.beside(lambda stand, grown=grown: grown.get(_key(stand), 0))  # type: ignore[misc] # bound now
        new.update(grown)
        if all(new[_key(stand)] >= stand.replicas for stand in sheet.stands):
            break
        shrunk = _shrunk(sheet.stands, new, old, options)
        old.update(shrunk)
        sheet.route(lambda stand: _ratio(stand, new[_key(stand)], old[_key(stand)]))
        sheet.write(
            Provision(wave=wave, target=s.target, component=s.component, role="stable", replicas=old[_key(s)])
            for wave in [sheet.wave]
            for s in sheet.stands
            if _key(s) in shrunk
        )
        sheet.pause("rolling batch", options.interval)
    sheet.finish()


Counts = Mapping[tuple[str, str], int]


def _key(stand: Stand) -> tuple[str, str]:
    return stand.target, stand.component


def _grown(stands: Sequence[Stand], new: Counts, old: Counts, options: Rolling) -> dict[tuple[str, str], int]:
    """Where more of the candidate may run now, and how many: at most `max_surge` above the replicas in all."""
    grown = {}
    for stand in stands:
        surge, _ = surge_and_unavailable(options, stand.replicas)
        count = min(stand.replicas, stand.replicas + surge - old[_key(stand)])
        if count > new[_key(stand)]:
            grown[_key(stand)] = count
    return grown


def _shrunk(stands: Sequence[Stand], new: Counts, old: Counts, options: Rolling) -> dict[tuple[str, str], int]:
    """Where less of the stable version need run now: at most `max_unavailable` below the replicas in all."""
    shrunk = {}
    for stand in stands:
        _, unavailable = surge_and_unavailable(options, stand.replicas)
        count = max(0, stand.replicas - unavailable - new[_key(stand)])
        if count < old[_key(stand)] and new[_key(stand)] < stand.replicas:
            shrunk[_key(stand)] = count
    return shrunk


def _ratio(stand: Stand, new: int, old: int) -> dict[Role, int] | None:
    if not stand.serving:
        return {"candidate": 100}
    if new + old == 0:
        return {"stable": 0, "candidate": 0}
    share = round(100 * new / (new + old))
    return {"stable": 100 - share, "candidate": share}


# The way back


def _since(sheet: _Sheet, wanted: Callable[[AnyStep], bool]) -> Count:
    """The first forward wave with such a step for the stand; -1 where there is none."""
    waves: dict[tuple[str, str], int] = {}
    for step in sheet.steps:
        if not isinstance(step, Pause) and wanted(step):
            waves.setdefault((step.target, step.component), step.wave)
    return lambda stand: waves.get(_key(stand), -1)


def _back_by_traffic(forward: _Sheet) -> list[AnyStep]:
    """Traffic back first, where the stable version still stands in full; then the rest. No pause for a person."""
    shrunk = _since(forward, lambda step: isinstance(step, Provision) and step.role == "stable")
    routed = _since(forward, lambda step: isinstance(step, Route))
    promoted = _since(forward, lambda step: isinstance(step, Promote))
    provisioned = _since(forward, lambda step: isinstance(step, Provision) and step.role == "candidate")
    back = _Sheet(forward.stands, forward.options)
    back.provision(lambda stand: stand.stood, "stable", shrunk)
    back.await_healthy(lambda stand: stand.stood, "stable", shrunk)
    back.route(lambda s: {"stable": 100, "candidate": 0} if s.serving else {"candidate": 0}, routed)
    back.promote("stable", promoted)
    first_route = min((routed(stand) for stand in forward.stands if routed(stand) >= 0), default=None)
    if first_route is not None and any(stand.serving for stand in forward.stands):
        delay = forward.options.abort_scale_down_delay
        back.pause("before the aborted version is stopped", delay, baking=True, since=first_route)
    back.retire("candidate", provisioned)
    return back.steps


def _back_by_recreate(forward: _Sheet) -> list[AnyStep]:
    """Stop the new version, then start the old one."""
    closed = _since(forward, lambda step: isinstance(step, Route))
    opened = _since(forward, lambda step: isinstance(step, Route) and step.weights.get("candidate") == 100)
    retired = _since(forward, lambda step: isinstance(step, Retire))
    provisioned = _since(forward, lambda step: isinstance(step, Provision))
    back = _Sheet(forward.stands, forward.options)
    back.route(lambda s: {"stable": 0, "candidate": 0} if s.serving else {"candidate": 0}, opened)
    back.retire("candidate", provisioned)
    back.provision(lambda stand: stand.stood, "stable", retired)
    back.await_healthy(lambda stand: stand.stood, "stable", retired)
    back.route(lambda s: {"stable": 100, "candidate": 0} if s.serving else None, closed)
    back.promote("stable", retired)
    return back.steps
