"""Reading the log: replayed as typed events, and folded into a projection."""

import itertools
import time
from collections.abc import Iterator

from bench.conditions import Scale, Store, progress
from bench.installation import Ours
from bench.library import Library
from bench.rows import Row, in_turns
from release_management.adapters.read_model import Projector
from release_management.projections.releases import PROJECTION


def replay(store: Store, scale: Scale) -> Iterator[Row]:
    """Every event, decoded and typed; the library with its recorder and mapper."""
    ours, library = _filled(store, scale)
    try:
        progress("  replaying")
        mine, theirs, ratio = in_turns(lambda: _rate(ours), lambda: _rate(library), scale.rounds)
        yield Row("replay, events/s", store.name, f"{mine:,.0f}", f"{theirs:,.0f}", ratio, at_least=2.0)
    finally:
        library.close()
        ours.close()


def _rate(side: Ours | Library) -> float:
    begun = time.perf_counter()
    return side.replay() / (time.perf_counter() - begun)


def projection(store: Store, scale: Scale) -> Iterator[Row]:
    """One row per release: ours the projection `releases`, the library's with its own runner and tracking."""
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
            made, peer, ratio = in_turns(mine, theirs, min(3, scale.rounds))
        except NotImplementedError:
            note = "the library's ProjectionRunner does not run there: its recorder has no subscriptions on SQLite"
            yield Row("projection, events/s", store.name, f"{mine():,.0f}", "does not run", note=note)
        else:
            note = f"the library took in the first {few:,} events, we all {events:,}"
            cells = (f"{made:,.0f}", f"{peer:,.0f}")
            yield Row("projection, events/s", store.name, *cells, ratio, at_least=20.0, note=note)
    finally:
        library.close()
        ours.close()


def _filled(store: Store, scale: Scale) -> tuple[Ours, Library]:
    progress(f"  storing {scale.events:,} events on both sides")
    ours, library = Ours(store), Library(store.peer_settings)
    ours.fill(scale.events)
    library.fill(scale.events)
    return ours, library
