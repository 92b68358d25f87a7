"""What to say where something that was named does not exist."""

from bisect import bisect
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from itertools import takewhile

SHOWN = 10
COMPARED = 20
"""With so many names, those that begin alike, a name is compared letter by letter, which takes its time."""


def does_not_exist(kind: str, name: str, known: Collection[str]) -> str:
    """That there is no such thing, which one may have been meant, and which there are."""
    return f"{kind} {name!r} does not exist{what_there_is(name, known)}"


def what_there_is(name: str, known: Collection[str]) -> str:
    """Which one may have been meant, and which there are; after what is wrong with the name."""
    wanted = name.strip().lower()
    likely = list(known) if len(known) <= SHOWN else _beginning_alike(wanted, known)
    near = get_close_matches(wanted, likely, n=1, cutoff=0.7)
    meant = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{meant} known: {some(likely, len(known))}"


def _beginning_alike(name: str, known: Collection[str]) -> list[str]:
    """The names that begin most like this one; they stand around its place in the alphabet."""
    names = sorted(known)
    first = max(0, min(bisect(names, name) - COMPARED // 2, len(names) - COMPARED))
    return sorted(names[first : first + COMPARED], key=lambda each: -_letters_alike(name, each))


def _letters_alike(name: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(name, other, strict=False)))


def some(names: Sequence[str], number: int | None = None) -> str:
    """The first of some names, and how many more there are of all, whose `number` may be larger than given here."""
    shown = ", ".join(names[:SHOWN]) or "none yet"
    more = (number or len(names)) - SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown
