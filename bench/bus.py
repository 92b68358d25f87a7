"""Measure a command's time over the message bus, from sending it to its recorded outcome, with a real `relman up`."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from functools import partial

import nats
from nats.aio.client import Client

from bench.conditions import Scale, Store, progress
from bench.installation import envelope
from bench.lag import labelled, watching
from bench.rows import Figure, Row
from bench.seed import releases, write
from bench.up import running
from release_management.adapters.nats.client import BusClient
from release_management.runtime.gateway_host import GatewayHost

RELEASE = "shop@1.0.0"
P50, P99 = 5.0, 25.0
ABOUT = (
    "milliseconds from sending a command over NATS to its recorded outcome, with a real relman up, one command at a "
    "time; the value is that of all commands, and the spread that of the rounds' own p50 or p99"
)
IDLE = "projector and relay have taken in everything before, and have the measured commands only"


def measure(store: Store, scale: Scale) -> Iterator[Row]:
    """Measure first with a backlog for projector and relay, then without one."""
    with GatewayHost(store.home) as core:
        data = {"application": "shop", "version": "1.0.0", "components": [{"name": "web"}]}
        core.gateway.answer(envelope("release.create", data))
        source = f"urn:uuid:{core.log.store_id}"
    write(store, releases(source, scale.backlog))
    with running(store) as (url, _):
        yield from asyncio.run(_measure(url, store, scale))


async def _measure(url: str, store: Store, scale: Scale) -> list[Row]:
    rows = []
    client = BusClient(url)
    plain = await nats.connect(url)
    try:
        with watching(store, plain) as behind:
            for idle in (False, True):
                if idle:
                    progress("  waiting until the backlog is taken in")
                    await behind.until_none()
                for way, measure in (
                    ("bus, request/reply", partial(_asked, client)),
                    ("bus, queued", partial(_queued, client, plain)),
                ):
                    before = await behind.now()
                    times = await measure(scale.asked)
                    after = await behind.now()
                    name, note = (f"{way}, idle", IDLE) if idle else labelled(way, before, after, scale.asked)
                    progress(f"  {name}")
                    rows += _rows(name, store, times, scale.rounds, (ABOUT, note))
    finally:
        await plain.close()
        await client.close()
    return rows


async def _asked(client: BusClient, commands: int) -> list[float]:
    times = []
    for turn in range(commands):
        made = envelope(*_toggle(turn))
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
        made = envelope(*_toggle(turn))
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


def _rows(what: str, store: Store, times: list[float], rounds: int, notes: tuple[str, ...]) -> list[Row]:
    return [
        Row(f"{what}, p50", store.name, percentile(times, 50, rounds), at_most=P50, notes=notes),
        Row(f"{what}, p99", store.name, percentile(times, 99, rounds), at_most=P99, notes=notes),
    ]


def percentile(times: Sequence[float], percent: int, rounds: int) -> Figure:
    """Return a percentile of all times, with its lowest and highest value in `rounds` consecutive parts."""
    size = len(times) // rounds
    of_rounds = [_rank(times[start : start + size], percent) for start in range(0, rounds * size, size)]
    return Figure(_rank(times, percent), min(of_rounds), max(of_rounds), rounds, "ms")


def _rank(times: Sequence[float], percent: int) -> float:
    return sorted(times)[min(len(times) - 1, len(times) * percent // 100)]
