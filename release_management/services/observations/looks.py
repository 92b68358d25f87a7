"""The newest observation by every executor of each of its components.

Executors publish each observation, and it is not stored: the roles that answer queries keep the newest in memory, so
that an observation costs one small message. Changes are recorded as facts (`domain.observation`).
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from release_management.domain.condition import Observation
from release_management.kernel.timestamps import Moment
from release_management.kernel.types import (
    Line,
    Name,
    Value,
)
from release_management.services.ports import Clock

FRESH_SECONDS = 10.0
"""Seconds after which an observation says nothing about the present any more."""
FIRST_LOOKS_SECONDS = 2.5
"""Seconds of listening after which every executor, which observes once a second, has named all its components."""
START_SECONDS = 5.0
"""Seconds that executors may take to start, if all start together."""
COMPONENTS_AT_ONCE = 200
Key = tuple[str, str, str, str]
"""Environment, application, target, component."""


def key_of(seen: Observation) -> Key:
    """Return the observed component's key."""
    return seen.environment, seen.application, seen.target, seen.component


class ComponentLook(Observation):
    """An observation of one component. Its condition is the damped one, which holds since `since`."""

    since: Moment = Field(description="since when the condition holds")

    @property
    def key(self) -> Key:
        """The observed component's key."""
        return key_of(self)


class Looks(Value):
    """A part of one executor's round of observations.

    `instance` is the process that observed; `round` counts its rounds, in the order in which they began. `last` is True
    for the part that completes the round.
    """

    executor: Name = Field(description="whose looks they are")
    instance: Line = Field(description="the process that looked")
    round: Annotated[int, Field(ge=1)] = Field(description="the number of its round, in the order in which they began")
    observedat: Moment = Field(description="when the round began, by the executor's clock")
    components: Annotated[tuple[ComponentLook, ...], Field(max_length=COMPONENTS_AT_ONCE)] = Field(
        (), description="what was seen of each component"
    )
    last: bool = Field(True, description="with this part the round has named all that the executor looks after")


@dataclass(frozen=True, slots=True)
class Sighting:
    """An observation and when it arrived (monotonic seconds)."""

    look: ComponentLook
    executor: str
    instance: str
    round: int
    arrival: float


@dataclass(frozen=True, slots=True)
class Round:
    """All components of an executor's newest complete round."""

    instance: str
    number: int
    observedat: str
    arrival: float
    keys: frozenset[Key]


class NewestLooks:
    """Keeps the newest observations. Thread-safe.

    An observation is as old as the time since its arrival, and at least as old as the executor's own clock says: an
    executor that was stopped between its observation and its message reports nothing as new.
    """

    def __init__(self, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._changing = threading.Lock()
        self._sightings: dict[Key, Sighting] = {}
        self._rounds: dict[str, Round] = {}
        self._begun: dict[tuple[str, str], tuple[int, set[Key]]] = {}
        self._first: dict[tuple[str, str], float] = {}
        """The arrival of the first observation of each process of an executor."""
        self._listens: float | None = None

    def listen(self) -> None:
        """Record that from now on every observation arrives here."""
        self._listens = self._monotonic()

    @property
    def is_new(self) -> bool:
        """True if observations arrive here, but not yet for long enough that every executor has sent one."""
        if self._listens is None:
            return False
        enough = FIRST_LOOKS_SECONDS if self._rounds else START_SECONDS
        return self._monotonic() - self._listens < enough

    def take(self, looks: Looks) -> None:
        """Take a part of a round, unless a newer one is known."""
        with self._changing:
            arrival = self._monotonic()
            for look in looks.components:
                known = self._sightings.get(look.key)
                if known is None or arrival - known.arrival > FRESH_SECONDS or _follows(looks, look, known):
                    self._sightings[look.key] = Sighting(look, looks.executor, looks.instance, looks.round, arrival)
            self._count(looks, arrival)

    def _count(self, looks: Looks, arrival: float) -> None:
        process = looks.executor, looks.instance
        self._first.setdefault(process, arrival)
        number, keys = self._begun.pop(process, (0, set()))
        if number != looks.round:
            keys = set()
        keys.update(look.key for look in looks.components)
        if not looks.last:
            self._begun[process] = looks.round, keys
            return
        known = self._rounds.get(looks.executor)
        newer = known is None or looks.instance == known.instance or looks.observedat > known.observedat
        if known is None or newer or arrival - known.arrival > FRESH_SECONDS:
            self._rounds[looks.executor] = Round(
                looks.instance, looks.round, looks.observedat, arrival, frozenset(keys)
            )

    def find(self, key: Key) -> tuple[ComponentLook, float] | None:
        """Return the newest observation of a component and its age in seconds."""
        with self._changing:
            found = self._sightings.get(key)
        return None if found is None else (found.look, self._age(found.look.observedat, found.arrival))

    def missed(self, key: Key, executor: str) -> float | None:
        """Return the age of the executor's newest round, if the component was not in it; else None.

        None too if another process of that executor observed it beside the one of the round.
        """
        with self._changing:
            found = self._rounds.get(executor)
            if found is None or key in found.keys:
                return None
            known = self._sightings.get(key)
            other = known is not None and known.instance != found.instance
            if known is not None and other and self._first[executor, found.instance] <= known.arrival:
                return None
        return self._age(found.observedat, found.arrival)

    def _age(self, observedat: str, arrival: float) -> float:
        by_clock = (self._clock.now() - datetime.fromisoformat(observedat)).total_seconds()
        return max(0.0, self._monotonic() - arrival, by_clock)


def _follows(looks: Looks, look: ComponentLook, known: Sighting) -> bool:
    """Return True if an observation is newer; of two processes, the one that knows of the newest step counts."""
    if looks.instance == known.instance:
        return looks.round >= known.round or look.observedat > known.look.observedat
    return look.fence >= known.look.fence and look.observedat > known.look.observedat


def rounds(
    executor: str, instance: str, number: int, observedat: str, components: Iterable[ComponentLook], *, whole: bool
) -> Iterator[Looks]:
    """Yield observations in parts that fit into a message. With `whole` they are all of the executor's components."""
    found = list(components)
    for begin in range(0, max(1, len(found)), COMPONENTS_AT_ONCE):
        part = tuple(found[begin : begin + COMPONENTS_AT_ONCE])
        last = whole and begin + COMPONENTS_AT_ONCE >= len(found)
        yield Looks(
            executor=executor, instance=instance, round=number, observedat=observedat, components=part, last=last
        )
