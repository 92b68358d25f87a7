"""Data that stand beside the records that they are too large for."""

import hashlib
import json
from dataclasses import replace

import pytest

from release_management.adapters.event_store import LostContentError
from release_management.kernel.record import (
    MAX_CONTENT_BYTES,
    MAX_RECORD_BYTES,
    dataref,
    dataref_of,
)
from release_management.services.ports import (
    Append,
    Appended,
    Conflict,
    EventLog,
    NewRecord,
    Repeated,
)
from tests.contract.backends import Store
from tests.contract.commands import (
    beside,
    command,
    given,
    seen,
)

A, B = "flag:a", "flag:b"


def appending(id: str, *records: NewRecord, base: int = 0) -> Append:
    streams = {each.stream: seen(base) for each in records}
    return replace(command(id, streams, {}), records=records)


def test_large_data_stand_beside_their_record_and_are_found_by_its_dataref(log: EventLog) -> None:
    large = beside(A, 1)

    assert log.append([appending("1", large)]) == [Appended(1, 1)]

    (recorded,) = log.read(0)
    assert recorded.record == large.record
    assert len(recorded.record) < 1_000 < MAX_RECORD_BYTES < len(large.content or b"")
    document = json.loads(recorded.record)
    assert "data" not in document
    assert document["dataref"] == f"sha256:{hashlib.sha256(large.content or b'').hexdigest()}"
    assert log.content(document["dataref"]) == large.content
    assert log.read_stream(A) == [recorded]


def test_the_same_data_are_kept_once_for_many_records(store: Store) -> None:
    log = store.open()
    large = [beside(A, 1), beside(A, 2), beside(B, 1)]

    log.append([appending("1", *large)])
    log.append([appending("2", beside(B, 2), base=1)])

    names = {dataref_of(recorded.record) for recorded in log.read(0)}
    assert len(names) == 1
    assert store.open().content(names.pop() or "") == large[0].content


def test_a_record_that_is_not_stored_leaves_no_content(log: EventLog) -> None:
    given(log, a=1)
    lost = beside(A, 1)

    assert log.append([appending("late", lost)]) == [Conflict((A,))]

    with pytest.raises(LostContentError, match="are missing"):
        log.content(dataref(lost.content or b""))


def test_a_command_that_comes_twice_stores_its_data_once(log: EventLog) -> None:
    envelope = appending("1", beside(A, 1))

    log.append([envelope])

    assert isinstance(log.append([envelope])[0], Repeated)
    assert log.last_position() == 1


def test_data_that_were_altered_behind_the_log_are_not_believed(store: Store) -> None:
    log = store.open()
    large = beside(A, 1)
    log.append([appending("1", large)])
    store.tamper("UPDATE contents SET content = CAST('{}' AS BLOB)")

    with pytest.raises(LostContentError, match="were altered; restore the log from a copy"):
        log.content(dataref(large.content or b""))


def test_a_content_of_several_megabytes_is_stored_and_read_whole(log: EventLog) -> None:
    large = beside(A, 1, note="é" * 2_500_000)

    assert log.append([appending("1", large)]) == [Appended(1, 1)]
    assert log.content(dataref(large.content or b"")) == large.content


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (replace(beside(A, 1), content=b"{}"), "it names sha256:[0-9a-f]{64} as its data, and beside it stands sha256"),
        (replace(beside(A, 1), content=None), "and beside it stands nothing"),
        (replace(beside(A, 1), content=b"x" * (MAX_CONTENT_BYTES + 1)), r"16,777,217 bytes stand beside it"),
    ],
)
def test_a_record_and_what_stands_beside_it_must_agree(log: EventLog, wrong: NewRecord, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        log.append([appending("1", wrong)])

    assert log.last_position() == 0
