"""The step `pause`: wait for some time, or for a person."""

from typing import Literal

from pydantic import Field

from release_management.domain.plan.step import Step
from release_management.kernel.types import Line, Seconds


class Pause(Step):
    """Wait for `duration` seconds, or for a person (None), until `deadline` at the latest."""

    verb: Literal["pause"] = Field("pause", description="which kind it is")
    reason: Line = Field(description="why, in a sentence")
    duration: Seconds | None = Field(None, description="how long; absent: until somebody promotes")
    deadline: Seconds = Field(0.0, description="how long a person may take, where there is no duration")
    baking: bool = Field(False, description="whether this is the wait before the old version is stopped")

    def describe(self) -> str:
        """Return a sentence on the duration and the reason."""
        if self.duration is None:
            return f"pause until promoted ({self.reason})"
        return f"{'bake' if self.baking else 'pause'} {self.duration:g} s ({self.reason})"

    def is_skippable(self, *, outdone: bool) -> bool:
        """Return True unless it is a bake, which keeps the old version for a while."""
        return not self.baking
