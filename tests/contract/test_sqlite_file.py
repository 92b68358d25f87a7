"""The SQLite log alone: the files that it opens or leaves alone, and its waiting."""

import errno
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from release_management.adapters.event_store import (
    DamagedStoreError,
    ForeignStoreError,
    SQLiteEventLog,
    StoreUnavailableError,
)
from release_management.adapters.event_store.sqlite.database import SQLiteDatabase
from tests.contract.backends import every_kind
from tests.contract.commands import (
    command,
    given,
    seen,
)


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "log.db").touch()

    log = SQLiteEventLog.open(tmp_path / "log.db", every_kind)

    assert log.last_position() == 0
    log.close()


def test_threads_that_make_the_store_at_the_same_moment_make_one(tmp_path: Path) -> None:
    for number in range(20):
        together = threading.Barrier(6)
        identities: list[str] = []

        def make(path: Path, together: threading.Barrier, identities: list[str]) -> None:
            together.wait()
            log = SQLiteEventLog.open(path, every_kind)
            identities.append(log.store_id)
            log.close()

        makers = [
            threading.Thread(target=make, args=(tmp_path / f"{number}.db", together, identities)) for _ in range(6)
        ]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()

        assert len(identities) == 6
        assert len(set(identities)) == 1


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    change(path, "CREATE TABLE events (position INTEGER)")
    before = path.read_bytes()

    with pytest.raises(ForeignStoreError, match=r"other\.db is not an event store of ours"):
        SQLiteEventLog.open(path, every_kind)

    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("notes " * 1000)

    with pytest.raises(ForeignStoreError, match=r"notes\.txt is not an event store of ours"):
        SQLiteEventLog.open(path, every_kind)

    assert path.read_text() == "notes " * 1000


def test_a_store_of_a_newer_layout_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    SQLiteEventLog.open(path, every_kind).close()
    change(path, "UPDATE store SET schema_version = 4")

    with pytest.raises(ForeignStoreError, match="has the store layout 4 and this version knows 3"):
        SQLiteEventLog.open(path, every_kind)


def test_a_store_of_the_first_layout_is_brought_up_in_its_place_and_keeps_its_records(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    first = SQLiteEventLog.open(path, every_kind)
    given(first, a=3)
    records, store_id = first.read(0), first.store_id
    first.close()
    later = ("snapshots", "leases", "contents")
    for statement in (*(f"DROP TABLE {table}" for table in later), "UPDATE store SET schema_version = 1"):
        change(path, statement)

    for _ in range(2):
        log = SQLiteEventLog.open(path, every_kind)
        assert (log.read(0), log.store_id) == (records, store_id)
        assert log.snapshot("flag:a", "1") is None
        assert log.take("gateway") is not None
        log.close()


def test_a_role_that_is_no_name_is_refused(tmp_path: Path) -> None:
    log = SQLiteEventLog.open(tmp_path / "log.db", every_kind)

    with pytest.raises(ValueError, match=r"'\.\./road' is no role"):
        log.take("../road")
    log.close()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match=r"nowhere/log\.db cannot be used now"):
        SQLiteEventLog.open(tmp_path / "nowhere" / "log.db", every_kind)


def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SQLiteEventLog.open(path, every_kind)
    given(log, a=200)
    log.close()
    content = path.read_bytes()
    page = 4096
    path.write_bytes(content[: 8 * page] + b"\xff" * (len(content) - 8 * page))

    with pytest.raises(DamagedStoreError, match=r"log\.db is damaged"):
        SQLiteEventLog.open(path, every_kind)


def test_waiting_is_woken_by_an_append_and_not_by_polling_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("release_management.adapters.event_store.sqlite.log.POLL_SECONDS", 60)
    log = SQLiteEventLog.open(tmp_path / "log.db", every_kind)
    began = time.monotonic()
    appending = threading.Timer(0.1, given, args=(log,), kwargs={"a": 1})
    appending.start()

    assert log.wait(0, timeout=60)

    assert time.monotonic() - began < 30
    appending.join()
    log.close()


def test_a_reader_that_outlives_the_log_leaves_no_connection_open(tmp_path: Path) -> None:
    database = SQLiteDatabase(tmp_path / "log.db")
    with database.reading() as connection:
        database.close()

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_holder_that_cannot_touch_its_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = SQLiteEventLog.open(tmp_path / "log.db", every_kind)
    lease = log.take("gateway")
    assert lease is not None

    def full(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "utime", full)
    with pytest.raises(StoreUnavailableError, match=r"log\.db\.gateway\.1\.lock cannot be touched .*Input"):
        lease.is_held()

    monkeypatch.undo()
    assert lease.is_held()
    log.close()


def test_a_closed_log_says_so(tmp_path: Path) -> None:
    log = SQLiteEventLog.open(tmp_path / "log.db", every_kind)
    log.close()

    with pytest.raises(StoreUnavailableError, match="was closed"):
        log.last_position()
    with pytest.raises(StoreUnavailableError, match="was closed"):
        log.append([command("1", {"flag:a": seen(0)}, {"flag:a": 1})])
    log.close()
