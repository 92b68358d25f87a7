"""The contract of every event log with commands: append, refuse, remember."""

from dataclasses import replace

import pytest

from release_management.kernel.record import MAX_RECORD_BYTES
from release_management.services.ports import (
    Append,
    Appended,
    Conflict,
    EventLog,
    Expectation,
    IdReused,
    NewRecord,
    Repeated,
    StoredOutcome,
)
from tests.contract.commands import (
    command,
    given,
    record,
    seen,
    versions_of,
)

A, B, C = "flag:a", "flag:b", "flag:c"


# Appending


def test_an_empty_log_has_no_last_position_and_nothing_to_read(log: EventLog) -> None:
    assert log.last_position() == 0
    assert log.read(0) == []
    assert log.read_stream(A) == []
    assert log.append([]) == []


def test_appended_records_are_read_byte_for_byte_with_positions_from_one(log: EventLog) -> None:
    envelope = command("1", {A: seen(0), B: seen(0)}, {A: 2, B: 1})

    assert log.append([envelope]) == [Appended(1, 3)]

    page = log.read(0)
    assert [(one.position, one.stream, one.version) for one in page] == [(1, A, 1), (2, A, 2), (3, B, 1)]
    assert [one.record for one in page] == [new.record for new in envelope.records]
    assert log.read_stream(A, after=1) == [page[1]]
    assert log.last_position() == 3


def test_the_commands_of_a_batch_may_build_on_one_another(log: EventLog) -> None:
    given(log, a=1)

    statuses = log.append(
        [
            command("1", {A: seen(1)}, {A: 2}),
            command("2", {A: seen(1, 2), B: seen(0)}, {B: 1}),
            command("3", {A: seen(1, 2), B: seen(0, 1)}, {A: 1}),
        ]
    )

    assert statuses == [Appended(2, 3), Appended(4, 4), Appended(5, 5)]


def test_a_command_with_nothing_to_record_is_remembered(log: EventLog) -> None:
    assert log.append([command("1", {A: seen(0)}, {})]) == [Appended(0, 0)]

    (stored,) = log.outcomes([("tests", "1")]).values()
    assert (stored.outcome, stored.first, stored.last) == (b"outcome of 1", 0, 0)
    assert log.last_position() == 0


def test_a_batch_of_a_megabyte_is_stored_whole(log: EventLog) -> None:
    batch = []
    for number in range(17):
        stream = f"flag:large-{number}"
        new = record(stream, 1, note="")
        padded = new.record.replace(b'"note":""', b'"note":"' + b"x" * (MAX_RECORD_BYTES - len(new.record)) + b'"')
        large = NewRecord(stream, 1, new.name, padded)
        batch.append(replace(command(f"{number}", {stream: seen(0)}, {}), records=(large,)))

    assert log.append(batch) == [Appended(position, position) for position in range(1, 18)]
    assert sum(len(one.record) for one in log.read(0)) == 17 * MAX_RECORD_BYTES > 1_000_000


# Conflicts


def test_a_stream_that_moved_is_a_conflict_for_who_writes_it(log: EventLog) -> None:
    given(log, a=2)

    assert log.append([command("1", {A: seen(1)}, {A: 1})]) == [Conflict((A,))]
    assert versions_of(log, A) == [1, 2]


def test_a_stream_that_moved_is_a_conflict_for_who_only_read_it(log: EventLog) -> None:
    given(log, a=2)

    assert log.append([command("1", {A: seen(1), B: seen(0)}, {B: 1})]) == [Conflict((A,))]
    assert log.read_stream(B) == []
    assert log.outcomes([("tests", "1")]) == {}


def test_a_stream_that_is_not_there_yet_is_a_conflict_too(log: EventLog) -> None:
    assert log.append([command("1", {A: seen(1), B: seen(1)}, {B: 1})]) == [Conflict((A, B))]


def test_the_neighbours_of_a_loser_are_stored(log: EventLog) -> None:
    given(log, a=2)

    statuses = log.append(
        [
            command("1", {B: seen(0)}, {B: 1}),
            command("2", {A: seen(1)}, {A: 1}),
            command("3", {C: seen(0)}, {C: 1}),
        ]
    )

    assert statuses == [Appended(3, 3), Conflict((A,)), Appended(4, 4)]


def test_a_decision_on_a_conflicting_one_conflicts_when_another_process_wrote_that_very_version(log: EventLog) -> None:
    given(log, a=1)
    batch = [command("1", {A: seen(1)}, {A: 1}), command("2", {A: seen(1, 1), B: seen(0)}, {B: 1})]
    assert log.append([command("faster", {A: seen(1)}, {A: 1}, sender="another process")]) == [Appended(2, 2)]

    assert log.append(batch) == [Conflict((A,)), Conflict((A,))]


