"""The step `pause`: wait for some time, or for a person."""

from typing import Literal

from pydantic import Field

from release_management.domain.plan.step import Step
from release_management.kernel.types import Line, Seconds


class Pause(Step):
    """Wait for `duration` seconds, or for a person where it is None; `deadline` then ends the waiting."""

    verb: Literal["pause"] = Field("pause", description="which kind it is")
    reason: Line = Field(description="why, in a sentence")
    duration: Seconds | None = Field(None, description="how long; absent: until somebody promotes")
    deadline: Seconds = Field(0.0, description="how long a person may take, where there is no duration")
    baking: bool = Field(False, description="whether this is the wait before the old version is stopped")

    def describe(self) -> str:
        """For how long, and why."""
        if self.duration is None:
            return f"pause until promoted ({self.reason})"
        return f"{'bake' if self.baking else 'pause'} {self.duration:g} s ({self.reason})"

    def is_skippable(self, *, outdone: bool) -> bool:
        """A bake keeps the old version for a while, and is not skipped."""
        return not self.baking
