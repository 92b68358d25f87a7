"""One line of the table: what was measured, on which store, both sides, and what was aimed at."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from release_management.views import rendered, table


@dataclass(frozen=True, slots=True)
class Row:
    """`value` is compared with `target`: a ratio, milliseconds, or whatever `unit` says. `note` is said below."""

    measure: str
    store: str
    ours: str
    peer: str = ""
    value: float | None = None
    unit: str = "x"
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.value is None or (self.at_least is None and self.at_most is None):
            return None
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    @property
    def found(self) -> str:
        """What is compared with the target, in words."""
        return "" if self.value is None else f"{self.value:,.2f} {self.unit}"

    @property
    def target(self) -> str:
        """What was aimed at, in words."""
        target = f"≥ {self.at_least:g}" if self.at_least is not None else ""
        return f"≤ {self.at_most:g}" if self.at_most is not None else target

    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        mark = {True: "✔", False: "✘", None: ""}[self.reached]
        return (self.measure, self.store, self.ours, self.peer, self.found, self.target, mark)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "reached": self.reached}


def shown(rows: Sequence[Row]) -> str:
    """The table with its notes."""
    columns = ("", "store", "ours", "peer", "ratio or figure", "target", "")
    notes = list(dict.fromkeys(f"{row.measure}: {row.note}" for row in rows if row.note))
    return "\n".join([rendered(table(*columns, rows=[row.cells() for row in rows])), *([""] if notes else []), *notes])


def missed(rows: Sequence[Row]) -> list[Row]:
    """Those that did not reach their target."""
    return [row for row in rows if row.reached is False]


def closing(rows: Sequence[Row]) -> str:
    """How many targets were missed, and which."""
    aims = sum(row.reached is not None for row in rows)
    if not aims:
        return "no targets among these rows"
    if not (names := [f"{row.measure} on {row.store} ({row.found}, aimed at {row.target})" for row in missed(rows)]):
        return f"all targets reached, {aims} of {aims}"
    return f"{len(names)} of {aims} targets missed: {'; '.join(names)}"


def in_turns(mine: Callable[[], float], theirs: Callable[[], float], rounds: int) -> tuple[float, float, float]:
    """Both sides in turns; the median of each, and the median of the rounds' ratios."""
    pairs = [(mine(), theirs()) for _ in range(rounds)]
    ours, peer = (statistics.median(side) for side in zip(*pairs, strict=True))
    return ours, peer, statistics.median(a / b for a, b in pairs)
