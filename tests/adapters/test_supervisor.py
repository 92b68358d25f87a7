"""The supervisor of `relman up`: leftovers that it finds, and the last words of its parts."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from release_management.adapters.event_store import DamagedStoreError, StoreUnavailableError
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.exit_codes import FINAL
from release_management.runtime.roles import process
from release_management.runtime.supervisor import Supervisor

GARBAGE = b"no database at all " * 100


@pytest.mark.parametrize("noted", ['[{"pid":"x"},5]', '{"pid":1}', "7", '[{"pid":-1,"started":0}]', "[["])
def test_a_note_that_is_garbage_is_ignored(noted: str, tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text(noted)
    Supervisor(DataDirectory(tmp_path))._clear_away()


@pytest.mark.parametrize(("part", "file"), [("road", "road.db"), ("projector", "read.db")])
def test_a_damaged_projection_is_named_with_what_helps(part: str, file: str, tmp_path: Path) -> None:
    error = sqlite3.DatabaseError("file is not a database")
    error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
    [(sentence, final)] = process._explained(error, part, DataDirectory(tmp_path))
    assert sentence == f"{tmp_path / file} is damaged: remove it; it is built again"
    assert final


def test_only_what_a_new_start_can_help_is_started_again() -> None:
    assert [*process._explained(DamagedStoreError("broken"), "road", DataDirectory(Path()))] == [("broken", True)]
    assert [*process._explained(StoreUnavailableError("locked"), "road", DataDirectory(Path()))] == [("locked", False)]
    assert [*process._explained(KeyError("ours"), "road", DataDirectory(Path()))] == []


@pytest.mark.parametrize("part", ["road", "projector"])
def test_the_last_line_of_a_part_that_gives_up_is_its_sentence(part: str, tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(GARBAGE)
    (tmp_path / "nats.url").write_text("nats://127.0.0.1:1")
    held, ours = os.pipe()
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "release_management.runtime.roles", part, str(tmp_path), "-"],
            stdin=held,
            capture_output=True,
            text=True,
            timeout=30,
        )
    finally:
        os.close(held)
        os.close(ours)
    assert ended.returncode == FINAL
    assert ended.stderr.startswith(f"error: {tmp_path / 'log.db'} is not an event store of ours")
    assert ended.stderr.count("\n") == 1
