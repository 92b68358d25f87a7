"""A strategy is a compiler: options and what stands at the places, to a plan.

Option names and defaults follow Argo Rollouts, Kubernetes and CodeDeploy; every duration is seconds or text ("5m").
"""

import json
import re
from math import ceil, floor
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, ValidationError, model_validator

from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import (
    Percent,
    Refused,
    Replicas,
    Seconds,
    Value,
    explain,
)

StrategyName = Literal["recreate", "rolling", "blue-green", "canary"]


def _portion(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"(100|[0-9]{1,2})%", value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100:
        return value
    raise ValueError('write a number of replicas from 0 to 100, or a percentage up to 100 such as "25%"')


Portion = Annotated[str | int, BeforeValidator(_portion)]


class Options(Value):
    """What every strategy takes.

    `replicas` (None: what the target says), `min_ready` seconds healthy without a break, `healthy_deadline` to become
    so, `scale_down_delay` before the old version is stopped, `abort_scale_down_delay` before an aborted one is. A plan
    that nobody deploys expires after `plan_deadline`, which is as long as an approval may take unless said otherwise.
    """

    replicas: Replicas | None = None
    min_ready: Seconds = 0.0
    healthy_deadline: Seconds = 300.0
    scale_down_delay: Seconds = 30.0
    abort_scale_down_delay: Seconds = 30.0
    plan_deadline: Seconds = 30 * 86_400.0


class Recreate(Options):
    """Stop the old version, then start the new one: an outage, but never two versions at once."""

    scale_down_delay: Seconds = 0.0
    abort_scale_down_delay: Seconds = 0.0


class Rolling(Options):
    """Replace replica by replica. `max_surge` (rounded up) more, `max_unavailable` (rounded down) fewer than asked for.

    `interval`: seconds to wait after each batch.
    """

    max_surge: Portion = "25%"
    max_unavailable: Portion = "25%"
    interval: Seconds = 0.0
    scale_down_delay: Seconds = 0.0
    abort_scale_down_delay: Seconds = 0.0


class BlueGreen(Options):
    """Start the new version beside the old one, then switch all traffic at once.

    `auto_promotion` False waits for a person before the switch, at most `pause_deadline`; `auto_promotion_seconds`
    waits that long; `preview_replicas` run until the switch, then all.
    """

    auto_promotion: bool = True
    auto_promotion_seconds: Seconds | None = None
    preview_replicas: Replicas | None = None
    pause_deadline: Seconds = 7 * 86_400.0


class PauseOption(Value):
    """`{"duration": "5m"}`, or `{}` to wait for a person."""

    duration: Seconds | None = None


class SetScale(Value):
    """How many replicas of the candidate run: a number, a percentage, or as many as its traffic needs."""

    replicas: Replicas | None = None
    weight: Percent | None = None
    match_traffic_weight: bool = False

    @model_validator(mode="after")
    def _one(self) -> Self:
        if [self.replicas is not None, self.weight is not None, self.match_traffic_weight].count(True) != 1:
            raise ValueError("set_scale takes one of replicas, weight or match_traffic_weight")
        return self


class CanaryStep(Value):
    """One explicit step: exactly one of `set_weight`, `pause`, `set_scale`."""

    set_weight: Percent | None = None
    pause: PauseOption | None = None
    set_scale: SetScale | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.set_weight, self.pause, self.set_scale).count(None) != 2:
            raise ValueError("a canary step is one of set_weight, pause or set_scale")
        return self


class Canary(Options):
    """Shift traffic step by step: `initial_traffic`, then `increment` more every `interval`; or explicit `steps`.

    A pause without a duration waits for a person, at most `pause_deadline`.
    """

    initial_traffic: Annotated[int, Field(ge=1, le=100)] = 5
    increment: Annotated[int, Field(ge=1, le=100)] = 10
    interval: Seconds = 60.0
    steps: Annotated[tuple[CanaryStep, ...], Field(min_length=1, max_length=100)] | None = None
    pause_deadline: Seconds = 7 * 86_400.0

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.steps is not None:
            given = self.model_fields_set & {"initial_traffic", "increment"}
            if given:
                raise ValueError(f"{sorted(given)[0]} and steps exclude each other; give one of them")
            if not any(step.set_weight is not None for step in self.steps):
                raise ValueError("steps has no set_weight; a canary needs at least one")
        return self

    def walk(self) -> tuple[CanaryStep, ...]:
        """The steps below 100 %, spelled out. The way to 100 % follows them."""
        if self.steps is not None:
            return self.steps
        shares = range(self.initial_traffic, 100, self.increment)
        wait = PauseOption(duration=self.interval)
        return tuple(step for share in shares for step in (CanaryStep(set_weight=share), CanaryStep(pause=wait)))


AnyOptions = Recreate | Rolling | BlueGreen | Canary
STRATEGIES: dict[StrategyName, type[AnyOptions]] = {
    "recreate": Recreate,
    "rolling": Rolling,
    "blue-green": BlueGreen,
    "canary": Canary,
}


def parse_options(strategy: StrategyName, options: dict[str, JsonValue]) -> AnyOptions:
    """Read a strategy's options as people write them. Raises `Refused` naming the option and what would be right."""
    model = STRATEGIES[strategy]
    try:
        parsed = model.model_validate_json(json.dumps(options))
    except ValidationError as error:
        unknown = [str(e["loc"][0]) for e in error.errors() if e["type"] == "extra_forbidden" and e["loc"]]
        if unknown and unknown[0] not in model.model_fields:
            known = ", ".join(sorted(model.model_fields))
            raise Refused(
                f"strategy {strategy} has no option {unknown[0]!r}; it has {known}", code=ErrorCode.INVALID
            ) from None
        raise Refused(f"strategy {strategy}: {explain(error)}", code=ErrorCode.INVALID) from None
    if isinstance(parsed, Rolling) and _nothing(parsed.max_surge) and _nothing(parsed.max_unavailable):
        raise Refused(
            "strategy rolling: max_surge and max_unavailable are both 0, so nothing could ever be replaced",
            code=ErrorCode.INVALID,
        )
    return parsed


def _nothing(portion: str | int) -> bool:
    return int(str(portion).removesuffix("%")) == 0


def surge_and_unavailable(options: Rolling, replicas: int) -> tuple[int, int]:
    """How many more and how many fewer than `replicas` may run (Kubernetes' rounding).

    Where the rounding makes both 0, one replica may be missing, so that there is a way on.
    """

    def count(portion: str | int, whole: int, up: bool) -> int:
        if isinstance(portion, int):
            return portion
        exact = int(portion.removesuffix("%")) * whole / 100
        return ceil(exact) if up else floor(exact)

    surge = count(options.max_surge, replicas, up=True)
    unavailable = min(count(options.max_unavailable, replicas, up=False), replicas)
    return surge, unavailable if surge else max(unavailable, 1)