def test_a_version_seen_within_a_batch_is_not_one_that_the_store_happens_to_have(log: EventLog) -> None:
    given(log, a=2)

    assert log.append([command("1", {A: seen(1, 1)}, {A: 1})]) == [Conflict((A,))]


def test_a_decision_on_a_conflicting_one_conflicts_when_that_conflicted_on_another_stream(log: EventLog) -> None:
    given(log, a=1)

    statuses = log.append(
        [
            command("1", {A: seen(0), B: seen(0)}, {B: 1}),
            command("2", {B: seen(0, 1), C: seen(0)}, {C: 1}),
            command("3", {C: seen(0, 1)}, {}),
        ]
    )

    assert statuses == [Conflict((A,)), Conflict((B,)), Conflict((C,))]


def test_a_stream_that_a_loser_wanted_to_write_is_lost_for_the_rest_of_the_batch(log: EventLog) -> None:
    given(log, a=1)

    statuses = log.append([command("1", {A: seen(0), B: seen(0)}, {B: 1}), command("2", {B: seen(0)}, {B: 1})])

    assert statuses == [Conflict((A,)), Conflict((B,))]


# Repetition


def test_a_repeated_command_gets_its_first_outcome_and_writes_nothing(log: EventLog) -> None:
    first = command("1", {A: seen(0)}, {A: 2})
    log.append([first])

    again = replace(command("1", {A: seen(2)}, {A: 1}), outcome=b"another outcome")

    assert log.append([again]) == [Repeated(b"outcome of 1", 1, 2)]
    assert versions_of(log, A) == [1, 2]
    assert log.outcomes([("tests", "1")]) == {("tests", "1"): StoredOutcome(first.fingerprint, b"outcome of 1", 1, 2)}


def test_a_command_repeated_within_a_batch_is_stored_once(log: EventLog) -> None:
    envelope = command("1", {A: seen(0)}, {A: 1})

    assert log.append([envelope, envelope]) == [Appended(1, 1), Repeated(b"outcome of 1", 1, 1)]


def test_the_same_id_with_other_content_is_refused(log: EventLog) -> None:
    other = command("1", {B: seen(0)}, {B: 1}, content="other")

    assert log.append([command("1", {A: seen(0)}, {A: 1}), other]) == [Appended(1, 1), IdReused()]
    assert log.append([other]) == [IdReused()]
    assert log.read_stream(B) == []


def test_the_same_id_of_another_sender_is_another_command(log: EventLog) -> None:
    log.append([command("1", {A: seen(0)}, {A: 1})])

    assert log.append([command("1", {A: seen(1)}, {A: 1}, sender="others")]) == [Appended(2, 2)]


def test_a_decision_on_a_repetition_conflicts(log: EventLog) -> None:
    repeated = command("1", {A: seen(0)}, {A: 1})
    log.append([repeated])

    (_, after_it) = log.append([repeated, command("2", {A: seen(1)}, {A: 1})])

    assert after_it == Conflict((A,))


def test_a_command_that_lost_may_come_again(log: EventLog) -> None:
    given(log, a=1)
    log.append([command("1", {A: seen(0)}, {A: 1})])

    assert log.append([command("1", {A: seen(1)}, {A: 1})]) == [Appended(2, 2)]


# Commands that contradict themselves

WRONG = {
    "a record of a stream that is not expected": (
        Append("tests", "1", b"", {A: seen(0)}, (record(B, 1),), b""),
        "record 1 of 'flag:b': its stream is not among the expected ones",
    ),
    "a version that does not go on from what was seen": (
        Append("tests", "1", b"", {A: seen(0)}, (record(A, 2),), b""),
        "the next version after what was seen is 1",
    ),
    "an expectation that saw less than its base": (
        Append("tests", "1", b"", {A: Expectation(2, 1)}, (), b""),
        "seen may not be below base",
    ),
    "a record that is too large": (
        Append("tests", "1", b"", {A: seen(0)}, (record(A, 1, note="x" * MAX_RECORD_BYTES),), b""),
        "at most 65,535 are taken",
    ),
    "a record that is no record": (
        Append("tests", "1", b"", {A: seen(0)}, (NewRecord(A, 1, "thing.happened", b"{}"),), b""),
        "it is no event record",
    ),
    "a record that says another stream": (
        Append("tests", "1", b"", {A: seen(0)}, (replace(record(B, 1), stream=A),), b""),
        "it is 'thing.happened' as version 1 of 'flag:b', and is indexed as 'thing.happened', version 1 of 'flag:a'",
    ),
}


@pytest.mark.parametrize(("wrong", "says"), WRONG.values(), ids=WRONG)
def test_a_command_that_contradicts_itself_is_refused_and_nothing_is_written(
    log: EventLog, wrong: Append, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        log.append([command("right", {C: seen(0)}, {C: 1}), wrong])

    assert log.last_position() == 0
    assert log.outcomes([("tests", "right")]) == {}
