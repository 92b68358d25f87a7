"""The strategy `canary`."""

from collections.abc import Mapping
from math import ceil
from typing import Annotated, ClassVar, Self

from pydantic import Field, JsonValue, model_validator

from release_management.domain.plan.builder import (
    Count,
    PlanBuilder,
    RolloutTarget,
    shares_of,
)
from release_management.domain.plan.strategy import Strategy
from release_management.kernel.types import (
    Percent,
    Replicas,
    Seconds,
    Value,
)

_SHARES = frozenset({"initial_traffic", "increment"})


class PauseOption(Value):
    """`{"duration": "5m"}`, or `{}` to wait for a person."""

    duration: Seconds | None = Field(None, description="how long; absent: until somebody promotes")


class SetScale(Value):
    """The number of the candidate's replicas: a number, a percentage, or as many as its traffic needs."""

    replicas: Replicas | None = Field(None, description="how many instances")
    weight: Percent | None = Field(None, description="so many percent of all instances")
    match_traffic_weight: bool = Field(False, description="as many as its share of the traffic needs")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if [self.replicas is not None, self.weight is not None, self.match_traffic_weight].count(True) != 1:
            raise ValueError("set_scale takes one of replicas, weight or match_traffic_weight")
        return self


class CanaryStep(Value):
    """One explicit step: exactly one of `set_weight`, `pause`, `set_scale`."""

    set_weight: Percent | None = Field(None, description="give the candidate this share of the traffic, in percent")
    pause: PauseOption | None = Field(None, description='`{"duration": "5m"}` waits so long, `{}` waits for a person')
    set_scale: SetScale | None = Field(
        None,
        description='how many instances of the candidate run: `{"replicas": 2}`, `{"weight": 50}` (percent of all '
        'instances) or `{"match_traffic_weight": true}`',
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.set_weight, self.pause, self.set_scale).count(None) != 2:
            raise ValueError("a canary step is one of set_weight, pause or set_scale")
        return self


class Canary(Strategy):
    """Shift traffic step by step: `initial_traffic`, then `increment` more every `interval`; or explicit `steps`.

    A pause without a duration waits for a person, at most `pause_deadline`.
    """

    NAME: ClassVar[str] = "canary"
    SHIFTS_TRAFFIC: ClassVar[bool] = True
    initial_traffic: Annotated[int, Field(ge=1, le=100)] = Field(5, description="the first share, in percent")
    increment: Annotated[int, Field(ge=1, le=100)] = Field(
        10, description="how much more each time, in percentage points"
    )
    interval: Seconds = Field(60.0, description="how long each share stays")
    steps: Annotated[tuple[CanaryStep, ...], Field(min_length=1, max_length=100)] | None = Field(
        None, description="explicit steps in place of `initial_traffic`, `increment` and `interval`"
    )
    pause_deadline: Seconds = Field(
        7 * 86_400.0, description="how long a person may take; then the deployment goes back"
    )

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.steps is not None:
            shares = self.model_fields_set & _SHARES
            if shares:
                raise ValueError(f"{sorted(shares)[0]} and steps exclude each other; give one of them")
            if not any(step.set_weight is not None for step in self.steps):
                raise ValueError("steps has no set_weight; a canary needs at least one")
        return self

    def walk(self) -> tuple[CanaryStep, ...]:
        """The steps below 100 %, spelled out. The steps to 100 % follow them."""
        if self.steps is not None:
            return self.steps
        shares = range(self.initial_traffic, 100, self.increment)
        wait = PauseOption(duration=self.interval)
        return tuple(step for share in shares for step in (CanaryStep(set_weight=share), CanaryStep(pause=wait)))

    def bring(self, builder: PlanBuilder) -> None:
        """Run as much of the new version as its share needs, and raise its share from step to step."""
        walk = self.walk()
        scale = SetScale(weight=100)
        if walk and walk[0].set_scale is not None:
            scale, walk = walk[0].set_scale, walk[1:]
        share = next((step.set_weight for step in walk if step.set_weight is not None), 100)
        running = _replicas(scale, share)
        builder.beside(running)
        for step in walk:
            if step.pause is not None:
                deadline = self.pause_deadline if step.pause.duration is None else 0.0
                builder.pause("canary step", step.pause.duration, deadline=deadline)
                continue
            scale = step.set_scale or scale
            share = share if step.set_weight is None else step.set_weight
            target_replicas = _replicas(scale, share)
            if any(target_replicas(rollout) != running(rollout) for rollout in builder.rollouts):
                builder.beside(target_replicas)
            running = target_replicas
            if step.set_weight is not None:
                builder.route(lambda rollout, share=share: shares_of(rollout, share))  # type: ignore[misc] # bound now, not later
        if any(running(rollout) != rollout.replicas for rollout in builder.rollouts):
            builder.beside(lambda rollout: rollout.replicas)
        builder.finish()

    @classmethod
    def merge(cls, wider: Mapping[str, JsonValue], nearer: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """The nearer options win; `steps`, and `initial_traffic` with `increment`, replace one another."""
        outdone = (_SHARES if "steps" in nearer else set()) | ({"steps"} if _SHARES & set(nearer) else set())
        return {key: value for key, value in wider.items() if key not in outdone} | dict(nearer)


def _replicas(scale: SetScale, share: int) -> Count:
    """Return the candidate's replicas for a scale at a traffic share; a new component runs in full."""

    def count(rollout: RolloutTarget) -> int:
        if not rollout.serving:
            return rollout.replicas
        if scale.replicas is not None:
            return scale.replicas
        portion = share if scale.match_traffic_weight else scale.weight or 0
        return max(1, ceil(rollout.replicas * portion / 100))

    return count
