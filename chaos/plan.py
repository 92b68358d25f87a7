"""What will be killed, and when: one of every kind that is asked for, and others drawn from a seed."""

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

Roles = Mapping[str, int]
"""How many processes of each role."""
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
"""When the kills come that are not drawn, of the longest wait."""


@dataclass(frozen=True, slots=True)
class Blow:
    """One kill. `after` is from 0 to 1, of the longest wait; what it hits is started again `away` seconds later.

    With `moving` it waits until the log has grown since the kill before; else it may fall into what that one has left.
    """

    what: str
    after: float
    away: float
    moving: bool


def parts_of(roles: Roles) -> tuple[str, ...]:
    """The names of the processes."""
    return tuple(f"{role}-{number}" for role, count in roles.items() for number in range(1, count + 1))


def blows(chance: random.Random, parts: Sequence[str], *, database: bool) -> Iterator[Blow]:
    """Kills without end."""
    others = [EVERY_ROLE, EVERYTHING, BUS, *([DATABASE] if database else [])]
    while True:
        what = chance.choice(parts) if chance.random() < SINGLE else chance.choice(others)
        away = chance.choice([0.0, 0.0, chance.uniform(0.0, 2.0)])
        yield Blow(what, chance.random(), away, moving=chance.random() < 0.6)


def each(kinds: Collection[str], killed: Mapping[str, int], away: float) -> Iterator[Blow]:
    """One kill of every kind, and again of what met nobody alive, until each has killed something."""
    while missing := [kind for kind in kinds if not killed.get(kind)]:
        yield from (Blow(kind, BETWEEN, away, moving=True) for kind in missing)


def until(most: int, killed: Callable[[], int], plan: Iterator[Blow]) -> Iterator[Blow]:
    """Blows of a plan until so many have killed something; for one that met nobody alive, another one is drawn."""
    while killed() < most:
        yield next(plan)
