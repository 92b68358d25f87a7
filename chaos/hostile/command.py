"""`make chaos ARGS=hostile`: one client does its worst, and an honest one beside it must not notice."""

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from chaos.hostile.attacker import Order
from chaos.hostile.honest import ASKED
from chaos.hostile.judge import Phase
from chaos.hostile.mail import message
from chaos.hostile.run import Result, Run
from tests.servers.postgres import PostgresServer

MESSAGES = 100_000
EACH_ROUND = 25_000
SHOWN = 12
SHARES = (("p50", 0.5), ("p99", 0.99), ("max", 1.0))


def main(arguments: list[str]) -> int:
    """Attack, judge, report; return 0 if no rule was broken."""
    asked = options(arguments)
    seed = asked.seed if asked.seed is not None else random.randrange(1_000_000)
    folder = Path(tempfile.mkdtemp(prefix="relman-hostile-"))
    print(f"seed {seed}; the same again: make chaos ARGS='hostile --seed {seed} …'; folder {folder}", flush=True)
    order = ordered(asked, seed)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        databases = stack.enter_context(PostgresServer()) if asked.store == "postgres" else None
        store = databases.new_database() if databases is not None else None
        result = Run(folder, store, asked.calm, tell=told).whole(order)
    report(result, time.monotonic() - began)
    if result.faults or asked.keep:
        print(f"What was left is in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if result.faults else 0


def options(arguments: list[str]) -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(prog="make chaos ARGS='hostile …'", description=__doc__)
    parser.add_argument("--messages", type=int, default=MESSAGES, help="how many are sent (%(default)s)")
    parser.add_argument("--minutes", type=float, help="send for so long instead, as many as go into it")
    parser.add_argument("--seed", type=int, help="draws every message; else one at random")
    parser.add_argument("--from", type=int, default=0, dest="first", help="begin with this message (%(default)s)")
    parser.add_argument("--only", type=int, help="send this one message of the seed, and show it")
    parser.add_argument("--store", choices=("postgres", "sqlite"), default="sqlite", help="(%(default)s)")
    parser.add_argument("--calm", type=float, default=15.0, help="seconds of each phase without it (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    return parser.parse_args(arguments)


def ordered(arguments: argparse.Namespace, seed: int) -> Order:
    """Return the attacker's order."""
    if arguments.only is not None:
        print(message(seed, arguments.only))
        return Order("", seed, arguments.only, arguments.only + 1, rounds=0)
    if arguments.minutes is not None:
        return Order("", seed, arguments.first, seconds=60 * arguments.minutes)
    return Order(
        "", seed, arguments.first, arguments.first + arguments.messages, rounds=max(1, arguments.messages // EACH_ROUND)
    )


def told(said: str) -> None:
    """Print the progress."""
    print(f"{datetime.now():%H:%M:%S} {said}", file=sys.stderr, flush=True)


def report(result: Result, seconds: float) -> None:
    """Print the figures, then the faults."""
    sent = result.sent
    rate = sent.messages / sent.seconds if sent.seconds else 0.0
    print(f"sent {sent.messages:,} messages in {sent.seconds:.0f} s ({rate:,.0f} a second)")
    print(f"  of which    {_counts(sent.by_kind)}")
    print(f"  and         {_counts(sent.acts)}")
    print(f"  refused     {_counts(sent.refused)}; {sent.cut_off} times the server hung up")
    print(f"  answered    {sent.answers:,}, of which own up to a fault {sum(sent.ours.values())}")
    print(f"  overheard   {sent.overheard} answers to the honest client")
    print(f"  typed       {result.typed} command lines, with files that they apply")
    for phase in result.phases:
        _report(phase)
    for fault in result.faults:
        print(f"✗ {fault}")
    print(f"{'✗' if result.faults else '✔'} {sent.messages:,} messages, {len(result.faults)} faults ({seconds:.0f} s)")


def _report(phase: Phase) -> None:
    heard = phase.heard
    print(f"{phase.name} ({phase.seconds:.0f} s)")
    for kind in (*ASKED, "queued"):
        took = [f"{name} {1000 * heard.percentile(share, (kind,)):.1f} ms" for name, share in SHARES]
        print(f"  {kind:11} {len(heard.seconds.get(kind, ())):,} answered, {', '.join(took)}")
    longest = max(heard.deployments, default=0.0)
    print(f"  deployments {len(heard.deployments)} finished, the longest in {longest:.1f} s")
    print(f"  unanswered  {len(heard.wrong)}")
    print(f"  processes   begun again: {_counts(phase.restarts) or 'none'}")
    print(f"  logs        {phase.lines:,} lines, of which own up to a fault {phase.errors.total()}")
    print(f"  health      {_counts(phase.ill) or 'well throughout'}")
    print(f"  MiB         {_sizes(phase.before)} before, {phase.peak} at most, {_sizes(phase.after)} after")
    print(f"  on disk     {', '.join(f'{name} {size} MiB' for name, size in phase.sizes.items())}")
    letters = phase.letters
    print(f"  dead letters {letters.get('messages', '?')} with {letters.get('bytes', 0) // 1024:,} KiB")


def _sizes(sizes: Mapping[str, int]) -> str:
    return f"{sum(sizes.values())} ({', '.join(f'{name} {size}' for name, size in sorted(sizes.items()))})"


def _counts(counted: Mapping[str, int]) -> str:
    most = sorted(counted.items(), key=lambda pair: -pair[1])
    more = f", and {len(most) - SHOWN} more kinds" if len(most) > SHOWN else ""
    return ", ".join(f"{name} {count:,}" for name, count in most[:SHOWN]) + more
