"""Compile a strategy to a plan: a pure function of the release, the present versions at the places, and the options.

Several components advance in lockstep: provision all, await all, route all.
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
    rollouts: Sequence[RolloutTarget],
    notes: tuple[str, ...] = (),
    changes: Sequence[PlannedChange] = (),
) -> Plan:
    """Compile the plan. Raises `Refused` if a target cannot do what the strategy needs."""
    if strategy.replicas is not None:
        rollouts = [rollout if rollout.leaves else replace(rollout, replicas=strategy.replicas) for rollout in rollouts]
    staying = [rollout for rollout in rollouts if not rollout.leaves]
    for rollout in staying:
        _check(strategy, rollout)
    fresh = [rollout for rollout in staying if not rollout.serving]
    first = [rollout for rollout in fresh if not rollout.unsettled]
    if first and not strategy.STOPS_FIRST:
        names = ", ".join(f"{rollout.component} on {rollout.target}" for rollout in first)
        notes = (*notes, f"no {strategy.NAME} for {names}: the first deployment there, nothing serves yet"[:500])
    builder = PlanBuilder(rollouts, strategy)
    _settle(builder, strategy)
    builder.rollouts = [rollout for rollout in staying if not rollout.stays]
    builder.leaving = [rollout for rollout in rollouts if rollout.leaves]
    if builder.rollouts or builder.leaving:
        _bring(builder, strategy, first=len(fresh) == len(staying))
    builder.rollouts = rollouts
    plan = Plan(
        strategy=strategy.NAME,
        version=version,
        forward=tuple(builder.steps),
        rollback=tuple(strategy.back(builder)),
        reversible=all(rollout.reversible for rollout in rollouts),
        notes=notes,
        changes=tuple(changes),
    )
    _check_weights(plan, rollouts)
    return bounded(plan)


def _check(strategy: Strategy, rollout: RolloutTarget) -> None:
    where = f"{rollout.component} on target {rollout.target}"
    if not strategy.STOPS_FIRST and rollout.serving and rollout.slots < 2:
        raise Refused(
            f"{where}: {strategy.NAME} needs two slots and there is one; use recreate, or add a slot",
            code=ErrorCode.INVALID,
        )
    if strategy.SHIFTS_TRAFFIC and rollout.routes == "none":
        raise Refused(
            f"{where}: {strategy.NAME} shifts traffic and the target cannot; use recreate or rolling",
            code=ErrorCode.INVALID,
        )


def _check_weights(plan: Plan, rollouts: Sequence[RolloutTarget]) -> None:
    routes = {(rollout.target, rollout.component): rollout.routes for rollout in rollouts}
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
    """Write the steps that repair unsettled places: the stable version gets all traffic, or no version has any.

    A strategy that stops the old version first takes all traffic away in any case; a target without a rollback keeps
    its traffic.
    """

    def returns(rollout: RolloutTarget) -> bool:
        return (
            rollout.unsettled and rollout.serving and rollout.reversible and (rollout.stays or not strategy.STOPS_FIRST)
        )

    def shares(rollout: RolloutTarget) -> dict[Role, int] | None:
        if returns(rollout):
            return {"stable": 100, "candidate": 0}
        return {"candidate": 0} if rollout.busy and not rollout.serving else None

    builder.provision(lambda rollout: rollout.stable_replicas if returns(rollout) else 0, "stable")
    builder.await_healthy(lambda rollout: rollout.stable_replicas if returns(rollout) else 0, "stable")
    builder.route(shares)
    everything, builder.rollouts = builder.rollouts, [rollout for rollout in builder.rollouts if rollout.stays]
    builder.promote("stable")
    builder.rollouts = [rollout for rollout in builder.rollouts if rollout.slots > 1]
    builder.retire("candidate")
    builder.rollouts = everything


def _bring(builder: PlanBuilder, strategy: Strategy, *, first: bool) -> None:
    """Write the strategy's steps; if no version serves yet, the candidate simply starts."""
    if not builder.rollouts or (first and not strategy.STOPS_FIRST):
        builder.beside(lambda rollout: rollout.replicas)
        builder.finish()
    else:
        strategy.bring(builder)
