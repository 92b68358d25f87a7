"""Reading the log: replayed as typed events, and folded into a projection."""

import itertools
import time
from collections.abc import Iterator

from bench.conditions import Scale, Store, progress
from bench.installation import Ours
from bench.library import Library
from bench.rows import LIBRARY, Figure, Row, against, in_turns
from release_management.adapters.read_model import Projector
from release_management.projections.releases import PROJECTION

ABOUT = "events a second, from the log into an empty table with a row per release, and a position that is kept with it"


def replay(store: Store, scale: Scale) -> Iterator[Row]:
    """Measure the replay of every event, decoded and typed; the library with its recorder and mapper."""
    ours, library = _filled(store, scale)
    try:
        progress("  replaying")
        sides = in_turns(scale.rounds, lambda: _rate(ours), lambda: _rate(library))
        about = f"events a second, by one reader: all {scale.events:,} are read from the store, decoded and typed"
        yield against("replay, events/s", store.name, sides[0], sides[1], LIBRARY, at_least=2.0, notes=(about,))
    finally:
        library.close()
        ours.close()


def _rate(side: Ours | Library) -> float:
    begun = time.perf_counter()
    return side.replay() / (time.perf_counter() - begun)


def projection(store: Store, scale: Scale) -> Iterator[Row]:
    """Measure a projection with one row per release: ours is `releases`, the library's uses its own runner."""
    ours, library = _filled(store, scale)
    numbers = itertools.count()
    events = ours.core.log.last_position()

    def mine() -> float:
        number = next(numbers)
        where = store.ours or store.folder / f"read{number}.db"
        begun = time.perf_counter()
        projector = Projector(ours.core.log, ours.core.registry, where, [PROJECTION], schema=f"bench_{number}")
        try:
            projector.catch_up()
            return events / (time.perf_counter() - begun)
        finally:
            projector.close()

    def theirs() -> float:
        begun = time.perf_counter()
        library.project(f"bench_{next(numbers)}", few)
        return few / (time.perf_counter() - begun)

    few = min(events, max(1_000, events // 10))
    try:
        progress("  projecting")
        try:
            sides = in_turns(min(3, scale.rounds), mine, theirs)
        except NotImplementedError:
            note = "the library's ProjectionRunner does not run on SQLite: its recorder has no subscriptions there"
            alone = Figure.of(*in_turns(min(3, scale.rounds), mine)[0])
            yield Row("projection, events/s", store.name, alone, "does not run", LIBRARY, notes=(ABOUT, note))
        else:
            notes = (ABOUT, f"the library took in the first {few:,} events, ours all {events:,}")
            yield against("projection, events/s", store.name, sides[0], sides[1], LIBRARY, at_least=20.0, notes=notes)
    finally:
        library.close()
        ours.close()


def _filled(store: Store, scale: Scale) -> tuple[Ours, Library]:
    progress(f"  storing {scale.events:,} events on both sides")
    ours, library = Ours(store), Library(store.peer_settings)
    ours.fill(scale.events)
    library.fill(scale.events)
    return ours, library
