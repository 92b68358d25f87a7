"""A role has one holder at a time, and who lost it can write nothing more under it."""

import signal
import time

import pytest

from release_management.adapters.event_store import UnreadableStoreError
from release_management.services.ports import (
    Appended,
    DeposedError,
    EventLog,
    Lease,
)
from tests.contract.backends import Store
from tests.contract.commands import command, seen

A = "flag:a"
FOLLOWED_SECONDS = 5


def taken_within(log: EventLog, seconds: float) -> Lease:
    deadline = time.monotonic() + seconds
    while (lease := log.take("gateway")) is None:
        assert time.monotonic() < deadline, f"nobody could follow for {seconds} s"
        time.sleep(0.05)
    return lease


def test_a_role_has_one_holder_until_it_is_released(store: Store) -> None:
    one, other = store.open(), store.open()
    lease = one.take("gateway")
    assert lease is not None
    assert lease.is_held()

    assert other.take("gateway") is None
    assert one.take("gateway") is None, "not even a second time here"

    lease.release()
    lease.release()
    assert not lease.is_held()
    follower = other.take("gateway")
    assert follower is not None
    assert follower.number > lease.number


def test_every_role_has_a_holder_of_its_own(log: EventLog) -> None:
    leases = [log.take(role) for role in ("gateway", "relay", "timers")]

    assert [lease.role for lease in leases if lease is not None] == ["gateway", "relay", "timers"]


def test_a_program_that_cannot_read_the_last_holders_records_does_not_get_the_role(store: Store) -> None:
    older, newer = store.open(known=lambda name, version: version == 1), store.open()
    lease = newer.take("gateway")
    assert lease is not None
    newer.append([command("1", {A: seen(0)}, {A: 1}, schema_version=2)], lease)
    lease.release()

    with pytest.raises(UnreadableStoreError, match=r"thing\.happened \(schema version 2\)"):
        older.take("gateway")

    assert newer.take("gateway") is not None, "who can is not kept from it"


def test_a_lease_of_a_closed_log_is_no_longer_held(store: Store) -> None:
    holder = store.open()
    holder.take("gateway")

    holder.close()

    assert store.open().take("gateway") is not None


def test_the_holder_appends_and_who_was_deposed_does_not(store: Store) -> None:
    one, other = store.open(), store.open()
    lease = one.take("gateway")
    assert lease is not None
    assert one.append([command("1", {A: seen(0)}, {A: 1})], lease) == [Appended(1, 1)]
    lease.release()
    assert one.append([command("2", {A: seen(1)}, {A: 1})], lease) == [Appended(2, 2)], "nobody has followed yet"

    follower = other.take("gateway")
    with pytest.raises(DeposedError, match="another process has taken the role 'gateway'; nothing was written"):
        one.append([command("3", {A: seen(2)}, {A: 1})], lease)

    assert one.outcomes([("tests", "3")]) == {}
    assert other.append([command("3", {A: seen(2)}, {A: 1})], follower) == [Appended(3, 3)]


def test_a_holder_that_is_killed_is_followed(store: Store) -> None:
    log = store.open()
    holder = store.child("hold", "gateway")
    assert holder.stdout is not None
    number = int(holder.stdout.readline())
    assert log.take("gateway") is None

    holder.send_signal(signal.SIGKILL)

    assert taken_within(log, FOLLOWED_SECONDS).number == number + 1


def test_a_holder_that_stands_still_is_followed_and_learns_of_it_when_it_wakes(store: Store) -> None:
    log = store.open()
    holder = store.child("hold", "gateway")
    assert holder.stdout is not None
    number = int(holder.stdout.readline())
    assert log.take("gateway") is None

    holder.send_signal(signal.SIGSTOP)
    lease = taken_within(log, FOLLOWED_SECONDS + 1)
    holder.send_signal(signal.SIGCONT)

    assert lease.number == number + 1
    assert holder.stdout.readline() == "lost\n"
    assert lease.is_held()
