"""Summarise long lists for people: equal steps become one line, with their number."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

MANY = 60
"""The maximum number of lines that are shown; more are summarised, unless all are requested."""
MARKS = {"started": "…", "waiting": "…", "done": "✔", "failed": "✗", "errored": "✗", "skipped": "-", "pending": "·"}
"""The mark of each step status."""
Step = dict[str, Any]
_BAD = ("failed", "errored")


@dataclass(frozen=True, slots=True)
class StepGroup:
    """Steps that differ only in component and place. `first` is the index of the first of them."""

    first: int
    steps: Sequence[Step]

    @property
    def text(self) -> str:
        """The description of all steps of the group."""
        step = self.steps[0]
        if len(self.steps) == 1:
            return str(step["description"])
        from release_management.domain.plan import STEPS

        return STEPS[step["verb"]].describe_alike(step, _counted(self.steps))

    @property
    def numbers(self) -> str:
        """The numbers of the steps, from 1 on."""
        last = self.first + len(self.steps)
        return str(last) if len(self.steps) == 1 else f"{self.first + 1}-{last}"

    def count(self, *statuses: str) -> int:
        """Return how many of them have one of these statuses."""
        return sum(step.get("status") in statuses for step in self.steps)

    @property
    def is_done(self) -> bool:
        """True if no step of the group is left."""
        return self.count("done", "skipped") == len(self.steps)

    @property
    def progress(self) -> str:
        """The number of done steps, and of failed ones; empty while no step has begun."""
        done, bad, begun = self.count("done"), self.count(*_BAD), self.count("started", "waiting")
        if self.count("skipped") == len(self.steps):
            return "skipped"
        if not (done or bad or begun):
            return ""
        wrong = f", {bad:,} went wrong" if bad else ""
        return f"{done:,} of {len(self.steps):,}{wrong}"


def groups(steps: Sequence[Step]) -> Iterator[StepGroup]:
    """Group steps that follow one another in one wave and do the same."""
    first = 0
    for _, equal_steps in groupby(steps, key=_kind):
        found = list(equal_steps)
        yield StepGroup(first, found)
        first += len(found)


def _kind(step: Step) -> tuple[object, ...]:
    weights = step.get("weights")
    shares = tuple(weights.items()) if weights else None
    return step.get("wave"), step["verb"], step.get("role"), shares


def _counted(steps: Sequence[Step]) -> str:
    components = {step.get("component") for step in steps}
    targets = {step.get("target") for step in steps}
    parts = f"{len(components):,} components" if len(components) > 1 else str(*components)
    places = f"{len(targets):,} targets" if len(targets) > 1 else str(*targets)
    return f"{parts} on {places}"
