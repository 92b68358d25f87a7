"""The step `pause`: wait for some time, or for a person."""

from typing import Literal

from release_management.domain.plan.step import Step
from release_management.kernel.types import Line, Seconds


class Pause(Step):
    """Wait for `duration` seconds, or for a person where it is None; `deadline` then ends the waiting."""

    verb: Literal["pause"] = "pause"
    reason: Line
    duration: Seconds | None = None
    deadline: Seconds = 0.0
    baking: bool = False

    def describe(self) -> str:
        """For how long, and why."""
        if self.duration is None:
            return f"pause until promoted ({self.reason})"
        return f"{'bake' if self.baking else 'pause'} {self.duration:g} s ({self.reason})"

    def is_skippable(self, *, outdone: bool) -> bool:
        """A bake keeps the old version for a while, and is not skipped."""
        return not self.baking
