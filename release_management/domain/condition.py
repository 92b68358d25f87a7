"""The condition of a component at a place, as an executor observes it, and its comparison with the record."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from release_management.domain.component import Slot
from release_management.kernel.timestamps import Moment
from release_management.kernel.types import (
    Line,
    Name,
    Percent,
    Value,
    Version,
)

Condition = Literal["well", "drifted", "degraded", "down", "unknown"]
"""*well*: as intended, and it serves. *drifted*: it serves, but not as recorded. *degraded*: a part does not serve.
*down*: nothing serves. *unknown*: nobody could look."""
Role = Literal["stable", "candidate"]
SEVERITY: Mapping[Condition, int] = {"well": 0, "drifted": 1, "degraded": 2, "unknown": 3, "down": 4}
"""A greater number is worse."""
MAX_SLOTS = 8
Count = Annotated[int, Field(ge=0, le=1_000_000)]


class SeenSlot(Value):
    """An executor's observation of one slot.

    `wanted` instances should run, `running` do, `healthy` of them answer well, as far as is known. `restarts` counts
    the instances that ended and were restarted during the last minute. `share` is the slot's real share of the traffic
    in percent.
    """

    slot: Slot = Field(description="the slot")
    version: Version | None = Field(None, description="the version")
    condition: Condition = Field(
        description="`well`, `drifted` (it serves, but not as recorded), `degraded` (a part does not serve), `down`, "
        "or `unknown`"
    )
    reason: Line | None = Field(None, description="why, in a sentence")
    wanted: Count = Field(description="how many instances should run")
    running: Count | None = Field(None, description="how many instances run")
    healthy: Count | None = Field(None, description="how many of them answer well")
    restarts: Count = Field(0, description="how many ended and were started again during the last minute")
    share: Percent | None = Field(None, description="its real share of the traffic, in percent")


class SlotCondition(SeenSlot):
    """An observation of one slot, with its role at that time."""

    role: Role = Field(description="`stable` is what runs, `candidate` is what comes")


class Observation(Value):
    """An executor's observation of one component.

    `fence` is the highest fence of an order that the component had seen when the observation began: it tells which
    steps came before. `observedat` is when the observation began, by the executor's clock.
    """

    environment: Name = Field(description="the environment")
    application: Name = Field(description="the application")
    target: Name = Field(description="the target in the environment")
    component: Name = Field(description="the component")
    condition: Condition = Field(
        description="`well`, `drifted` (it serves, but not as recorded), `degraded` (a part does not serve), `down`, "
        "or `unknown`"
    )
    reason: Line | None = Field(None, description="why, in a sentence")
    slots: Annotated[tuple[SeenSlot, ...], Field(max_length=MAX_SLOTS)] = Field(
        (), description="what was seen of each slot"
    )
    fence: Annotated[int, Field(ge=0)] = Field(
        0, description="that of the newest order which the component had seen when the look began"
    )
    observedat: Moment = Field(description="when the executor saw it")

    @property
    def is_blind(self) -> bool:
        """True if the executor could not observe: the absence of slots then says nothing."""
        return self.condition == "unknown" and not self.slots


def worst(*conditions: Condition) -> Condition:
    """Return the worst of several conditions; well if there are none."""
    return max(conditions, key=SEVERITY.__getitem__, default="well")


def compare(recorded: Mapping[str, str], seen: Observation) -> tuple[Condition, str | None]:
    """Compare the condition of a component that no deployment is changing with the log.

    `recorded` is the version per slot that should run something. A difference between the running and the recorded
    slots is drift; if nothing runs that should, the component is down.
    """
    if seen.condition == "unknown":
        return seen.condition, seen.reason
    running = {each.slot: each.version for each in seen.slots if each.wanted}
    differences = []
    for slot, version in recorded.items():
        if slot not in running:
            differences.append(f"{slot} should run {version} and holds nothing")
        elif running[slot] not in (None, version):
            differences.append(f"{slot} runs {running[slot]} and {version} is recorded")
    differences += [
        f"{slot} runs {version or 'something'} unrecorded" for slot, version in running.items() if slot not in recorded
    ]
    if not differences:
        return seen.condition, seen.reason
    condition: Condition = "down" if recorded and not set(recorded) & set(running) else "drifted"
    reasons = [*differences, *([seen.reason] if seen.reason else [])]
    return worst(seen.condition, condition), "; ".join(reasons)[:500]
