"""The strategy `rolling`."""

import re
from collections.abc import Mapping, Sequence
from math import ceil, floor
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from release_management.domain.plan.builder import PlanBuilder, RolloutTarget
from release_management.domain.plan.roles import Role
from release_management.domain.plan.steps.provision import Provision
from release_management.domain.plan.strategy import Strategy
from release_management.kernel.types import Seconds


def _portion(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"(100|[0-9]{1,2})%", value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100:
        return value
    raise ValueError('write a number of replicas from 0 to 100, or a percentage up to 100 such as "25%"')


Portion = Annotated[str | int, BeforeValidator(_portion)]


class Rolling(Strategy):
    """Replace replica by replica. `max_surge` (rounded up) more, `max_unavailable` (rounded down) fewer than asked for.

    `interval`: seconds to wait after each batch.
    """

    NAME: ClassVar[str] = "rolling"
    max_surge: Portion = Field(
        "25%", description="how many more instances than asked for may run; percentages are rounded up"
    )
    max_unavailable: Portion = Field(
        "25%", description="how many fewer than asked for may run; percentages are rounded down"
    )
    interval: Seconds = Field(0.0, description="how long to wait after each batch")
    scale_down_delay: Seconds = Field(
        0.0,
        description="how long the old version stays after the switch; until then at most, where the next deployment "
        "waits",
    )
    abort_scale_down_delay: Seconds = Field(
        0.0,
        description="how long an aborted version stays after the traffic has left it; until then at most, where the "
        "next deployment waits",
    )

    def bring(self, builder: PlanBuilder) -> None:
        """Run more of the new version and less of the old one in turn, until all is new."""
        new = {_key(rollout): 0 for rollout in builder.rollouts}
        old = {_key(rollout): rollout.stable_replicas for rollout in builder.rollouts}
        while True:
            grown = _grown(builder.rollouts, new, old, self)
            builder.beside(lambda rollout, grown=grown: grown.get(_key(rollout), 0))  # type: ignore[misc] # bound now
            new.update(grown)
            if all(new[_key(rollout)] >= rollout.replicas for rollout in builder.rollouts):
                break
            shrunk = _shrunk(builder.rollouts, new, old, self)
            old.update(shrunk)
            builder.route(lambda rollout: _ratio(rollout, new[_key(rollout)], old[_key(rollout)]))
            builder.write(
                Provision(wave=wave, target=s.target, component=s.component, role="stable", replicas=old[_key(s)])
                for wave in [builder.wave]
                for s in builder.rollouts
                if _key(s) in shrunk
            )
            builder.pause("rolling batch", self.interval)
        builder.finish()

    def fault(self) -> str | None:
        """Return a fault if neither more nor fewer replicas may run, since nothing could be replaced."""
        if _nothing(self.max_surge) and _nothing(self.max_unavailable):
            return "max_surge and max_unavailable are both 0, so nothing could ever be replaced"
        return None


def _nothing(portion: str | int) -> bool:
    return int(str(portion).removesuffix("%")) == 0


def surge_and_unavailable(options: Rolling, replicas: int) -> tuple[int, int]:
    """Return how many replicas more and how many fewer may run (Kubernetes' rounding).

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


Counts = Mapping[tuple[str, str], int]


def _key(rollout: RolloutTarget) -> tuple[str, str]:
    return rollout.target, rollout.component


def _grown(rollouts: Sequence[RolloutTarget], new: Counts, old: Counts, options: Rolling) -> dict[tuple[str, str], int]:
    """Return the places where more of the candidate may run now: at most `max_surge` above all replicas."""
    grown = {}
    for rollout in rollouts:
        surge, _ = surge_and_unavailable(options, rollout.replicas)
        count = min(rollout.replicas, rollout.replicas + surge - old[_key(rollout)])
        if count > new[_key(rollout)]:
            grown[_key(rollout)] = count
    return grown


def _shrunk(
    rollouts: Sequence[RolloutTarget], new: Counts, old: Counts, options: Rolling
) -> dict[tuple[str, str], int]:
    """Return the places where less of the stable version need run: at most `max_unavailable` below all replicas."""
    shrunk = {}
    for rollout in rollouts:
        _, unavailable = surge_and_unavailable(options, rollout.replicas)
        count = max(0, rollout.replicas - unavailable - new[_key(rollout)])
        if count < old[_key(rollout)] and new[_key(rollout)] < rollout.replicas:
            shrunk[_key(rollout)] = count
    return shrunk


def _ratio(rollout: RolloutTarget, new: int, old: int) -> dict[Role, int] | None:
    if not rollout.serving:
        return {"candidate": 100}
    if new + old == 0:
        return {"stable": 0, "candidate": 0}
    share = round(100 * new / (new + old))
    return {"stable": 100 - share, "candidate": share}
