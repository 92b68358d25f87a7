"""The settings of a component that the executor `local` runs."""

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, JsonValue, ValidationError, model_validator

from release_management.adapters.executors.base.claims import Claims
from release_management.adapters.executors.base.variables import check_arguments, check_environment
from release_management.kernel.types import (
    Name,
    Seconds,
    Value,
    explain,
    seconds,
)

PLACEHOLDERS = ("port", "version", "artifact", "component", "slot", "instance", "environment", "python")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")


LONGEST_WAIT = 86_400

Wait = Annotated[float, BeforeValidator(seconds), Field(ge=0.01, le=LONGEST_WAIT, allow_inf_nan=False)]
CheckTimeout = Annotated[float, BeforeValidator(seconds), Field(ge=0.01, le=10, allow_inf_nan=False)]
"""Bounded, since an executor that is stopped waits for its own checks in flight."""
CheckInterval = Annotated[float, BeforeValidator(seconds), Field(ge=0.01, le=60, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10)]


class Balancing(Value):
    """Time-outs, in seconds, of HAProxy for the instances and the clients of a component."""

    connect_timeout: Wait = Field(1.0, description="how long an instance may take to accept a connection")
    answer_timeout: Wait = Field(
        300.0,
        description="how long an instance may be silent before and in its answer, and a client in its request; then "
        "504, or the connection is closed",
    )
    stream_timeout: Wait = Field(
        3600.0,
        description="how long a WebSocket (or any upgraded connection) may be silent on both sides, and an event "
        "stream that was asked for with `Accept: text/event-stream`",
    )
    keep_alive: Wait = Field(5.0, description="how long a client's connection may be idle between two requests")


class HealthCheck(Value):
    """HAProxy's health checks of an instance: times in seconds, and how many results in a row change its status."""

    timeout: CheckTimeout = Field(1.0, description="how long an instance may take to answer a health check")
    interval: CheckInterval = Field(0.2, description="the time between two health checks of an instance")
    rise: Count = Field(
        1, description="how many checks in a row must succeed before an instance that was down gets traffic"
    )
    fall: Count = Field(2, description="how many checks in a row must fail before an instance gets no traffic")


class ComponentSettings(Value):
    """The settings of one component: `Order.settings` of the executor `local`.

    `command` is an argv, without a shell; `{port}`, `{version}`, `{artifact}`, `{component}`, `{slot}`, `{instance}`
    (1, 2, … in the slot), `{environment}` and `{python}` (this interpreter) are filled in. HAProxy listens on
    127.0.0.1:`port`. `health` is the path that answers 2xx or 3xx if an instance is healthy. `stop_grace` is how many
    seconds requests and streams may take to finish, and an instance to end, before it is killed. `cwd` defaults to the
    executor's own. `balancer` and `health_check` hold HAProxy's time-outs; changing them cuts no connection. `claims`
    are resources that only this component may use; `port` is claimed by itself.
    """

    command: Annotated[list[str], Field(min_length=1)] = Field(description="the program and its arguments; no shell")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(
        description="where HAProxy listens on 127.0.0.1, for no other component of any environment; the instances get "
        "ports of their own"
    )
    health: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/?=&%:@!;,+*-]{0,200}$")] = Field(
        "/", description="the path that answers 2xx or 3xx when an instance is healthy"
    )
    slots: Annotated[list[Name], Field(min_length=1, max_length=8)] = Field(
        ["blue", "green"], description="the physical stands that a version can occupy, as the target has them"
    )
    replicas: Annotated[int, Field(ge=1, le=32)] = Field(1, description="how many instances")
    max_replicas: Annotated[int, Field(ge=1, le=32)] = Field(
        4, description="how many instances a slot can hold; the load balancer has that many lines per slot"
    )
    stop_grace: Seconds = Field(
        10.0,
        description="how long requests and streams may take to finish, and an instance to end, before it is killed",
    )
    balancer: Balancing = Field(Balancing(), description="how long HAProxy waits")
    health_check: HealthCheck = Field(HealthCheck(), description="how HAProxy asks for `health`")
    env: dict[str, str] = Field({}, description="environment variables")
    cwd: str | None = Field(None, description="the working directory; absent: the executor's own")
    claims: Claims = Field(Claims(), description="what the component has for itself alone")

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        for word in self.command:
            for name in _PLACEHOLDER.findall(word):
                if name not in PLACEHOLDERS:
                    known = ", ".join("{" + each + "}" for each in PLACEHOLDERS)
                    raise ValueError(f"the command has the unknown placeholder {{{name}}}; known are {known}")
        if not self.command[0]:
            raise ValueError("the command's first word is empty; write a program's argv")
        check_arguments(self.command)
        if self.replicas > self.max_replicas:
            raise ValueError(f"replicas is {self.replicas}; it must not exceed max_replicas, {self.max_replicas}")
        check_environment(self.env)
        servers = [server_name(slot, index) for slot in self.slots for index in range(1, self.max_replicas + 1)]
        if len(set(servers)) < len(servers):
            raise ValueError(f"the slots {', '.join(self.slots)} are too alike; give them names without a number")
        return self


def check_settings(raw: Mapping[str, JsonValue]) -> ComponentSettings:
    """Parse settings. Raises `ValueError` with one sentence that says what is wrong and what would be right."""
    try:
        return ComponentSettings.model_validate(dict(raw))
    except ValidationError as error:
        raise ValueError(explain(error)) from None


def longest(waits: Iterable[Balancing]) -> Balancing:
    """Return the longest of each time-out."""
    found = [each.model_dump() for each in waits]
    return Balancing(**{name: max(each[name] for each in found) for name in Balancing.model_fields})


def server_name(slot: str, index: int) -> str:
    """Return the name of an instance's server line in HAProxy, such as `blue1`."""
    return f"{slot}{index}"


def fill_in(command: list[str], values: Mapping[str, str]) -> list[str]:
    """Return the command with its placeholders replaced by `values`; `{python}` is this interpreter."""
    known = {"python": sys.executable, **values}
    return [_PLACEHOLDER.sub(lambda match: known[match[1]], word) for word in command]
