"""Search at random for what breaks a property test: one round after another, each with a seed of its own.

The seed is printed, and repeats its round: `make laws SEED=123`.
"""

import argparse
import os
import random
import subprocess
import sys
import time

import pytest

from tests.profiles import TIMES

MANY = 2
"""Times the usual number of examples in a round, which then takes some minutes."""


def main(given: list[str]) -> int:
    """Run rounds until the time is over or one finds something; the exit code is pytest's."""
    parser = argparse.ArgumentParser(prog="make laws", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0, help="begin another round while so many have not passed")
    parser.add_argument("--seed", type=int, help="repeat the round of this seed")
    parser.add_argument("--times", type=int, default=MANY, help="times the usual number of examples in a round")
    parser.add_argument("arguments", nargs="*", metavar="ARGS", help="for pytest, such as -k deployment")
    asked = parser.parse_args(given)
    began = time.monotonic()
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(2**32)
    while True:
        print(f"--- seed {seed}: {asked.times} times the usual examples", flush=True)
        code = _round(seed, asked.times, asked.arguments)
        if code == pytest.ExitCode.TESTS_FAILED:
            print(f"--- seed {seed} found something; once more: make laws SEED={seed}", flush=True)
        elif code != 0:
            print(f"--- seed {seed}: the round did not run to its end (pytest's exit code {code})", flush=True)
        if code != 0:
            return code
        minutes = (time.monotonic() - began) / 60
        if minutes >= asked.minutes:
            print(f"--- nothing found in {minutes:.1f} minutes", flush=True)
            return 0
        seed = (seed + 1) % 2**32


def _round(seed: int, times: int, arguments: list[str]) -> int:
    own = ["-m", "hypothesis", "-q", "--timeout=0", "--hypothesis-profile=explore", f"--hypothesis-seed={seed}"]
    environment = {**os.environ, TIMES: str(times)}
    return subprocess.run([sys.executable, "-m", "pytest", *own, *arguments], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
