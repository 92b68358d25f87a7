"""Derive an order's verdict from its program's exit code and optional JSON answer."""

from typing import Annotated, Literal

from pydantic import Field, ValidationError

from release_management.adapters.executors.base.executor import StepResult
from release_management.adapters.executors.base.processes import describe_exit
from release_management.adapters.executors.command.output import Output
from release_management.domain.component import Slot
from release_management.domain.orders import Order
from release_management.domain.plan.steps.route import RouteSlots
from release_management.kernel.types import (
    Percent,
    Value,
    explain,
)
from release_management.services.strict_json import read_json

FAILED = 1
"""The exit code of a bad release. Any other but 0 means that the machinery broke."""


class ProgramAnswer(Value):
    """The JSON object that a program may write as the last line of its standard output, or as all of it.

    `result` is the verdict if the exit code is 0; `observed` is the traffic share in percent per slot, as stated by the
    system that shifts the traffic.
    """

    result: Literal["succeeded", "failed", "errored", "stale"] | None = Field(
        None, description="what became of the order; absent: what the exit code says"
    )
    reason: str | None = Field(
        None, description="why, in one sentence; absent: the exit code and the last line that it wrote"
    )
    observed: Annotated[dict[Slot, Percent], Field(max_length=8)] | None = Field(
        None, description="for `route`: the share in percent per slot that what shifts the traffic itself states"
    )


def verdict(order: Order, code: int, output: Output) -> StepResult:
    """Return the order's verdict, by the exit code and the output of its program."""
    ended = describe_exit(code, output.last_line)
    if code not in (0, FAILED):
        return "errored", ended, None
    try:
        answer = output.answer(lambda text: _answer(text, whole=not output.stdout.lost))
    except ValidationError as error:
        return "errored", f"the program's answer cannot be used: {explain(error)}", None
    except ValueError as error:
        return "errored", f"the program's answer cannot be used: {error}", None
    if code == FAILED:
        if answer.result == "succeeded":
            return "errored", f'the program answers "succeeded", but exited with code {FAILED}', None
        return answer.result or "failed", answer.reason or ended, answer.observed
    result = answer.result or "succeeded"
    if result == "succeeded" and isinstance(order.action, RouteSlots) and answer.observed is not None:
        shown = {slot: share for slot, share in answer.observed.items() if share}
        ordered = {slot: share for slot, share in order.action.weights.items() if share}
        if shown != ordered:
            return "errored", f"the shares are {shown or 'all 0'}, though {ordered or 'none'} were asked for", None
    if result != "succeeded" and answer.reason is None:
        return result, f"the program answers {result!r} without a reason", answer.observed
    return result, answer.reason, answer.observed


def _answer(stdout: str, *, whole: bool) -> ProgramAnswer:
    """Return the answer in the output: all of it, or its last line, if that begins with a brace; else an empty one."""
    text = stdout.strip()
    last = text.splitlines()[-1].strip() if text else ""
    if whole and text.startswith("{") and not last.startswith("{"):
        return _read(text)
    return _read(last) if last.startswith("{") else ProgramAnswer()


def _read(text: str) -> ProgramAnswer:
    """Parse an answer. Raises ValueError, also for a duplicate key."""
    answer = ProgramAnswer.model_validate_json(text)
    read_json(text)
    return answer
