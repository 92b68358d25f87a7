"""The property tests: the same in every run of the suite; another in every round of a search, which a seed repeats."""

import subprocess
import sys

import pytest
from hypothesis import settings

from tests import laws
from tests.profiles import TIMES, times


def test_every_run_of_the_suite_tries_the_same_examples_and_keeps_none() -> None:
    ours = settings.get_profile("fixed")

    assert (ours.derandomize, ours.database, ours.deadline) == (True, None, None)


def test_a_run_may_try_a_multiple_or_a_part_of_the_usual_number_of_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMES, "10")

    assert times(20) == 200
    monkeypatch.setenv(TIMES, "0.2")
    assert (times(20), times(1)) == (4, 1)


def test_a_search_draws_at_random_and_says_with_which_seed() -> None:
    words = ["--seed", "7", "--times", "1", "--", "-n", "0", "tests/domain/test_types.py"]

    search = subprocess.run([sys.executable, "-m", "tests.laws", *words], capture_output=True, text=True, timeout=100)

    assert search.returncode == 0, search.stdout + search.stderr
    assert search.stdout.startswith("--- seed 7: 1 times the usual examples\n")
    assert "2 passed" in search.stdout, "the property tests, and no others"
    assert "--- nothing found in " in search.stdout


def test_a_search_stops_at_what_it_finds_and_names_the_seed_that_finds_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[list[str]] = []
    codes = iter([0, 1])

    def run(command: list[str], env: dict[str, str]) -> "subprocess.CompletedProcess[bytes]":
        tried.append([*command[3:], env[TIMES]])
        return subprocess.CompletedProcess(command, next(codes))

    monkeypatch.setattr(subprocess, "run", run)

    assert laws.main(["--minutes", "5", "--seed", "41", "--", "-k", "deployment"]) == 1

    assert ["--hypothesis-seed=41" in tried[0], "--hypothesis-seed=42" in tried[1]] == [True, True]
    ends = ["-k", "deployment", str(laws.MANY)]
    assert all("--hypothesis-profile=explore" in one and one[-3:] == ends for one in tried)
    assert "once more: make laws SEED=42\n" in capsys.readouterr().out
