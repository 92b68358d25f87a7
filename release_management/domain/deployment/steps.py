"""The states of a deployment's steps, stored so that a change costs the same with ten steps and with ten thousand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

from release_management.domain.plan import Leg

StepKey = tuple[Leg, int]
"""A step's leg, and its index in it."""
_PART = 64


class StepStatus(StrEnum):
    """The status of a step."""

    STARTED = "started"
    WAITING = "waiting"
    ERRORED = "errored"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class StepState:
    """A step that was begun. `due` ends the attempt, the waiting, or the time before the next attempt.

    `untouched`: it failed before anything was done, since a check of health failed.
    """

    status: StepStatus
    attempt: int = 1
    due: str | None = None
    timed: bool = False
    untouched: bool = False


class StepStates(Mapping[StepKey, StepState]):
    """The states of the steps that were begun. It is immutable; `having` returns a changed copy.

    It stores them in parts of 64, so that a copy copies a single part and the list of the parts.
    """

    __slots__ = ("_parts",)

    def __init__(self, steps: Mapping[StepKey, StepState] | None = None) -> None:
        self._parts: dict[StepKey, dict[StepKey, StepState]] = {}
        for (leg, index), step in (steps or {}).items():
            self._parts.setdefault((leg, index // _PART), {})[leg, index] = step

    def having(self, leg: Leg, index: int, step: StepState) -> "StepStates":
        """Return a copy with this step in this state."""
        changed = StepStates()
        part_key = (leg, index // _PART)
        changed._parts = {**self._parts, part_key: {**self._parts.get(part_key, {}), (leg, index): step}}
        return changed

    def __getitem__(self, key: StepKey) -> StepState:
        leg, index = key
        return self._parts[leg, index // _PART][key]

    def __iter__(self) -> Iterator[StepKey]:
        return (key for part in self._parts.values() for key in part)

    def __len__(self) -> int:
        return sum(map(len, self._parts.values()))

    def __repr__(self) -> str:
        return f"StepStates({dict(self)!r})"


def _listed(steps: Mapping[StepKey, StepState]) -> list[tuple[Leg, int, StepState]]:
    return [(leg, index, step) for (leg, index), step in steps.items()]


def _keyed(steps: Any) -> Any:
    return {(leg, index): step for leg, index, step in steps} if isinstance(steps, list) else steps


Steps = Annotated[
    Mapping[StepKey, StepState], BeforeValidator(_keyed), AfterValidator(StepStates), PlainSerializer(_listed)
]
"""Steps by leg and index; in JSON, whose keys are texts, a list."""
