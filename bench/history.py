"""What a command costs in a long history, against the same command in a short one, in the same store.

The log holds a million events. One environment has 50,000 of them, another a handful; at one place 10,000 deployments
have succeeded, at another one. The command is the same on both sides, with its state in the cache and without.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench import seed
from bench.conditions import Scale, Store, progress
from bench.installation import accepted, wish
from bench.rows import FRESH, Row, against
from release_management.adapters.garbage import collect_rarely
from release_management.adapters.stack.core import Core

CACHED, COLD = 40, 7
COMMAND = ["{python}", "-m", "http.server"]
Command = Callable[[Core, str], None]


@dataclass(slots=True)
class Shop:
    """Two environments, an old and a fresh one, each with a place."""

    numbers: Iterator[int]

    def configure(self, core: Core, environment: str) -> None:
        """A command on the environment's stream."""
        data = {"name": environment, "label": f"l{next(self.numbers)}"}
        accepted(core.gateway.answer(wish("environment.configure", data)))

    def deploy(self, core: Core, environment: str) -> None:
        """A command at the place: somebody holds it, so the deployment is queued; then it is taken back."""
        number = next(self.numbers) % 2
        data = {"release": f"shop@1.0.{number}", "environment": environment, "strategy": "recreate"}
        outcome = accepted(core.gateway.answer(wish("deployment.deploy", data)))
        accepted(core.gateway.answer(wish("deployment.abort", {"deployment": outcome.result["deployment"]})))


def measure(store: Store, scale: Scale) -> Iterator[Row]:
    """Seed, then measure old and fresh in turns."""
    core = Core(store.home)
    shop = Shop(itertools.count())
    for port, environment in ((8080, "old"), (8081, "fresh")):
        target = {"name": "main", "components": {"web": {"command": COMMAND, "port": port}}}
        data = {"name": environment, "tier": "staging", "targets": [target]}
        accepted(core.gateway.answer(wish("environment.configure", data)))
    for version in ("1.0.0", "1.0.1", "2.0.0"):
        data = {"application": "shop", "version": version, "components": [{"name": "web"}]}
        accepted(core.gateway.answer(wish("release.create", data)))
    source = f"urn:uuid:{core.log.store_id}"
    known = core.log.read_stream("environment:old")
    core.close()
    begun = time.perf_counter()
    total = seed.write(
        store,
        itertools.chain(
            seed.environment(source, "old", known[-1].version, scale.on_one_stream),
            seed.place(source, "old", 0, scale.deployments),
            seed.place(source, "fresh", 0, 1),
            seed.releases(source, scale.history - scale.on_one_stream - 6 * (scale.deployments + 1)),
        ),
    )
    progress(f"  {total:,} events in {time.perf_counter() - begun:.0f} s")
    core = Core(store.home)
    begun = time.perf_counter()
    for environment in ("fresh", "old"):
        held = {"release": "shop@2.0.0", "environment": environment, "strategy": "recreate"}
        accepted(core.gateway.answer(wish("deployment.deploy", held)))
        for command in (shop.configure, shop.deploy):
            for _ in range(3):
                command(core, environment)
    first = f"on {store.name} the first read of both, before any snapshot, took {time.perf_counter() - begun:.1f} s"
    collect_rarely()
    about = f"milliseconds of one command, with {total:,} events in the log"
    environment = (about, f"an environment is configured, on a stream of {scale.on_one_stream:,} events")
    place = (about, f"deploy and abort, two commands, where {scale.deployments:,} deployments have succeeded")
    yield _row("command, long environment", store, _cached(core, shop.configure), (*environment, first))
    yield _row("command, old place", store, _cached(core, shop.deploy), place)
    core.close()
    cold = "the first command of a gateway that has just started"
    yield _row("command, long environment, cold", store, _cold(store, shop.configure), (*environment, cold))
    yield _row("command, old place, cold", store, _cold(store, shop.deploy), (*place, cold))


def _row(what: str, store: Store, sides: Sequence[Sequence[float]], notes: tuple[str, ...]) -> Row:
    return against(what, store.name, *sides, FRESH, unit="ms", at_most=1.2, notes=notes)


def _cached(core: Core, command: Command) -> Sequence[Sequence[float]]:
    return _both(lambda environment: _milliseconds(core, command, environment), CACHED)


def _cold(store: Store, command: Command) -> Sequence[Sequence[float]]:
    def once(environment: str) -> float:
        with Core(store.home) as core:
            core.log.last_position()
            core.keyring.actor_id("bench")
            return _milliseconds(core, command, environment)

    return _both(once, COLD)


def _both(once: Callable[[str], float], rounds: int) -> Sequence[Sequence[float]]:
    taken: dict[str, list[float]] = {"old": [], "fresh": []}
    for number in range(rounds):
        for environment in ("old", "fresh") if number % 2 else ("fresh", "old"):
            taken[environment].append(once(environment))
    return taken["old"], taken["fresh"]


def _milliseconds(core: Core, command: Command, environment: str) -> float:
    begun = time.perf_counter()
    command(core, environment)
    return 1000 * (time.perf_counter() - begun)
