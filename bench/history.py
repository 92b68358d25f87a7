"""Measure a command in a long history, against the same command in a new store.

One log holds a million events: 50,000 on one environment, and 10,000 deployments have succeeded at its place. The other
holds a handful. The command is the same on both sides, with its state in the cache and without.
"""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from bench import seed
from bench.conditions import Scale, Store, progress
from bench.installation import accepted, envelope
from bench.rows import EMPTY, Row, against
from release_management.adapters.system.gc_tuning import collect_rarely
from release_management.runtime.gateway_host import GatewayHost

CACHED, COLD = 40, 7
COMMAND = ["{python}", "-m", "http.server"]
NUMBERS = itertools.count()
Command = Callable[[GatewayHost], None]


def configure(core: GatewayHost) -> None:
    """Run a command on the environment's stream."""
    accepted(core.gateway.answer(envelope("environment.configure", {"name": "staging", "label": f"l{next(NUMBERS)}"})))


def deploy(core: GatewayHost) -> None:
    """Run two commands at the place, which another deployment holds: queue a deployment, and cancel it."""
    data = {"release": f"shop@1.0.{next(NUMBERS) % 2}", "environment": "staging", "strategy": "recreate"}
    outcome = accepted(core.gateway.answer(envelope("deployment.deploy", data)))
    accepted(core.gateway.answer(envelope("deployment.abort", {"deployment": outcome.result["deployment"]})))


def measure(store: Store, scale: Scale) -> Iterator[Row]:
    """Seed one store of two, then measure both in turns."""
    stores = store, store.another
    in_long = scale.history - scale.on_one_stream - 6 * scale.deployments
    total = _begin(stores[0], scale.on_one_stream, scale.deployments, in_long)
    _begin(stores[1], 0, 1, 0)
    with contextlib.ExitStack() as stack:
        cores = [stack.enter_context(GatewayHost(each.home)) for each in stores]
        begun = time.perf_counter()
        _warm(cores[0])
        first = f"on {store.name} its first read, before any snapshot, took {time.perf_counter() - begun:.1f} s"
        _warm(cores[1])
        collect_rarely()
        about = f"milliseconds of one command, with {total:,} events in the log"
        environment = (about, f"an environment is configured, on a stream of {scale.on_one_stream:,} events; {first}")
        place = (about, f"deploy and abort, two commands, where {scale.deployments:,} deployments have succeeded")
        yield _row("command, long environment", store, _cached(cores, configure), environment)
        yield _row("command, old place", store, _cached(cores, deploy), place)
    cold = "the first command of a gateway that has just started"
    yield _row("command, long environment, cold", store, _cold(stores, configure), (*environment, cold))
    yield _row("command, old place, cold", store, _cold(stores, deploy), (*place, cold))


def _begin(store: Store, configured: int, deployed: int, others: int) -> int:
    """Create an environment, releases, and a history of these sizes; return the number of events."""
    with GatewayHost(store.home) as core:
        target = {"name": "main", "components": {"web": {"command": COMMAND, "port": 8080}}}
        data = {"name": "staging", "tier": "staging", "targets": [target]}
        accepted(core.gateway.answer(envelope("environment.configure", data)))
        for version in ("0.9.0", "1.0.0", "1.0.1"):
            data = {"application": "shop", "version": version, "components": [{"name": "web"}]}
            accepted(core.gateway.answer(envelope("release.create", data)))
        source = f"urn:uuid:{core.log.store_id}"
        known = core.log.read_stream("environment:staging")
    begun = time.perf_counter()
    total = seed.write(
        store,
        itertools.chain(
            seed.environment(source, "staging", known[-1].version, configured),
            seed.place(source, "staging", 0, deployed),
            seed.releases(source, others),
        ),
    )
    progress(f"  {total:,} events in {time.perf_counter() - begun:.0f} s")
    return total


def _warm(core: GatewayHost) -> None:
    """Let a deployment hold the place, and load every state once."""
    held = {"release": "shop@0.9.0", "environment": "staging", "strategy": "recreate"}
    accepted(core.gateway.answer(envelope("deployment.deploy", held)))
    for command in (configure, deploy):
        for _ in range(3):
            command(core)


def _row(what: str, store: Store, sides: Sequence[Sequence[float]], notes: tuple[str, ...]) -> Row:
    return against(what, store.name, sides[0], sides[1], EMPTY, unit="ms", at_most=1.2, notes=notes)


def _cached(cores: Sequence[GatewayHost], command: Command) -> Sequence[Sequence[float]]:
    return _in_turns([partial(_milliseconds, core, command) for core in cores], CACHED)


def _cold(stores: Sequence[Store], command: Command) -> Sequence[Sequence[float]]:
    def once(store: Store) -> float:
        with GatewayHost(store.home) as core:
            core.log.last_position()
            core.keyring.actor_id("bench")
            return _milliseconds(core, command)

    return _in_turns([partial(once, store) for store in stores], COLD)


def _in_turns(sides: Sequence[Callable[[], float]], rounds: int) -> Sequence[Sequence[float]]:
    """Return the results of each side; each begins every other round."""
    taken: list[list[float]] = [[] for _ in sides]
    order = list(enumerate(sides))
    for _ in range(rounds):
        for number, side in order:
            taken[number].append(side())
        order.reverse()
    return taken


def _milliseconds(core: GatewayHost, command: Command) -> float:
    begun = time.perf_counter()
    command(core)
    return 1000 * (time.perf_counter() - begun)
