"""One line of the table: the measurement, the store, both sides, and the target."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from io import StringIO
from typing import Any

from rich.console import Console

from release_management.facade.views import table

LIBRARY, CACHING_LIBRARY, EMPTY = "library", "library, caching", "ours, empty"
PEERS = {
    LIBRARY: (
        f"eventsourcing {version('eventsourcing')}, unmodified, with its own application, aggregates, recorder and "
        "projection runner, on a store of the same kind"
    ),
    CACHING_LIBRARY: (
        "the same with its cache of aggregates on and fast-forward off, as fits a process that alone writes: "
        "AGGREGATE_CACHE_MAXSIZE, AGGREGATE_CACHE_FASTFORWARD=n"
    ),
    EMPTY: "release-management itself: the same command in a store of the same kind with a handful of events in all",
}
COLUMNS = ("what is measured", "store", "ours", "peer", "the peer is", "ours : peer", "aim", "", "rounds", "notes")
WIDTH = 220
"""More than any line has: a folded line is hard to read, for people and programs."""


@dataclass(frozen=True, slots=True)
class Figure:
    """The results of several rounds: their median, and the lowest and the highest."""

    value: float
    low: float
    high: float
    rounds: int = 1
    unit: str = ""

    @classmethod
    def of(cls, *rounds: float, unit: str = "") -> "Figure":
        """Return the figure of these rounds."""
        return cls(statistics.median(rounds), min(rounds), max(rounds), len(rounds), unit)

    def __str__(self) -> str:
        """Return a text such as `5.02 ms (4.80 to 6.11)`; a single round has no spread."""
        digits = 0 if self.value >= 100 else 1 if self.value >= 10 else 2
        value, low, high = (f"{each:,.{digits}f}" for each in (self.value, self.low, self.high))
        said = f"{value} {self.unit}".rstrip()
        return f"{said} ({low} to {high})" if self.rounds > 1 else said


@dataclass(frozen=True, slots=True)
class Row:
    """`against` is one of `PEERS`, and `ratio` ours to the peer's. The target is for the ratio, else for our own
    figure.

    `notes` describe the measurement and its conditions; the table has their numbers.
    """

    measure: str
    store: str
    ours: Figure
    peer: Figure | str = ""
    against: str = ""
    ratio: Figure | None = None
    at_least: float | None = None
    at_most: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def judged(self) -> Figure:
        """The figure that is compared with the target."""
        return self.ours if self.ratio is None else self.ratio

    @property
    def reached(self) -> bool | None:
        """True if the target is reached; None without one."""
        if self.at_least is None and self.at_most is None:
            return None
        above = self.at_least is None or self.judged.value >= self.at_least
        return above and (self.at_most is None or self.judged.value <= self.at_most)

    @property
    def aim(self) -> str:
        """The target, in words."""
        aim = f"≥ {self.at_least:g}" if self.at_least is not None else ""
        return f"≤ {self.at_most:g}" if self.at_most is not None else aim

    def cells(self) -> tuple[object, ...]:
        """Return the cells of the table, without the notes."""
        mark = {True: "✔", False: "✘", None: ""}[self.reached]
        of = self.measure, self.store, self.ours, self.peer, self.against
        return (*of, self.ratio, self.aim, mark, self.judged.rounds)

    def as_json(self) -> dict[str, Any]:
        """Return the row for machines."""
        return {**asdict(self), "reached": self.reached}


def against(measure: str, store: str, ours: Sequence[float], peer: Sequence[float], who: str, **more: Any) -> Row:
    """Return a row of rounds that both sides took in turns: the ratio is that of the same round."""
    unit = more.pop("unit", "")
    sides = Figure.of(*ours, unit=unit), Figure.of(*peer, unit=unit)
    ratio = Figure.of(*(a / b for a, b in zip(ours, peer, strict=True)))
    return Row(measure, store, sides[0], sides[1], who, ratio, **more)


def in_turns(rounds: int, *sides: Callable[[], float]) -> list[list[float]]:
    """Run every side once a round; return the results of each."""
    return [list(side) for side in zip(*([side() for side in sides] for _ in range(rounds)), strict=True)]


def shown(rows: Sequence[Row]) -> str:
    """Return the table, with a description of the sides before it, and the notes after it."""
    notes = list(dict.fromkeys(note for row in rows for note in row.notes))
    cells = [(*row.cells(), " ".join(str(notes.index(note) + 1) for note in row.notes)) for row in rows]
    out = StringIO()
    Console(file=out, width=WIDTH, no_color=True, highlight=False).print(table(*COLUMNS, rows=cells))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join([*_legend(rows), "", *lines, "", *(f"{n}: {note}" for n, note in enumerate(notes, 1))])


def _legend(rows: Sequence[Row]) -> list[str]:
    peers = [name for name in PEERS if any(row.against == name for row in rows)]
    return [
        "ours: release-management as it stands here, durable as it is delivered",
        *(f"{name}: {PEERS[name]}" for name in peers),
        "A figure is the median of the rounds, with the lowest and the highest of them. Both sides take turns, in one",
        "run on one machine, and each ratio is of one round. An aim is for the ratio, or for ours without a peer.",
    ]


def missed(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that did not reach their target."""
    return [row for row in rows if row.reached is False]


def closing(rows: Sequence[Row]) -> str:
    """Return a sentence on the missed targets."""
    aims = sum(row.reached is not None for row in rows)
    if not aims:
        return "no targets among these rows"
    names = [
        f"{row.measure} on {row.store}{f' against {row.against}' if row.against else ''} ({row.judged}, aim {row.aim})"
        for row in missed(rows)
    ]
    if not names:
        return f"all targets reached, {aims} of {aims}"
    return f"{len(names)} of {aims} targets missed: {'; '.join(names)}"
