"""Compile a strategy to a plan: a pure function of the release, what stands at the places, and the options.

Several components walk in lockstep: provision all, await all, route all.
"""

from collections.abc import Sequence
from dataclasses import replace

from release_management.domain.plan import (
    Plan,
    PlannedChange,
    Role,
    bounded,
)
from release_management.domain.plan.builder import PlanBuilder, RolloutTarget
from release_management.domain.plan.steps.route import Route
from release_management.domain.plan.strategy import Strategy
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Refused


def compile_plan(
    strategy: Strategy,
    version: str,
    stands: Sequence[RolloutTarget],
    notes: tuple[str, ...] = (),
    changes: Sequence[PlannedChange] = (),
) -> Plan:
    """Compile. Raises `Refused` where a target cannot do what the strategy asks."""
    if strategy.replicas is not None:
        stands = [stand if stand.leaves else replace(stand, replicas=strategy.replicas) for stand in stands]
    coming = [stand for stand in stands if not stand.leaves]
    for stand in coming:
        _check(strategy, stand)
    fresh = [stand for stand in coming if not stand.serving]
    first = [stand for stand in fresh if not stand.unsettled]
    if first and not strategy.STOPS_FIRST:
        names = ", ".join(f"{stand.component} on {stand.target}" for stand in first)
        notes = (*notes, f"no {strategy.NAME} for {names}: the first deployment there, nothing serves yet"[:500])
    builder = PlanBuilder(stands, strategy)
    _settle(builder, strategy)
    builder.stands = [stand for stand in coming if not stand.stays]
    builder.leaving = [stand for stand in stands if stand.leaves]
    if builder.stands or builder.leaving:
        _bring(builder, strategy, first=len(fresh) == len(coming))
    builder.stands = stands
    plan = Plan(
        strategy=strategy.NAME,
        version=version,
        forward=tuple(builder.steps),
        rollback=tuple(strategy.back(builder)),
        reversible=all(stand.reversible for stand in stands),
        notes=notes,
        changes=tuple(changes),
    )
    _check_weights(plan, stands)
    return bounded(plan)


def _check(strategy: Strategy, stand: RolloutTarget) -> None:
    where = f"{stand.component} on target {stand.target}"
    if not strategy.STOPS_FIRST and stand.serving and stand.slots < 2:
        raise Refused(
            f"{where}: {strategy.NAME} needs two slots and there is one; use recreate, or add a slot",
            code=ErrorCode.INVALID,
        )
    if strategy.SHIFTS_TRAFFIC and stand.routes == "none":
        raise Refused(
            f"{where}: {strategy.NAME} shifts traffic and the target cannot; use recreate or rolling",
            code=ErrorCode.INVALID,
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


def _settle(builder: PlanBuilder, strategy: Strategy) -> None:
    """Set right what the deployment before left: the stable version gets all traffic, or nothing has any.

    A strategy that stops the old version first takes all traffic away in any case; where there is no way back, none is
    gone.
    """

    def returns(stand: RolloutTarget) -> bool:
        return stand.unsettled and stand.serving and stand.reversible and (stand.stays or not strategy.STOPS_FIRST)

    def shares(stand: RolloutTarget) -> dict[Role, int] | None:
        if returns(stand):
            return {"stable": 100, "candidate": 0}
        return {"candidate": 0} if stand.busy and not stand.serving else None

    builder.provision(lambda stand: stand.stood if returns(stand) else 0, "stable")
    builder.await_healthy(lambda stand: stand.stood if returns(stand) else 0, "stable")
    builder.route(shares)
    everything, builder.stands = builder.stands, [stand for stand in builder.stands if stand.stays]
    builder.promote("stable")
    builder.stands = [stand for stand in builder.stands if stand.slots > 1]
    builder.retire("candidate")
    builder.stands = everything


def _bring(builder: PlanBuilder, strategy: Strategy, *, first: bool) -> None:
    """Write the strategy's steps; where nothing serves yet there is nothing to go over from step by step."""
    if not builder.stands or (first and not strategy.STOPS_FIRST):
        builder.beside(lambda stand: stand.replicas)
        builder.finish()
    else:
        strategy.bring(builder)
