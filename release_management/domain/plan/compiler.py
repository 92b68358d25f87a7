"""Compile a strategy to a plan: a pure function of the release, what stands at the places, and the options.

Several components walk in lockstep: provision all, await all, route all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil

from release_management.domain.plan import (
    Plan,
    PlannedChange,
    Role,
    bounded,
)
from release_management.domain.plan.builder import (
    Count,
    PlanBuilder,
    RolloutTarget,
    shares_of,
)
from release_management.domain.plan.rollback import back_by_recreate, back_by_traffic
from release_management.domain.plan.steps.provision import Provision
from release_management.domain.plan.steps.route import Route
from release_management.domain.plan.strategies import (
    AnyOptions,
    BlueGreen,
    Canary,
    Recreate,
    Rolling,
    SetScale,
    StrategyName,
    surge_and_unavailable,
)
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Refused


def compile_plan(
    strategy: StrategyName,
    version: str,
    stands: Sequence[RolloutTarget],
    options: AnyOptions,
    notes: tuple[str, ...] = (),
    changes: Sequence[PlannedChange] = (),
) -> Plan:
    """Compile. Raises `Refused` where a target cannot do what the strategy asks."""
    if options.replicas is not None:
        stands = [stand if stand.leaves else replace(stand, replicas=options.replicas) for stand in stands]
    coming = [stand for stand in stands if not stand.leaves]
    for stand in coming:
        _check(strategy, stand)
    fresh = [stand for stand in coming if not stand.serving]
    first = [stand for stand in fresh if not stand.unsettled]
    if first and strategy != "recreate":
        names = ", ".join(f"{stand.component} on {stand.target}" for stand in first)
        notes = (*notes, f"no {strategy} for {names}: the first deployment there, nothing serves yet"[:500])
    sheet = PlanBuilder(stands, options)
    _settle(sheet)
    sheet.stands = [stand for stand in coming if not stand.stays]
    sheet.leaving = [stand for stand in stands if stand.leaves]
    if sheet.stands or sheet.leaving:
        _bring(sheet, first=len(fresh) == len(coming))
    sheet.stands = stands
    back = back_by_recreate if isinstance(options, Recreate) else back_by_traffic
    plan = Plan(
        strategy=strategy,
        version=version,
        forward=tuple(sheet.steps),
        rollback=tuple(back(sheet)),
        reversible=all(stand.reversible for stand in stands),
        notes=notes,
        changes=tuple(changes),
    )
    _check_weights(plan, stands)
    return bounded(plan)


def _check(strategy: StrategyName, stand: RolloutTarget) -> None:
    where = f"{stand.component} on target {stand.target}"
    if strategy != "recreate" and stand.serving and stand.slots < 2:
        raise Refused(
            f"{where}: {strategy} needs two slots and there is one; use recreate, or add a slot", code=ErrorCode.INVALID
        )
    if strategy in ("canary", "blue-green") and stand.routes == "none":
        raise Refused(
            f"{where}: {strategy} shifts traffic and the target cannot; use recreate or rolling", code=ErrorCode.INVALID
        )


def _check_weights(plan: Plan, stands: Sequence[RolloutTarget]) -> None:
    routes = {(stand.target, stand.component): stand.routes for stand in stands}
    for step in plan.forward:
        if isinstance(step, Route):
            allowed = routes[step.target, step.component]
            share = step.weights.get("candidate", 0)
            if isinstance(allowed, tuple) and share not in (0, 100, *allowed):
                shown = ", ".join(str(value) for value in sorted({0, 100, *allowed}))
                raise Refused(
                    f"{step.component} on target {step.target}: it cannot route {share} %; it can route {shown} %",
                    code=ErrorCode.INVALID,
                )


def _settle(sheet: PlanBuilder) -> None:
    """Set right what the deployment before left: the stable version gets all traffic, or nothing has any.

    Recreate takes all traffic away in any case; where there is no way back, none is gone.
    """
    recreate = isinstance(sheet.options, Recreate)

    def returns(stand: RolloutTarget) -> bool:
        return stand.unsettled and stand.serving and stand.reversible and (stand.stays or not recreate)

    def shares(stand: RolloutTarget) -> dict[Role, int] | None:
        if returns(stand):
            return {"stable": 100, "candidate": 0}
        return {"candidate": 0} if stand.busy and not stand.serving else None

    sheet.provision(lambda stand: stand.stood if returns(stand) else 0, "stable")
    sheet.await_healthy(lambda stand: stand.stood if returns(stand) else 0, "stable")
    sheet.route(shares)
    everything, sheet.stands = sheet.stands, [stand for stand in sheet.stands if stand.stays]
    sheet.promote("stable")
    sheet.stands = [stand for stand in sheet.stands if stand.slots > 1]
    sheet.retire("candidate")
    sheet.stands = everything


def _bring(sheet: PlanBuilder, *, first: bool) -> None:
    """Write the strategy's steps; where nothing serves yet there is nothing to go over from step by step."""
    options = sheet.options
    if not sheet.stands or (first and not isinstance(options, Recreate)):
        sheet.beside(lambda stand: stand.replicas)
        sheet.finish()
        return
    match options:
        case Recreate():
            _recreate(sheet)
        case Rolling():
            _rolling(sheet, options)
        case BlueGreen():
            _blue_green(sheet, options)
        case Canary():
            _canary(sheet, options)


