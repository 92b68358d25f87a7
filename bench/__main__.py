"""`make bench`: one table of ratios, both sides in one run on one machine, on SQLite and on PostgreSQL.

The ratio counts; absolute figures depend on the machine. `--quick` checks that everything runs, `--only NAME` measures
a part, `--store NAME` one store, `--json` prints it for machines. Targets are aims: a missed one is named in the last
line, and only `--strict` makes it exit 1.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog

from bench import bus, commands, history, memory, reading, steps, waiting
from bench.conditions import FULL, QUICK, Scale, Store, Stores, progress
from bench.library import cores
from bench.rows import Row, closing, missed, shown
from release_management.adapters.system.gc_tuning import collect_rarely

STORES = ("SQLite", "PostgreSQL")
Measure = Callable[[Store, Scale], Iterator[Row]]
MEASURES: Mapping[str, Measure] = {
    "commands": commands.measure,
    "replay": reading.replay,
    "projection": reading.projection,
    "history": history.measure,
    "bus": bus.measure,
    "memory": memory.measure,
    "steps": steps.measure,
    "waiting": waiting.measure,
}


def main(arguments: Sequence[str]) -> int:
    """Measure, and print the table; return 1 if a target was missed and `--strict` was given, else 0."""
    asked = _asked(arguments)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    scale = QUICK if asked.quick else FULL
    rows: list[Row] = []
    begun = time.monotonic()
    with Stores() as stores:
        for name, measure in MEASURES.items():
            if asked.only and name not in asked.only:
                continue
            for store in STORES:
                if asked.store and store not in asked.store:
                    continue
                progress(f"{time.monotonic() - begun:4.0f} s  {name} on {store}")
                with stores.fresh(store) as fresh:
                    collect_rarely()
                    rows += measure(fresh, scale)
    progress(f"{time.monotonic() - begun:4.0f} s  done")
    if asked.json:
        print(json.dumps([row.as_json() for row in rows], indent=2))
        progress(closing(rows))
    else:
        print(shown(rows))
        quick = ", quick: the figures mean nothing" if asked.quick else ""
        print(f"\n{time.monotonic() - begun:.0f} s on {cores()} processors{quick}")
        print(closing(rows))
    return 1 if asked.strict and missed(rows) else 0


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs")
    parser.add_argument("--only", action="append", choices=MEASURES, help="measure this; may be repeated")
    parser.add_argument("--store", action="append", choices=STORES, help="on this store; may be repeated")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a target is missed")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
