"""Long lists for people: alike things are one line, with their number."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

MANY = 60
"""So many lines a person reads; more are summed up, unless all are asked for."""
MARKS = {"started": "…", "waiting": "…", "done": "✔", "failed": "✗", "errored": "✗", "skipped": "-", "pending": "·"}
"""What a step's status looks like."""
Step = dict[str, Any]
_BAD = ("failed", "errored")


@dataclass(frozen=True, slots=True)
class Group:
    """Steps that are alike but for the component and the place. `first` is the index of the first of them."""

    first: int
    steps: Sequence[Step]

    @property
    def text(self) -> str:
        """What they do, together."""
        step = self.steps[0]
        if len(self.steps) == 1:
            return str(step["description"])
        from release_management.domain.plan import STEPS

        return STEPS[step["verb"]].describe_alike(step, _counted(self.steps))

    @property
    def numbers(self) -> str:
        """Which steps they are, from 1 on."""
        last = self.first + len(self.steps)
        return str(last) if len(self.steps) == 1 else f"{self.first + 1}-{last}"

    def count(self, *statuses: str) -> int:
        """How many of them are in one of these statuses."""
        return sum(step.get("status") in statuses for step in self.steps)

    @property
    def is_done(self) -> bool:
        """Whether nothing of it is left to do."""
        return self.count("done", "skipped") == len(self.steps)

    @property
    def progress(self) -> str:
        """How many are done, and how many went wrong; empty while none is begun."""
        done, bad, begun = self.count("done"), self.count(*_BAD), self.count("started", "waiting")
        if self.count("skipped") == len(self.steps):
            return "skipped"
        if not (done or bad or begun):
            return ""
        wrong = f", {bad:,} went wrong" if bad else ""
        return f"{done:,} of {len(self.steps):,}{wrong}"


def groups(steps: Sequence[Step]) -> Iterator[Group]:
    """Steps that follow one another in one wave and do the same, together."""
    at = 0
    for _, alike in groupby(steps, key=_kind):
        found = list(alike)
        yield Group(at, found)
        at += len(found)


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


def some(names: Iterable[str], most: int = 10) -> str:
    """Names with commas; of many, the first and how many more there are."""
    listed = list(names)
    if len(listed) <= most:
        return ", ".join(listed)
    return f"{', '.join(listed[:most])} and {len(listed) - most:,} more"
