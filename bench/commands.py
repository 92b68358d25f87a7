"""Commands per second: load an aggregate, decide, append one event durably, with one caller and with many at once."""

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from bench.conditions import Scale, Store, progress
from bench.installation import Ours
from bench.library import Library
from bench.rows import Row, in_turns

MANY = 32
TARGETS = {"SQLite": 5.0, "PostgreSQL": 8.0}


def measure(store: Store, scale: Scale) -> Iterator[Row]:
    """One caller, many threads, and many coroutines of one loop, which is how the message bus calls."""
    ours, library = Ours(store), Library(store.peer_settings)
    try:
        for callers, commands in ((1, scale.commands // 4), (MANY, scale.commands)):
            progress(f"  {callers} caller(s)")
            mine, theirs, ratio = in_turns(
                partial(threads, ours.command, commands, callers),
                partial(threads, library.command, commands // 4, callers),
                scale.rounds,
            )
            target = TARGETS[store.name] if callers > 1 else 1.0
            many = f"{callers} callers" if callers > 1 else "1 caller"
            yield Row(f"commands/s, {many}", store.name, f"{mine:,.0f}", f"{theirs:,.0f}", ratio, at_least=target)
        progress(f"  {MANY} coroutines")
        mine, theirs, ratio = in_turns(
            lambda: asyncio.run(coroutines(ours.submit, scale.commands, MANY)),
            partial(threads, library.command, scale.commands // 4, MANY),
            scale.rounds,
        )
        yield Row(
            f"commands/s, {MANY} coroutines",
            store.name,
            f"{mine:,.0f}",
            f"{theirs:,.0f}",
            ratio,
            at_least=TARGETS[store.name],
            note="as the message bus calls the gateway; the library has threads only",
        )
    finally:
        library.close()
        ours.close()


def threads(command: Callable[[int], None], commands: int, callers: int) -> float:
    """How many commands a second so many threads get done."""
    turns = itertools.count()

    def call() -> None:
        for _ in range(commands // callers):
            command(next(turns))

    calling = [threading.Thread(target=call) for _ in range(callers)]
    begun = time.perf_counter()
    for thread in calling:
        thread.start()
    for thread in calling:
        thread.join()
    return commands // callers * callers / (time.perf_counter() - begun)


async def coroutines(command: Callable[[int], Awaitable[None]], commands: int, callers: int) -> float:
    """How many commands a second so many coroutines get done."""
    turns = itertools.count()

    async def call() -> None:
        for _ in range(commands // callers):
            await command(next(turns))

    begun = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(callers)))
    return commands // callers * callers / (time.perf_counter() - begun)
