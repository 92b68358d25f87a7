"""What to say where something that was named does not exist."""

from collections.abc import Collection
from difflib import get_close_matches

SHOWN = 10


def does_not_exist(kind: str, name: str, known: Collection[str]) -> str:
    """That there is no such thing, which one may have been meant, and which there are."""
    return f"{kind} {name!r} does not exist{what_there_is(name, known)}"


def what_there_is(name: str, known: Collection[str]) -> str:
    """Which one may have been meant, and which there are; after what is wrong with the name."""
    near = get_close_matches(name.strip().lower(), known, n=1, cutoff=0.7)
    meant = f"; did you mean {near[0]!r}?" if near else ";"
    shown = ", ".join(list(known)[:SHOWN]) or "none yet"
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f"{meant} known: {shown}{more}"
