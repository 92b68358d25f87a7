"""What an executor is asked to do, and what it answers."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from release_management.kernel.timestamps import Moment
from release_management.kernel.types import (
    Digest,
    Line,
    Name,
    Percent,
    Seconds,
    Value,
    Version,
)

Leg = Literal["forward", "rollback"]
Slot = Name
ATTEMPTS: Mapping[Leg, int] = {"forward": 3, "rollback": 6}
"""How often a step is tried in all, where the machinery breaks."""


class ProvisionSlot(Value):
    """`replicas` instances of `version` run in `slot`. Idempotent: make it so."""

    verb: Literal["provision"] = "provision"
    slot: Slot
    version: Version
    artifact: str | None = None
    artifact_digest: Digest | None = None
    config: dict[str, str] = {}
    replicas: Annotated[int, Field(ge=0, le=100)]


Healthy = Annotated[dict[Slot, Annotated[int, Field(ge=1, le=100)]], Field(exclude_if=lambda slots: not slots)]
"""How many instances of which slots must be well before the order is begun. Absent from JSON where none must."""


class AwaitSlotHealthy(Value):
    """All `replicas` instances of `slot` have been healthy for `min_ready` seconds without a break.

    `again` (absent where false): they were found healthy before. Nothing is waited for beyond a moment, and an instance
    that has ended since then is not well, though another runs in its place.
    """

    verb: Literal["await_healthy"] = "await_healthy"
    slot: Slot
    replicas: Annotated[int, Field(ge=0, le=100)]
    min_ready: Seconds = 0.0
    again: Annotated[bool, Field(exclude_if=lambda again: not again)] = False


class RouteSlots(Value):
    """Traffic shares in percent per slot; a slot that is not named gets 0. They sum to 100, or are all 0.

    Where a slot of `healthy` is not well, nothing is done, and the report is `unwell`.
    """

    verb: Literal["route"] = "route"
    weights: dict[Slot, Percent]
    healthy: Healthy = {}

    @model_validator(mode="after")
    def _whole(self) -> "RouteSlots":
        if sum(self.weights.values()) not in (0, 100):
            raise ValueError(f"weights sum to {sum(self.weights.values())}; they must sum to 100, or all be 0")
        return self


class RetireSlot(Value):
    """Nothing runs in `slot` any more. Requests in flight are finished first.

    Where a slot of `healthy` is not well, nothing is done, and the report is `unwell`.
    """

    verb: Literal["retire"] = "retire"
    slot: Slot
    healthy: Healthy = {}


Action = Annotated[ProvisionSlot | AwaitSlotHealthy | RouteSlots | RetireSlot, Field(discriminator="verb")]


class Order(Value):
    """One step for one component at one place.

    `fence` is the log position of the fact that caused the order. An executor compares it, under the lock of the
    place's component, with the highest fence it has durably seen there: anything lower is answered `stale` and changes
    nothing; the same fence again is answered as before.
    """

    deployment: str
    leg: Leg
    step: Annotated[int, Field(ge=0)]
    attempt: Annotated[int, Field(ge=1)]
    fence: Annotated[int, Field(ge=1)]
    executor: Name
    environment: Name
    application: Name
    target: Name
    component: Name
    action: Action
    settings: dict[str, JsonValue] = {}
    variables: dict[str, str] = {}
    deadline: str


Result = Literal["succeeded", "failed", "errored", "stale", "unwell"]


class Report(Value):
    """What became of an order. *failed*: the release is bad; *errored*: the machinery broke; *stale*: fenced off;
    *unwell*: what had to be healthy is not, and nothing was done.

    `observed` is the traffic share in percent per slot that the load balancer itself states, where the order was one
    that can change it.
    """

    deployment: str
    leg: Leg
    step: Annotated[int, Field(ge=0)]
    attempt: Annotated[int, Field(ge=1)]
    fence: Annotated[int, Field(ge=1)]
    result: Result
    reason: Line | None = None
    observed: dict[Slot, Percent] | None = None
    observedat: Moment
