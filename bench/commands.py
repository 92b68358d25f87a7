"""Commands per second: load an aggregate, decide, append one event durably, with one caller and with many at once."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bench.conditions import Scale, Store, progress
from bench.installation import Ours
from bench.library import AGGREGATES, Library
from bench.rows import CACHING_LIBRARY, LIBRARY, Row, against, in_turns

MANY = 32
TARGETS = {"SQLite": 5.0, "PostgreSQL": 8.0}


ABOUT = (
    f"commands a second: load a release, decide, append one event durably; {AGGREGATES} releases take turns, "
    "with callers who wait for one command before they give the next"
)
CACHES = (
    "ours keeps folded states, and the store checks at the append that they are the newest, so that others may write; "
    f'"{LIBRARY}" keeps none, as is its default, and folds an aggregate\'s events for every command; '
    f'"{CACHING_LIBRARY}" keeps every aggregate, and reads nothing before it saves'
)
COROUTINES = "ours has coroutines of one loop, as the message bus calls the gateway; the library has threads only"


def measure(store: Store, scale: Scale) -> Iterator[Row]:
    """Measure one caller, many threads, and many coroutines of one loop, which is how the message bus calls."""
    ours, library, caching = Ours(store), Library(store.peer_settings), Library(store.peer_settings, caching=True)
    try:
        for callers, commands in ((1, scale.commands // 4), (MANY, scale.commands)):
            progress(f"  {callers} caller(s)")
            mine, *theirs = in_turns(
                scale.rounds,
                partial(threads, ours.command, commands, callers),
                partial(threads, library.command, commands // 4, callers),
                partial(threads, caching.command, commands // 4, callers),
            )
            measured = f"commands/s, {callers} callers" if callers > 1 else "commands/s, 1 caller"
            target = TARGETS[store.name] if callers > 1 else 1.0
            yield against(measured, store.name, mine, theirs[0], LIBRARY, at_least=target, notes=(ABOUT, CACHES))
            yield against(measured, store.name, mine, theirs[1], CACHING_LIBRARY, notes=(ABOUT, CACHES))
        progress(f"  {MANY} coroutines")
        sides = in_turns(
            scale.rounds,
            lambda: asyncio.run(coroutines(ours.submit, scale.commands, MANY)),
            partial(threads, library.command, scale.commands // 4, MANY),
        )
        target = TARGETS[store.name]
        measured = f"commands/s, {MANY} coroutines"
        yield against(
            measured, store.name, sides[0], sides[1], LIBRARY, at_least=target, notes=(ABOUT, CACHES, COROUTINES)
        )
    finally:
        caching.close()
        library.close()
        ours.close()


def threads(command: Callable[[int], None], commands: int, callers: int) -> float:
    """Return the commands per second of `callers` threads. Raises the first error of any."""
    turns = itertools.count()

    def call() -> None:
        for _ in range(commands // callers):
            command(next(turns))

    with ThreadPoolExecutor(callers) as pool:
        begun = time.perf_counter()
        for calling in [pool.submit(call) for _ in range(callers)]:
            calling.result()
        return commands // callers * callers / (time.perf_counter() - begun)


async def coroutines(command: Callable[[int], Awaitable[None]], commands: int, callers: int) -> float:
    """Return the commands per second of `callers` coroutines."""
    turns = itertools.count()

    async def call() -> None:
        for _ in range(commands // callers):
            await command(next(turns))

    begun = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(callers)))
    return commands // callers * callers / (time.perf_counter() - begun)
