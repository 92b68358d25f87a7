"""How long a command takes over the message bus, from sending it to its recorded outcome, with a real `relman up`."""

import asyncio
import time
from collections.abc import Iterator, Sequence

import nats
from nats.aio.client import Client

from bench.conditions import Scale, Store, progress
from bench.installation import wish
from bench.rows import Figure, Row
from bench.seed import releases, write
from bench.up import running
from release_management.adapters.nats.client import BusClient
from release_management.adapters.stack.core import Core

RELEASE = "shop@1.0.0"
P50, P99 = 5.0, 25.0
ABOUT = (
    "milliseconds from sending a command over NATS to its recorded outcome, with a real relman up, one command at a "
    "time; the value is that of all commands, and the spread that of the rounds' own p50 or p99"
)
BACKLOG = "projector and relay work off a backlog"


def measure(store: Store, scale: Scale) -> Iterator[Row]:
    """First while projector and relay work off a backlog, then while they have nothing else to do."""
    with Core(store.home) as core:
        data = {"application": "shop", "version": "1.0.0", "components": [{"name": "web"}]}
        core.gateway.answer(wish("release.create", data))
        source = f"urn:uuid:{core.log.store_id}"
    write(store, releases(source, scale.backlog))
    with running(store) as (url, _):
        yield from asyncio.run(_measure(url, store, scale))


async def _measure(url: str, store: Store, scale: Scale) -> list[Row]:
    rows = []
    client = BusClient(url)
    plain = await nats.connect(url)
    try:
        for state in ("busy", "idle"):
            if state == "idle":
                progress("  waiting until the backlog is taken in")
                outcome = await client.ask(wish("release.block", {"release": RELEASE, "reason": "bench"}))
                await _taken_in(client, outcome.last)
            for way, times in (
                ("request/reply", await _asked(client, scale.asked)),
                ("queued", await _queued(client, plain, scale.asked)),
            ):
                progress(f"  {way}, projector {state}")
                rows += _rows(f"bus, {way}, {state}", store, times, scale.rounds)
    finally:
        await plain.close()
        await client.close()
    return rows


async def _taken_in(client: BusClient, position: int) -> None:
    async with asyncio.timeout(300):
        while True:
            try:
                await client.query("releases", {}, position)
                return
            except Exception:
                await asyncio.sleep(0.5)


async def _asked(client: BusClient, commands: int) -> list[float]:
    times = []
    for turn in range(commands):
        made = wish(*_toggle(turn))
        begun = time.perf_counter()
        outcome = await client.ask(made)
        times.append(1000 * (time.perf_counter() - begun))
        assert outcome.status == "accepted", outcome
    return times


async def _queued(client: BusClient, plain: Client, commands: int) -> list[float]:
    inbox = plain.new_inbox()
    subscription = await plain.subscribe(inbox)
    await plain.flush()
    times = []
    for turn in range(commands):
        made = wish(*_toggle(turn))
        begun = time.perf_counter()
        await client.send(made, reply_to=inbox)
        reply = await subscription.next_msg(timeout=30)
        times.append(1000 * (time.perf_counter() - begun))
        assert b'"accepted"' in reply.data, reply.data
    await subscription.unsubscribe()
    return times


def _toggle(turn: int) -> tuple[str, dict[str, str]]:
    if turn % 2:
        return "release.unblock", {"release": RELEASE}
    return "release.block", {"release": RELEASE, "reason": "bench"}


def _rows(what: str, store: Store, times: list[float], rounds: int) -> list[Row]:
    notes = (ABOUT, BACKLOG) if what.endswith("busy") else (ABOUT,)
    return [
        Row(f"{what}, p50", store.name, percentile(times, 50, rounds), at_most=P50, notes=notes),
        Row(f"{what}, p99", store.name, percentile(times, 99, rounds), at_most=P99, notes=notes),
    ]


def percentile(times: Sequence[float], percent: int, rounds: int) -> Figure:
    """That of all commands, with the lowest and the highest of so many rounds, one after the other."""
    size = len(times) // rounds
    of_rounds = [_rank(times[start : start + size], percent) for start in range(0, rounds * size, size)]
    return Figure(_rank(times, percent), min(of_rounds), max(of_rounds), rounds, "ms")


def _rank(times: Sequence[float], percent: int) -> float:
    return sorted(times)[min(len(times) - 1, len(times) * percent // 100)]
