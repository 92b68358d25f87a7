"""What will be killed, and when: drawn from a seed before anything runs."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ROLES = {"gateway": 2, "projector": 2, "orchestrator": 1, "timers": 1, "relay": 1, "executor": 2}
PARTS = tuple(f"{role}-{number}" for role, count in ROLES.items() for number in range(1, count + 1))
EVERY_ROLE = "every role"
EVERYTHING = "everything"
BUS = "bus"
DATABASE = "database"
SINGLE = 0.7
"""The share of kills that hit one part; the others hit every role, a server, or everything."""


@dataclass(frozen=True, slots=True)
class Blow:
    """One kill. `after` is from 0 to 1, of the longest wait; what it hits is started again `away` seconds later.

    With `moving` it waits until the log has grown since the kill before; else it may fall into what that one has left.
    """

    what: str
    after: float
    away: float
    moving: bool


def blows(chance: random.Random, *, database: bool) -> Iterator[Blow]:
    """Kills without end."""
    others = [EVERY_ROLE, EVERYTHING, BUS, *([DATABASE] if database else [])]
    while True:
        what = chance.choice(PARTS) if chance.random() < SINGLE else chance.choice(others)
        away = chance.choice([0.0, 0.0, chance.uniform(0.0, 2.0)])
        yield Blow(what, chance.random(), away, moving=chance.random() < 0.6)


def until(most: int, killed: Callable[[], int], plan: Iterator[Blow]) -> Iterator[Blow]:
    """Blows of a plan until so many have killed something; for one that met nobody alive, another one is drawn."""
    while killed() < most:
        yield next(plan)
