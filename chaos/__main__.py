"""`make chaos`: 200 kills, and their effects."""

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from chaos.act import REPEATED, Act, Result, Tell
from chaos.hostile.command import main as attack
from chaos.plan import BUS, DATABASE, EVERY_ROLE, EVERYTHING, ONE_OF_EACH, TWO_OF_EACH, TWO_OF_SOME, Roles
from chaos.seen import law
from release_management.runtime.program_log import log_errors
from tests.servers.postgres import PostgresServer

KILLS = 200
MOST_IN_CANARY = 0.4
IN_CLUSTER = 0.15
ELECTION_SECONDS = 8.0
"""Seconds for which a cluster's first killed leader stays away: another one leads meanwhile."""


def main(arguments: list[str]) -> int:
    """Kill, judge, report; return 0 if no fault was found."""
    if arguments[:1] == ["hostile"]:
        return attack(arguments[1:])
    asked = options(arguments)
    seed = asked.seed if asked.seed is not None else random.randrange(1_000_000)
    again = f"{'--seen ' * asked.seen}--seed {seed} --kills {asked.kills}"
    print(f"seed {seed}; the same blows again: make chaos ARGS='{again}'", flush=True)
    log_errors()
    folder = Path(tempfile.mkdtemp(prefix="relman-chaos-"))
    if asked.seen:
        return compare(folder, seed, asked.kills, asked.store == "postgres")
    began = time.monotonic()
    with progress() as bar:
        results = play(folder, seed, asked.kills, asked.store == "postgres", not asked.no_cluster, bar)
    if spared := missed(results, postgres=asked.store == "postgres"):
        print(f"There was no kill of: {', '.join(spared)}")
    report(results, time.monotonic() - began)
    faults = [f"{result.name}: {fault}" for result in results for fault in result.faults]
    if faults or asked.keep:
        print(f"What was left is in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if faults else 0


def options(arguments: list[str]) -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(prog="make chaos ARGS=…", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS, help="how often something is killed (%(default)s)")
    parser.add_argument("--seed", type=int, help="draws what is killed, and when; else one at random")
    parser.add_argument("--store", choices=("postgres", "sqlite"), default="postgres", help="(%(default)s)")
    parser.add_argument("--no-cluster", action="store_true", help="without the act on three nats-servers")
    parser.add_argument("--seen", action="store_true", help="compare what env show says with what really runs instead")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and journals")
    return parser.parse_args(arguments)


def play(folder: Path, seed: int, kills: int, postgres: bool, cluster: bool, bar: Progress) -> list[Result]:
    """Play the acts, one after the other."""
    results: list[Result] = []
    task = bar.add_task("kills", total=kills)

    def tell(before: int) -> Tell:
        return lambda done: bar.update(task, completed=before + done)

    def act(name: str, roles: Roles = TWO_OF_SOME, on_cluster: bool = False) -> Act:
        bar.update(task, description=name)
        return Act(
            name,
            folder / name.replace(" ", "-"),
            seed,
            postgres=postgres,
            cluster=on_cluster,
            roles=roles,
            kinds=[BUS] if on_cluster else [],
            away=ELECTION_SECONDS,
        )

    def so_far() -> int:
        return sum(result.kills.total() for result in results)

    last = round(kills * IN_CLUSTER) if cluster else 0
    results.append(act("after every record").canary(round(kills * MOST_IN_CANARY), tell(0)))
    results.append(act("at random", TWO_OF_EACH).stream(kills - last - so_far(), tell(so_far())))
    if cluster:
        results.append(act("on a cluster", on_cluster=True).stream(last, tell(so_far())))
    return results


def compare(folder: Path, seed: int, blows: int, postgres: bool) -> int:
    """Check the law of `env show`; return 0 if no fault was found."""
    began = time.monotonic()
    with progress() as bar, contextlib.ExitStack() as stack:
        task = bar.add_task("blows", total=blows)
        databases = stack.enter_context(PostgresServer()) if postgres else None
        world = law(folder, seed, blows, databases, lambda done: bar.update(task, completed=done))
    print(", ".join(f"{name} {count}" for name, count in sorted(world.done.items())))
    print(
        f"the screen came to say: {', '.join(f'{name} {count}' for name, count in sorted(world.screen.seen.items()))}"
    )
    for fault in world.faults:
        print(f"✗ {fault}")
    mark = "✗" if world.faults else "✔"
    seconds = time.monotonic() - began
    print(f"{mark} {world.done.total()} blows, {len(world.faults)} times the screen was wrong ({seconds:.0f} s)")
    if not world.faults:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if world.faults else 0


def progress() -> Progress:
    """Return a progress bar on a terminal, an invisible one elsewhere."""
    columns = (TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)


def report(results: list[Result], seconds: float) -> None:
    """Print the figures, then the faults."""
    for result in results:
        kinds = ", ".join(f"{what} {count}" for what, count in sorted(result.kills.items()))
        ends = ", ".join(f"{count} {phase}" for phase, count in sorted(result.ended.items()))
        figures = ", ".join(f"{count:,} {what}" for what, count in result.figures.items())
        print(f"{result.name}: {result.kills.total()} kills ({result.processes} processes)")
        print(f"  killed      {kinds}")
        stops = f", {result.stops} of which stopped the database in order" if result.stops else ""
        print(f"  not counted {result.in_vain} that killed nothing{stops}")
        if leaders := ", ".join(f"{stream} {count}" for stream, count in sorted(result.leaders.items())):
            print(f"  the cluster lost the leader of {leaders}")
        print(f"  deployments {ends}")
        print(f"  seen        {figures}")
        silence = ", ".join(f"{what} {seconds:.1f}" for what, seconds in sorted(result.silence.items()))
        print(f"  longest time without a record, in seconds, after {silence}; in all {result.seconds:.0f}")
    for result in results:
        for fault in result.faults:
            print(f"✗ {result.name}: {fault}")
    total = sum(result.kills.total() for result in results)
    faults = sum(len(result.faults) for result in results)
    again = sum(result.figures.get(REPEATED, 0) for result in results)
    print(f"{'✗' if faults else '✔'} {total} kills, {again} programs begun again, {faults} faults ({seconds:.0f} s)")


def missed(results: list[Result], *, postgres: bool) -> list[str]:
    """Return the kinds of kills that did not occur: a few drawn kills are not of every kind."""
    hit = {what.partition("-")[0] for result in results for what in result.kills}
    kinds = [*ONE_OF_EACH, EVERY_ROLE, EVERYTHING, BUS, *([DATABASE] if postgres else [])]
    return [what for what in kinds if what not in hit]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
