"""The resident memory of a real `relman up`, with all its processes: idle, and while commands come in."""

import asyncio
import time
from collections.abc import Iterator

from bench.conditions import Scale, Store, progress
from bench.installation import envelope
from bench.rows import Figure, Row
from bench.up import megabytes, running
from release_management.adapters.nats.client import BusClient
from release_management.runtime.supervisor import parts_apart

CALLERS = 16
PROCESSES = {
    "SQLite": "supervisor, road, projector and nats-server",
    "PostgreSQL": f"supervisor, {len(parts_apart())} role processes and nats-server, without the PostgreSQL server",
}


def measure(store: Store, scale: Scale) -> Iterator[Row]:
    """Measure the memory idle after the start, and its maximum under commands from many callers."""
    with running(store) as (url, pid):
        time.sleep(1.0)
        idle = megabytes(pid)
        progress("  under load")
        rate, highest = asyncio.run(_load(url, pid, 8 * scale.asked))
    about = f"resident memory of relman up: {PROCESSES[store.name]}; shared pages count in each"
    load = f"the highest of samples while {CALLERS} callers give {rate:,.0f} commands/s over the bus"
    yield Row("memory, idle", store.name, Figure.of(idle, unit="MB"), notes=(about,))
    yield Row("memory, under load", store.name, Figure.of(highest, unit="MB"), notes=(about, load))


async def _load(url: str, pid: int, commands: int) -> tuple[float, float]:
    client = BusClient(url)
    highest = 0.0
    done = asyncio.Event()

    async def call(caller: int) -> None:
        for turn in range(commands // CALLERS):
            data = {"version": f"{turn}.{caller}.0", "components": [{"name": "web"}]}
            await client.ask(envelope("release.create", data))

    async def watch() -> None:
        nonlocal highest
        while not done.is_set():
            highest = max(highest, await asyncio.to_thread(megabytes, pid))
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    begun = time.perf_counter()
    try:
        await asyncio.gather(*(call(caller) for caller in range(CALLERS)))
        seconds = time.perf_counter() - begun
    finally:
        done.set()
        await watching
        await client.close()
    return commands / seconds, highest
