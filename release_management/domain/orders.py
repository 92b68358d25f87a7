"""The orders to an executor, and its reports."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from release_management.domain.component import Slot
from release_management.domain.plan import Action, Leg
from release_management.kernel.timestamps import Moment
from release_management.kernel.types import (
    Line,
    Name,
    Percent,
    Value,
)

ATTEMPTS: Mapping[Leg, int] = {"forward": 3, "rollback": 6}
"""The number of attempts of a step in all, if the machinery breaks."""


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
    """The result of an order. *failed*: the release is bad; *errored*: the machinery broke; *stale*: fenced off;
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
