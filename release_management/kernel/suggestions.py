"""Suggest known names for one that does not exist."""

from bisect import bisect
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from itertools import takewhile

SHOWN = 10
COMPARED = 20
"""This many names, those that begin alike, are compared letter by letter, which is slow."""


def does_not_exist(kind: str, name: str, known: Collection[str]) -> str:
    """Return a sentence that the thing does not exist, with a suggestion and known names."""
    return f"{kind} {name!r} does not exist{what_there_is(name, known)}"


def what_there_is(name: str, known: Collection[str]) -> str:
    """Return a suggestion and known names, to follow a sentence on the unknown name."""
    written = name.strip().lower()
    likely = list(known) if len(known) <= SHOWN else _beginning_alike(written, known)
    near = get_close_matches(written, likely, n=1, cutoff=0.7)
    meant = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{meant} known: {some(likely, len(known))}"


def _beginning_alike(name: str, known: Collection[str]) -> list[str]:
    """Return the names that begin most like this one; they stand around its place in the alphabet."""
    names = sorted(known)
    first = max(0, min(bisect(names, name) - COMPARED // 2, len(names) - COMPARED))
    return sorted(names[first : first + COMPARED], key=lambda each: -_letters_alike(name, each))


def _letters_alike(name: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(name, other, strict=False)))


def first_few(names: Iterable[str], most: int = 10) -> str:
    """Join names with commas; of many, the first and the number of the others."""
    listed = list(names)
    if len(listed) <= most:
        return ", ".join(listed)
    return f"{', '.join(listed[:most])} and {len(listed) - most:,} more"


def some(names: Sequence[str], number: int | None = None) -> str:
    """Return the first names and the number of the others; `number` is that of all, if more than given here."""
    shown = ", ".join(names[:SHOWN]) or "none yet"
    more = (number or len(names)) - SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


def no_such_executor(name: str, known: Collection[str]) -> str:
    """Return the refusal of an unknown executor: the known ones, and where to install another's package."""
    return (
        f"there is no executor {name!r}{what_there_is(name, sorted(known))}; install the package of another one where "
        "the gateway runs and where the executor runs"
    )
