"""`make bench` runs. What it measures is not asserted: that depends on the machine."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import __main__ as command_line
from bench.conditions import Scale, Store
from bench.rows import Row, closing, in_turns, shown

ROOT = Path(__file__).parents[2]


def bench(*arguments: str) -> str:
    command = [sys.executable, "-m", "bench", "--quick", "--store", "SQLite", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_prints_one_table_with_both_sides() -> None:
    table = bench("--only", "commands", "--only", "replay", "--only", "projection")

    for measure in ("commands/s, 1 caller", "commands/s, 32 callers", "replay, events/s", "projection, events/s"):
        assert measure in table
    assert "quick: the figures mean nothing" in table


def test_it_measures_long_histories() -> None:
    rows = json.loads(bench("--only", "history", "--json"))

    assert [row["measure"] for row in rows] == [
        "command, long environment",
        "command, old place",
        "command, long environment, cold",
        "command, old place, cold",
    ]
    assert all(row["value"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("value", "bounds", "reached"),
    [
        (5.0, {"at_least": 5.0}, True),
        (4.9, {"at_least": 5.0}, False),
        (1.2, {"at_most": 1.2}, True),
        (1.3, {"at_most": 1.2}, False),
        (1.0, {}, None),
        (None, {"at_least": 1.0}, None),
    ],
)
def test_a_row_says_whether_its_target_is_reached(
    value: float | None, bounds: dict[str, float], reached: bool | None
) -> None:
    row = Row("commands/s", "SQLite", "1", "2", value, **bounds)  # type: ignore[arg-type] # bounds by name

    assert row.reached is reached
    assert ("✔" in shown([row]), "✘" in shown([row])) == (reached is True, reached is False)


ROWS = [
    Row("commands/s", "SQLite", "1", "2", 4.9, at_least=5.0),
    Row("commands/s", "PostgreSQL", "1", "2", 9.0, at_least=8.0),
    Row("bus, p50", "SQLite", "6 ms", value=6.0, unit="ms", at_most=5.0),
    Row("memory", "SQLite", "100 MB"),
]


def test_the_last_line_counts_and_names_the_missed_targets() -> None:
    names = "commands/s on SQLite (4.90 x, aimed at ≥ 5); bus, p50 on SQLite (6.00 ms, aimed at ≤ 5)"
    assert closing(ROWS) == f"2 of 3 targets missed: {names}"
    assert closing(ROWS[1:2]) == "all targets reached, 1 of 1"
    assert closing(ROWS[3:]) == "no targets among these rows"


@pytest.mark.parametrize(("asked", "code"), [([], 0), (["--strict"], 1), (["--strict", "--json"], 1)])
def test_a_missed_target_is_a_failure_only_where_that_is_asked_for(
    asked: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(store: Store, scale: Scale) -> Iterator[Row]:
        yield from ROWS

    monkeypatch.setattr(command_line, "ON_BOTH", {"commands": measured})
    monkeypatch.setattr(command_line, "collect_rarely", lambda: None)

    assert command_line.main(["--only", "commands", "--store", "SQLite", *asked]) == code
    said = capsys.readouterr()
    assert closing(ROWS) in (said.err if "--json" in asked else said.out.splitlines()[-1])


def test_strict_is_content_with_rows_that_reach_their_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "ON_BOTH", {"commands": lambda store, scale: iter(ROWS[1:2])})
    monkeypatch.setattr(command_line, "collect_rarely", lambda: None)

    assert command_line.main(["--only", "commands", "--store", "SQLite", "--strict"]) == 0


def test_the_ratio_is_the_median_of_the_rounds() -> None:
    mine, theirs = iter([2.0, 30.0, 4.0]), iter([1.0, 1.0, 1.0])

    assert in_turns(lambda: next(mine), lambda: next(theirs), 3) == (4.0, 1.0, 4.0)
