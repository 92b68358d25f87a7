"""Many processes on one store, and processes that die."""

import random
import signal
import threading
import time
from itertools import groupby

from release_management.services.ports import EventLog
from tests.contract.backends import Store
from tests.contract.commands import (
    command,
    given,
    seen,
    versions_of,
)

WRITERS = 8
COMMANDS_EACH = 25
RECORDS = WRITERS * COMMANDS_EACH * 3


def follow(log: EventLog, until: int) -> list[int]:
    """The positions that a reader gets who waits and reads, up to one."""
    positions: list[int] = []
    while len(positions) < until and log.wait(len(positions), timeout=20):
        positions += [recorded.position for recorded in log.read(len(positions), limit=50)]
    return positions


def test_a_tailing_reader_misses_nothing_of_eight_writing_processes(store: Store) -> None:
    log = store.open()
    followed: list[int] = []
    reader = threading.Thread(target=lambda: followed.extend(follow(log, RECORDS)))
    reader.start()

    writers = [store.child("write", number, COMMANDS_EACH) for number in range(WRITERS)]
    assert [writer.wait(60) for writer in writers] == [0] * WRITERS
    reader.join()

    assert followed == list(range(1, RECORDS + 1))
    assert versions_of(log, "shared:all") == list(range(1, WRITERS * COMMANDS_EACH + 1))
    for number in range(WRITERS):
        assert versions_of(log, f"own:{number}") == list(range(1, 2 * COMMANDS_EACH + 1))


def test_a_tailing_reader_misses_nothing_of_eight_writing_threads(log: EventLog) -> None:
    def write(writer: int) -> None:
        for number in range(COMMANDS_EACH):
            stream = f"own:{writer}"
            log.append([command(f"{writer}.{number}", {stream: seen(3 * number)}, {stream: 3})])

    writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()

    assert follow(log, RECORDS) == list(range(1, RECORDS + 1))
    for writer in writers:
        writer.join()


def test_another_process_reads_while_this_one_writes(store: Store) -> None:
    log = store.open()
    given(log, a=1)
    reader = store.child("tail", 300)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "1\n"
    for number in range(299):
        log.append([command(f"{number}", {"flag:b": seen(number)}, {"flag:b": 1})])

    output, _ = reader.communicate(timeout=30)

    assert output.split() == [str(position) for position in range(2, 301)]


def test_waiting_soon_sees_what_another_owner_of_the_file_appends(store: Store) -> None:
    log = store.open()
    writer = store.open()
    late: list[float] = []
    for number in range(20):
        began: list[float] = []
        appending = threading.Timer(0.02, given_one, args=(writer, number, began))
        appending.start()
        assert log.wait(number, timeout=10)
        seen_at = time.monotonic()
        appending.join()
        late.append(seen_at - began[0])

    assert sorted(late)[len(late) // 2] < 0.2, "half of them at least"


def given_one(log: EventLog, number: int, began: list[float]) -> None:
    began.append(time.monotonic())
    log.append([command(f"{number}", {"flag:a": seen(number)}, {"flag:a": 1})])


def test_waiting_sees_an_append_of_another_process(store: Store) -> None:
    log = store.open()
    store.child("write", "another", 1)

    assert log.wait(0, timeout=30)
    assert log.read(0, limit=1)[0].stream == "own:another"


def test_processes_that_make_the_store_at_the_same_time_make_one(store: Store) -> None:
    makers = [store.child("create") for _ in range(6)]

    identities = {maker.communicate(timeout=30)[0] for maker in makers}

    assert len(identities) == 1
    assert identities == {store.open().store_id + "\n"}


def test_acknowledged_records_survive_kill_9_and_batches_are_whole(store: Store) -> None:
    acknowledged: set[tuple[str, int]] = set()
    chance = random.Random(6)
    for life in range(6):
        child = store.child("forever", life)
        assert child.stdout is not None
        acknowledged.add((str(life), int(child.stdout.readline())))
        time.sleep(chance.uniform(0.005, 0.12))
        child.send_signal(signal.SIGKILL)
        # Not `communicate`, which passes over what `readline` has taken in beyond its line.
        output = child.stdout.read()
        child.wait(30)
        # A last line without an end was never acknowledged.
        acknowledged.update((str(life), int(line)) for line in output.split("\n")[:-1])

    log = store.open()
    page = log.read(0, limit=1_000_000)

    assert [recorded.position for recorded in page] == list(range(1, len(page) + 1))
    stored = set()
    for stream, records in groupby(page, key=lambda recorded: recorded.stream):
        batch = list(records)
        assert [recorded.version for recorded in batch] == [1, 2, 3, 4, 5, 6], "a batch is stored whole"
        sender, number = stream.removeprefix("batch:").split("-")
        for count, first in ((1, 0), (2, 1), (3, 3)):
            (outcome,) = log.outcomes([(sender, f"{number}.{count}")]).values()
            assert (outcome.first, outcome.last) == (batch[first].position, batch[first + count - 1].position)
        stored.add((sender, int(number)))
    assert acknowledged <= stored
    assert len(stored - acknowledged) <= 6, "at most the batch that each process died in"
