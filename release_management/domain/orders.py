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
"""The maximum number of attempts of a step that ends with errors of the machinery, by leg."""


class Order(Value):
    """One step for one component at one place.

    `fence` is the log position of the fact that caused the order. An executor compares it, under the lock of the
    place's component, with the highest fence it has durably seen there: anything lower is answered `stale` and changes
    nothing; the same fence again is answered as before.
    """

    deployment: str = Field(description="the deployment's id")
    leg: Leg = Field(description="whether it is on the way forward or on the way back")
    step: Annotated[int, Field(ge=0)] = Field(description="the step's index in the leg, from 0")
    attempt: Annotated[int, Field(ge=1)] = Field(description="which try of the step this is, from 1")
    fence: Annotated[int, Field(ge=1)] = Field(
        description="the log position of the record that caused the order; anything lower than what was seen is stale"
    )
    executor: Name = Field(description="who carries the steps out; there are `command` and `local`")
    environment: Name = Field(description="the environment")
    application: Name = Field(description="the application")
    target: Name = Field(description="the target in the environment")
    component: Name = Field(description="the component")
    action: Action = Field(description="what the executor is to do; roles have become slots")
    settings: dict[str, JsonValue] = Field({}, description="the component's settings")
    variables: dict[str, str] = Field(
        {},
        description="environment variables of every process there; `env:NAME` and `file:PATH` are references, "
        "resolved by the executor",
    )
    deadline: str = Field(description="when the attempt ends")


Result = Literal["succeeded", "failed", "errored", "stale", "unwell"]


class Report(Value):
    """The result of an order. *failed*: the release is bad; *errored*: the machinery broke; *stale*: fenced off;
    *unwell*: what had to be healthy is not, and nothing was done.

    `observed` is the traffic share in percent per slot that the load balancer itself states, where the order was one
    that can change it.
    """

    deployment: str = Field(description="the deployment's id")
    leg: Leg = Field(description="whether it is on the way forward or on the way back")
    step: Annotated[int, Field(ge=0)] = Field(description="the step's index in the leg, from 0")
    attempt: Annotated[int, Field(ge=1)] = Field(description="which try of the step this is, from 1")
    fence: Annotated[int, Field(ge=1)] = Field(
        description="the log position of the record that caused the order; anything lower than what was seen is stale"
    )
    result: Result = Field(description="what became of it")
    reason: Line | None = Field(None, description="why, in a sentence")
    observed: dict[Slot, Percent] | None = Field(
        None, description="the share in percent per slot that the load balancer stated"
    )
    observedat: Moment = Field(description="when the executor saw it")
