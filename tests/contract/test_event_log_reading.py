"""The contract of reading every event log: pages, waiting, opening again, and changes behind its back."""

import threading
import time

import pytest

from release_management.adapters.event_store import (
    CorruptRecordError,
    GapError,
    UnreadableStoreError,
)
from release_management.services.ports import EventLog, Repeated
from tests.contract.backends import Store
from tests.contract.commands import (
    command,
    given,
    seen,
)

A, B = "flag:a", "flag:b"


def test_pages_follow_one_another(log: EventLog) -> None:
    given(log, a=5)

    assert [one.position for one in log.read(0, limit=2)] == [1, 2]
    assert [one.position for one in log.read(2, limit=2)] == [3, 4]
    assert [one.position for one in log.read(4, limit=2)] == [5]
    assert log.read(5) == []


def test_a_store_that_is_opened_again_is_the_same(store: Store) -> None:
    first = store.open()
    given(first, a=2)

    again = store.open()

    assert again.store_id == first.store_id
    assert again.read(0) == first.read(0)
    assert again.append([command("given flag:a 0", {A: seen(0)}, {A: 1})]) == [
        Repeated(b"outcome of given flag:a 0", 1, 1)
    ]


def test_waiting_ends_at_once_where_there_is_more_and_at_its_time_where_there_is_not(log: EventLog) -> None:
    given(log, a=1)
    assert log.wait(0, timeout=0)

    began = time.monotonic()
    assert not log.wait(1, timeout=0.1)
    assert 0.1 <= time.monotonic() - began < 20


def test_waiting_sees_an_append_of_another_thread(log: EventLog) -> None:
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(log.wait(0, timeout=10)))
    waiting.start()
    given(log, a=1)
    waiting.join()

    assert answers == [True]


def test_a_store_with_records_that_cannot_be_read_does_not_open(store: Store) -> None:
    log = store.open()
    log.append([command("1", {A: seen(0)}, {A: 1}), command("2", {B: seen(0)}, {B: 1}, schema_version=2)])

    with pytest.raises(UnreadableStoreError, match=r"thing\.happened \(schema version 2\)") as refusal:
        store.open(known=lambda name, version: (name, version) == ("thing.happened", 1))

    assert refusal.value.kinds == (("thing.happened", 2),)


def test_kinds_of_records_that_were_not_stored_do_not_keep_a_store_from_opening(store: Store) -> None:
    log = store.open()
    log.append([command("1", {A: seen(0)}, {A: 1}), command("2", {A: seen(0)}, {A: 1}, schema_version=2)])

    assert store.open(known=lambda name, version: version == 1).last_position() == 1


# What somebody changed behind the log's back


@pytest.mark.parametrize(
    "change",
    ["stream_id = 'flag:z'", "version = 9", "name = 'flag.other'", "record = CAST('{}' AS BLOB)"],
)
def test_a_record_that_disagrees_with_its_index_is_noticed(store: Store, change: str) -> None:
    log = store.open()
    given(log, a=3)
    store.tamper(f"UPDATE events SET {change} WHERE position = 2")

    assert [one.position for one in log.read(0, limit=1)] == [1]
    with pytest.raises(CorruptRecordError, match="position 2 was altered") as noticed:
        log.read(0)
    assert noticed.value.position == 2


def test_a_record_that_was_removed_is_noticed_in_the_log_and_in_its_stream(store: Store) -> None:
    log = store.open()
    given(log, a=3)
    store.tamper("DELETE FROM events WHERE position = 2")

    with pytest.raises(GapError, match="position 2 is missing, the next is 3") as noticed:
        log.read(0)
    assert (noticed.value.expected, noticed.value.found) == (2, 3)
    with pytest.raises(GapError, match="version 2 of the stream 'flag:a' is missing, the next is 3"):
        log.read_stream(A)


def test_the_newest_record_cannot_be_removed_unnoticed(store: Store) -> None:
    log = store.open()
    given(log, a=3)
    store.tamper("DELETE FROM events WHERE position = 3")

    with pytest.raises(GapError, match="position 3 is missing, the log ends there"):
        log.last_position()
    with pytest.raises(GapError, match="position 3 is missing"):
        log.append([command("1", {A: seen(2)}, {A: 1})])
    with pytest.raises(GapError, match="position 3 is missing"):
        store.open()
