"""The settings of a component that the executor `command` deploys."""

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, ValidationError

from release_management.adapters.executors.base.claims import Claims
from release_management.adapters.executors.base.variables import check_arguments, check_environment
from release_management.domain.plan import ACTIONS
from release_management.domain.plan.step import (
    ORDER_SECONDS,
    StepAction,
    verb_of,
)
from release_management.kernel.types import (
    Name,
    Replicas,
    Seconds,
    Value,
    explain,
)

OBSERVE = "observe"
if TYPE_CHECKING:
    Verb = str
else:
    Verb = Literal[(*ACTIONS, OBSERVE)]
"""The verbs of an executor's actions, or `observe`."""
MAX_OBSERVE_SECONDS = 8.0


def _no_line(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        words = shlex.split(value)
    except ValueError:
        words = value.split()
    raise ValueError(f"write the program and its arguments as a list, such as {json.dumps(words)}")


def _program(words: list[str]) -> list[str]:
    if not words[0]:
        raise ValueError("the first word is empty; write a program and its arguments")
    check_arguments(words)
    return words


def _environment(env: dict[str, str]) -> dict[str, str]:
    check_environment(env)
    return env


Argv = Annotated[list[str], Field(min_length=1, max_length=100), AfterValidator(_program), BeforeValidator(_no_line)]


class CommandSettings(Value):
    """The settings of one component: `Order.settings` of the executor `command`.

    `commands` holds a program with its arguments per verb, without a shell; `route` is needed only if the target shifts
    traffic. A program that has not ended after `timeout` is ended with all that it has started: SIGTERM, and SIGKILL
    after `stop_grace`. `cwd` defaults to the executor's own. If `observe` is given, it is run every `observe_interval`
    to report the component's condition, and may take `observe_timeout`; without it the condition is unknown. `claims`
    are resources that only this component may use.
    """

    commands: dict[Verb, Argv] = Field(
        description="a program with its arguments per verb: `provision`, `await_healthy`, `route`, `retire`; no shell"
    )
    timeout: Seconds = Field(
        300.0,
        description="how long a program may take, at most 10m; `await_healthy` also ends at its `healthy_deadline`",
    )
    stop_grace: Seconds = Field(5.0, description="how long a program that is to end may take from SIGTERM to SIGKILL")
    observe_timeout: Annotated[Seconds, Field(gt=0, le=MAX_OBSERVE_SECONDS)] = Field(
        5.0, description="how long `observe` may take; after that it is unknown how the component is"
    )
    observe_interval: Annotated[Seconds, Field(gt=0, le=MAX_OBSERVE_SECONDS)] = Field(
        3.0, description="the time from one `observe` to the next"
    )
    slots: Annotated[list[Name], Field(min_length=1, max_length=8)] = Field(
        ["blue", "green"], description="the physical stands that a version can occupy, as the target has them"
    )
    replicas: Replicas = Field(1, description="how many instances a program is asked for")
    env: Annotated[dict[str, str], AfterValidator(_environment)] = Field({}, description="environment variables")
    cwd: str | None = Field(None, description="the working directory; absent: the executor's own")
    claims: Claims = Field(Claims(), description="what the component has for itself alone")


def check_settings(raw: Mapping[str, JsonValue], routes: bool = True) -> CommandSettings:
    """Parse settings; `routes` is True if the target shifts traffic.

    Raises `ValueError` with one sentence that says what is wrong and what would be right.
    """
    try:
        settings = CommandSettings.model_validate(dict(raw))
    except ValidationError as error:
        raise ValueError(explain(error)) from None
    if not 0 < settings.timeout <= ORDER_SECONDS:
        raise ValueError(f"timeout is {settings.timeout:g} s; write at most {ORDER_SECONDS / 60:g}m, a step's time")
    for need in ("every deployment", *(("shifted traffic",) if routes else ())):
        for action in ACTIONS.values():
            if need == action.NEEDED_BY:
                check_program(settings, action)
    return settings


def check_program(settings: CommandSettings, action: type[StepAction]) -> None:
    """Raise `ValueError` where there is no program for what is ordered."""
    verb = verb_of(action)
    if verb in settings.commands:
        return
    if action.NEEDED_BY == "shifted traffic":
        raise ValueError(
            f'commands lacks "{verb}", which a target that shifts traffic needs; add a program for it, '
            "or say that the target has routes: none"
        )
    needs = action.NEEDED_BY or "this deployment"
    raise ValueError(f'commands lacks "{verb}", which {needs} needs; add a program for it')
