"""Folded states that a log keeps beside its records."""

from release_management.services.ports import EventLog, Snapshot
from tests.contract.backends import Store

SNAPSHOT = Snapshot(version=3, shape="flag-1", record="ab" * 32, state=bytes(range(256)))


def test_a_snapshot_is_kept_in_its_shape_and_for_its_stream(store: Store) -> None:
    log = store.open()
    log.keep_snapshot("flag:a", SNAPSHOT)

    assert log.snapshot("flag:a", "flag-1") == SNAPSHOT
    assert log.snapshot("flag:a", "flag-2") is None
    assert log.snapshot("flag:b", "flag-1") is None
    assert store.open().snapshot("flag:a", "flag-1") == SNAPSHOT


def test_a_newer_snapshot_takes_the_place_of_the_earlier_one(log: EventLog) -> None:
    newer = Snapshot(version=9, shape="flag-2", record="cd" * 32, state=b"")
    log.keep_snapshot("flag:a", SNAPSHOT)
    log.keep_snapshot("flag:a", newer)

    assert log.snapshot("flag:a", "flag-2") == newer
    assert log.snapshot("flag:a", "flag-1") is None


def test_a_snapshot_is_no_record(log: EventLog) -> None:
    log.keep_snapshot("flag:a", SNAPSHOT)

    assert log.last_position() == 0
    assert log.read_stream("flag:a") == []