def _recreate(sheet: PlanBuilder) -> None:
    sheet.route(lambda stand: {"stable": 0, "candidate": 0} if stand.serving else None)
    sheet.retire("stable")
    sheet.beside(lambda stand: stand.replicas)
    sheet.route(lambda stand: shares_of(stand, 100))
    sheet.ask_again()
    sheet.promote()
    sheet.clear()
    sheet.give_up()


def _blue_green(sheet: PlanBuilder, options: BlueGreen) -> None:
    preview = options.preview_replicas
    sheet.beside(lambda stand: min(preview or stand.replicas, stand.replicas))
    if options.auto_promotion_seconds:
        sheet.pause("before the switch", options.auto_promotion_seconds)
    elif not options.auto_promotion:
        sheet.pause("before the switch", None, deadline=options.pause_deadline)
    if preview is not None and any(preview < stand.replicas for stand in sheet.stands):
        sheet.beside(lambda stand: stand.replicas)
    sheet.finish()


def _canary(sheet: PlanBuilder, options: Canary) -> None:
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
            sheet.route(lambda stand, share=share: shares_of(stand, share))  # type: ignore[misc] # bound now, not later
    if any(running(stand) != stand.replicas for stand in sheet.stands):
        sheet.beside(lambda stand: stand.replicas)
    sheet.finish()


def _replicas(scale: SetScale, share: int) -> Count:
    """How many replicas of the candidate a scale means at a traffic share; a fresh component runs in full."""

    def count(stand: RolloutTarget) -> int:
        if not stand.serving:
            return stand.replicas
        if scale.replicas is not None:
            return scale.replicas
        portion = share if scale.match_traffic_weight else scale.weight or 0
        return max(1, ceil(stand.replicas * portion / 100))

    return count


def _rolling(sheet: PlanBuilder, options: Rolling) -> None:
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


def _key(stand: RolloutTarget) -> tuple[str, str]:
    return stand.target, stand.component


def _grown(stands: Sequence[RolloutTarget], new: Counts, old: Counts, options: Rolling) -> dict[tuple[str, str], int]:
    """Where more of the candidate may run now, and how many: at most `max_surge` above the replicas in all."""
    grown = {}
    for stand in stands:
        surge, _ = surge_and_unavailable(options, stand.replicas)
        count = min(stand.replicas, stand.replicas + surge - old[_key(stand)])
        if count > new[_key(stand)]:
            grown[_key(stand)] = count
    return grown


def _shrunk(stands: Sequence[RolloutTarget], new: Counts, old: Counts, options: Rolling) -> dict[tuple[str, str], int]:
    """Where less of the stable version need run now: at most `max_unavailable` below the replicas in all."""
    shrunk = {}
    for stand in stands:
        _, unavailable = surge_and_unavailable(options, stand.replicas)
        count = max(0, stand.replicas - unavailable - new[_key(stand)])
        if count < old[_key(stand)] and new[_key(stand)] < stand.replicas:
            shrunk[_key(stand)] = count
    return shrunk


def _ratio(stand: RolloutTarget, new: int, old: int) -> dict[Role, int] | None:
    if not stand.serving:
        return {"candidate": 100}
    if new + old == 0:
        return {"stable": 0, "candidate": 0}
    share = round(100 * new / (new + old))
    return {"stable": 100 - share, "candidate": share}
