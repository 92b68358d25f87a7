"""`make bench` runs. What it measures is not asserted: that depends on the machine."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from bench import __main__ as command_line
from bench.commands import threads
from bench.conditions import Scale, Store
from bench.lag import Lag, labelled
from bench.library import Library
from bench.rows import CACHING_LIBRARY, EMPTY, LIBRARY, PEERS, Figure, Row, against, closing, in_turns, shown

ROOT = Path(__file__).parents[2]


def bench(*arguments: str, store: str = "SQLite") -> str:
    command = [sys.executable, "-m", "bench", "--quick", "--store", store, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_the_bench_prints_one_table_with_both_sides() -> None:
    table = bench("--only", "commands", "--only", "replay", "--only", "projection")

    for measure in ("commands/s, 1 caller", "commands/s, 32 callers", "replay, events/s", "projection, events/s"):
        assert measure in table
    assert "quick: the figures mean nothing" in table


def test_commands_are_measured_against_the_library_without_its_cache_and_with_it() -> None:
    rows = json.loads(bench("--only", "commands", "--json"))

    assert [(row["measure"], row["against"]) for row in rows] == [
        ("commands/s, 1 caller", LIBRARY),
        ("commands/s, 1 caller", CACHING_LIBRARY),
        ("commands/s, 32 callers", LIBRARY),
        ("commands/s, 32 callers", CACHING_LIBRARY),
        ("commands/s, 32 coroutines", LIBRARY),
    ]
    assert rows[0]["ours"] == rows[1]["ours"]


def test_a_caching_library_reads_nothing_before_it_saves(tmp_path: Path) -> None:
    read: dict[bool, int] = {}
    for caching in (False, True):
        store = Store("SQLite", tmp_path)
        library = Library(store.peer_settings, caching=caching)
        recorder = library._app.recorder
        with mock.patch.object(recorder, "select_events", wraps=recorder.select_events) as select:
            for turn in range(10):
                library.command(turn % 2)
        read[caching] = select.call_count
        library.close()

    assert read == {False: 10, True: 0}


def test_a_caller_that_fails_is_not_measured() -> None:
    def fail(turn: int) -> None:
        if turn:
            raise ValueError(turn)

    with pytest.raises(ValueError, match="1"):
        threads(fail, 4, 2)


HISTORY = [
    "command, long environment",
    "command, old place",
    "command, long environment, cold",
    "command, old place, cold",
]
BUS = [
    f"{way}{idle}, p{percent}"
    for idle in ("", ", idle")
    for way in ("bus, request/reply", "bus, queued")
    for percent in (50, 99)
]
MEMORY = ["memory, idle", "memory, under load"]


@pytest.mark.long
def test_long_histories_are_measured_against_a_store_that_was_just_begun() -> None:
    rows = json.loads(bench("--only", "history", "--json"))

    assert [(row["measure"], row["against"]) for row in rows] == [(measure, EMPTY) for measure in HISTORY]
    assert all(row["ratio"]["low"] > 0 for row in rows)
    assert all("with 4,000 events in the log" in row["notes"][0] for row in rows)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_on_postgresql_the_installation_is_measured_too() -> None:
    rows = json.loads(bench("--json", "--only", "projection", "--only", "memory", store="PostgreSQL"))

    assert {row["store"] for row in rows} == {"PostgreSQL"}
    assert [row["measure"] for row in rows] == ["projection, events/s", *MEMORY]
    assert all(row["ours"]["low"] > 0 for row in rows)
    assert all(row["ratio"] is not None for row in rows if row["against"])


@pytest.mark.parametrize(
    ("after", "name"),
    [
        (Lag(500, 401), "bus, queued, busy"),
        (Lag(500, 400), "bus, queued"),
        (Lag(0, 9_000), "bus, queued"),
        (Lag(0, 0), "bus, queued"),
    ],
)
def test_a_measurement_is_called_busy_only_where_a_backlog_outlasted_it(after: Lag, name: str) -> None:
    called, note = labelled("bus, queued", Lag(9_000, 9_500), after, written=400)

    assert called == name
    assert note.startswith(
        f"{name}: projector and relay were 9,000 and 9,500 records behind before it, {after} at its end"
    )


@pytest.mark.long
def test_bus_and_memory_are_measured_the_bus_with_what_was_left_of_the_backlog() -> None:
    rows = json.loads(bench("--only", "bus", "--only", "memory", "--json"))

    assert [row["measure"].replace(", busy", "") for row in rows] == [*BUS, *MEMORY]
    assert all("records behind before it" in row["notes"][1] for row in rows[:4])


@pytest.mark.long
def test_a_step_of_many_components_is_measured_against_one_of_few() -> None:
    rows = json.loads(bench("--only", "steps", "--json"))

    assert [(row["measure"], row["against"]) for row in rows] == [("step of 40 components", "10 components")] * len(
        rows
    )
    assert all(row["ratio"]["value"] > 0 and row["at_most"] == 2.0 for row in rows)


@pytest.mark.long
def test_deployments_beside_many_that_wait_are_measured_against_an_installation_in_which_nothing_waits() -> None:
    rows = json.loads(bench("--only", "waiting", "--json"))

    assert [(row["measure"], row["against"], row["at_most"]) for row in rows] == [
        ("deployment, alone, beside many that wait", EMPTY, 1.2),
        ("100 deployments at once, beside many that wait", EMPTY, 1.2),
    ]
    assert all(row["ratio"]["value"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("value", "bounds", "reached"),
    [
        (5.0, {"at_least": 5.0}, True),
        (4.9, {"at_least": 5.0}, False),
        (1.2, {"at_most": 1.2}, True),
        (1.3, {"at_most": 1.2}, False),
        (1.0, {}, None),
    ],
)
def test_a_row_says_whether_its_target_is_reached(value: float, bounds: dict[str, float], reached: bool | None) -> None:
    for row in (
        against("commands/s", "SQLite", [value], [1.0], LIBRARY, **bounds),
        Row("commands/s", "SQLite", Figure.of(value), **bounds),  # type: ignore[arg-type] # bounds by name
    ):
        assert row.reached is reached
        assert ("✔" in shown([row]), "✘" in shown([row])) == (reached is True, reached is False)


@pytest.mark.parametrize(
    ("rounds", "said"),
    [
        ([1000.0, 1200.0, 900.0], "1,000 ms (900 to 1,200)"),
        ([12.34, 12.0], "12.2 ms (12.0 to 12.3)"),
        ([1.5, 1.25, 9.0], "1.50 ms (1.25 to 9.00)"),
        ([4.0], "4.00 ms"),
    ],
)
def test_a_figure_is_the_median_with_the_lowest_and_the_highest_round(rounds: list[float], said: str) -> None:
    assert str(Figure.of(*rounds, unit="ms")) == said


def test_a_stranger_is_told_who_the_sides_are_and_what_a_row_measures() -> None:
    sides = ([2.0, 3.0], [1.0, 1.0])
    rows = [
        against("commands/s", "SQLite", *sides, LIBRARY, notes=("what it is", "of one")),
        against("commands/s", "SQLite", *sides, CACHING_LIBRARY, notes=("what it is", "of the other")),
    ]
    lines = shown(rows).splitlines()

    assert [line for line in lines if line.startswith("library")] == [
        f"{name}: {PEERS[name]}" for name in (LIBRARY, CACHING_LIBRARY)
    ]
    assert lines[0].startswith("ours: release-management")
    [head] = [line for line in lines if line.startswith("what is measured")]
    assert head.split()[-2:] == ["rounds", "notes"]
    assert [line.split()[-3:] for line in lines if line.startswith("commands/s")] == [["2", "1", "2"], ["2", "1", "3"]]
    assert lines[-3:] == ["1: what it is", "2: of one", "3: of the other"]


ROWS = [
    against("commands/s", "SQLite", [4.9], [1.0], LIBRARY, at_least=5.0),
    against("commands/s", "PostgreSQL", [9.0], [1.0], LIBRARY, at_least=8.0),
    Row("bus, p50", "SQLite", Figure.of(6.0, unit="ms"), at_most=5.0),
    Row("memory", "SQLite", Figure.of(100.0, unit="MB")),
]


def test_the_last_line_counts_and_names_the_missed_targets() -> None:
    names = "commands/s on SQLite against library (4.90, aim ≥ 5); bus, p50 on SQLite (6.00 ms, aim ≤ 5)"
    assert closing(ROWS) == f"2 of 3 targets missed: {names}"
    assert closing(ROWS[1:2]) == "all targets reached, 1 of 1"
    assert closing(ROWS[3:]) == "no targets among these rows"


@pytest.mark.parametrize(("asked", "code"), [([], 0), (["--strict"], 1), (["--strict", "--json"], 1)])
def test_a_missed_target_is_a_failure_only_where_that_is_asked_for(
    asked: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(store: Store, scale: Scale) -> Iterator[Row]:
        yield from ROWS

    monkeypatch.setattr(command_line, "MEASURES", {"commands": measured})
    monkeypatch.setattr(command_line, "collect_rarely", lambda: None)

    assert command_line.main(["--only", "commands", "--store", "SQLite", *asked]) == code
    said = capsys.readouterr()
    assert closing(ROWS) in (said.err if "--json" in asked else said.out.splitlines()[-1])


def test_strict_is_content_with_rows_that_reach_their_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "MEASURES", {"commands": lambda store, scale: iter(ROWS[1:2])})
    monkeypatch.setattr(command_line, "collect_rarely", lambda: None)

    assert command_line.main(["--only", "commands", "--store", "SQLite", "--strict"]) == 0


def test_the_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    mine, theirs = iter([2.0, 30.0, 4.0]), iter([1.0, 10.0, 2.0])
    ours, peer = in_turns(3, lambda: next(mine), lambda: next(theirs))
    row = against("commands/s", "SQLite", ours, peer, LIBRARY)

    assert (row.ours, row.peer, row.ratio) == (Figure.of(2.0, 30.0, 4.0), Figure.of(1.0, 10.0, 2.0), Figure.of(2, 3, 2))
