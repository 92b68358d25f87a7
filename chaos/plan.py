"""Plan the kills: one of every requested kind, and others drawn from a seed."""

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

Roles = Mapping[str, int]
"""The number of processes of each role."""
ONE_OF_EACH: Roles = dict.fromkeys(("gateway", "projector", "orchestrator", "timers", "relay", "executor"), 1)
TWO_OF_EACH: Roles = dict.fromkeys(ONE_OF_EACH, 2)
TWO_OF_SOME: Roles = {**ONE_OF_EACH, "gateway": 2, "projector": 2, "executor": 2}
EVERY_ROLE = "every role"
EVERYTHING = "everything"
BUS = "bus"
DATABASE = "database"
SINGLE = 0.7
"""The share of kills that hit one part; the others hit every role, a server, or everything."""
BETWEEN = 0.1
"""The time of kills that are not drawn, as a part of the longest wait."""


@dataclass(frozen=True, slots=True)
class Blow:
    """One kill. `after` is from 0 to 1, of the longest wait; its victim is restarted `away` seconds later.

    With `moving` it waits until the log has grown since the kill before; else it may come during that one's recovery.
    """

    what: str
    after: float
    away: float
    moving: bool


def parts_of(roles: Roles) -> tuple[str, ...]:
    """Return the names of the processes."""
    return tuple(f"{role}-{number}" for role, count in roles.items() for number in range(1, count + 1))


def blows(chance: random.Random, parts: Sequence[str], *, database: bool) -> Iterator[Blow]:
    """Yield kills without end."""
    others = [EVERY_ROLE, EVERYTHING, BUS, *([DATABASE] if database else [])]
    while True:
        what = chance.choice(parts) if chance.random() < SINGLE else chance.choice(others)
        away = chance.choice([0.0, 0.0, chance.uniform(0.0, 2.0)])
        yield Blow(what, chance.random(), away, moving=chance.random() < 0.6)


def each(kinds: Collection[str], killed: Mapping[str, int], away: float) -> Iterator[Blow]:
    """Yield one kill of every kind, and again if it found nothing alive, until each has killed something."""
    while missing := [kind for kind in kinds if not killed.get(kind)]:
        yield from (Blow(kind, BETWEEN, away, moving=True) for kind in missing)


def until(most: int, killed: Callable[[], int], plan: Iterator[Blow]) -> Iterator[Blow]:
    """Yield blows of a plan until `most` have killed something; a blow that found nothing alive is replaced."""
    while killed() < most:
        yield next(plan)
