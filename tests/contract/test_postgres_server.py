"""The PostgreSQL log alone: servers that are away, hang or die, and its queries."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest

from release_management.adapters import postgres
from release_management.adapters.event_store import (
    EventStoreError,
    ForeignStoreError,
    StoreUnavailableError,
)
from release_management.adapters.event_store.postgres import PostgresEventLog
from release_management.services.ports import (
    Append,
    Appended,
    EventLog,
    LogUnavailableError,
    Repeated,
)
from tests.contract.backends import Store, every_kind
from tests.contract.commands import (
    beside,
    command,
    given,
    seen,
    versions_of,
)
from tests.servers.postgres import Databases, PostgresServer
from tests.servers.small_disk import SmallDisk

A = "flag:a"


def write(at: int = 0) -> Append:
    return command(f"write {at}", {A: seen(at)}, {A: 1})


@pytest.fixture
def shared(postgres_server: Databases) -> Iterator[Store]:
    """A store on the server of all tests."""
    store = Store("postgres", postgres_server.new_database(), postgres_server.give_back)
    yield store
    store.close()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that may be hurt."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def store(server: PostgresServer) -> Iterator[Store]:
    server.start()
    store = Store("postgres", server.new_database())
    yield store
    server.start()
    store.close()


# Durable, in order


def test_commits_wait_for_the_disk_and_see_each_other_whatever_the_database_prefers(shared: Store) -> None:
    shared.open()
    shared.tamper(
        "ALTER DATABASE CURRENT_DATABASE SET synchronous_commit = off".replace("CURRENT_DATABASE", name(shared))
    )
    shared.tamper(f"ALTER DATABASE {name(shared)} SET default_transaction_isolation = 'serializable'")
    shared.tamper("CREATE TABLE public.noted (synchronous_commit text, isolation text)")
    shared.tamper(
        "CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.noted VALUES"
        " (current_setting('synchronous_commit'), current_setting('transaction_isolation')); RETURN NEW; END $$"
    )
    shared.tamper("CREATE TRIGGER note AFTER INSERT ON events EXECUTE FUNCTION public.note()")

    shared.open().append([write()])

    with psycopg.connect(shared.where) as session:
        assert session.execute("SELECT * FROM public.noted").fetchall() == [("on", "read committed")]


def name(store: Store) -> str:
    return store.where.rpartition("/")[2]


def test_a_tailing_reader_sees_every_position_in_order(shared: Store) -> None:
    batches, writers = 50, 8
    until = writers * batches * 10
    log = shared.open()
    followed: list[int] = []

    def follow() -> None:
        while len(followed) < until and log.wait(len(followed), timeout=20):
            followed.extend(recorded.position for recorded in log.read(len(followed), limit=100))

    def append(writer: int, own: EventLog) -> None:
        for number in range(batches):
            streams = [f"flag:{writer}-{number}-{count}" for count in range(10)]
            own.append([command(stream, {stream: seen(0)}, {stream: 1}) for stream in streams])

    threads = [threading.Thread(target=append, args=(writer, shared.open())) for writer in range(writers)]
    reader = threading.Thread(target=follow)
    for thread in (reader, *threads):
        thread.start()
    for thread in (*threads, reader):
        thread.join()

    assert followed == list(range(1, until + 1))


def test_waiting_is_woken_by_a_notice_and_not_by_polling_alone(shared: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("release_management.adapters.event_store.postgres.listener.POLL_SECONDS", 60)
    monkeypatch.setattr("release_management.adapters.event_store.postgres.log.POLL_SECONDS", 60)
    log, writer = shared.open(), shared.open()
    began = time.monotonic()
    for number in range(3):
        appending = threading.Timer(0.2, writer.append, args=([write(number)],))
        appending.start()
        assert log.wait(number, timeout=60)
        appending.join()

    assert time.monotonic() - began < 30


# Servers in trouble


def test_acknowledged_records_survive_the_death_of_the_server_and_the_log_goes_on(
    store: Store, server: PostgresServer
) -> None:
    log = store.open()
    given(log, a=1)
    writers = [store.child("forever", writer) for writer in range(3)]
    acknowledged = set()
    for number, writer in enumerate(writers):
        assert writer.stdout is not None
        acknowledged.add((str(number), int(writer.stdout.readline())))

    server.kill()
    for number, writer in enumerate(writers):
        output, _ = writer.communicate(timeout=30)
        acknowledged.update((str(number), int(line)) for line in output.split("\n")[:-1])
    for _ in range(2):
        with pytest.raises(LogUnavailableError, match="cannot be used now"):
            log.append([write(1)])
        with pytest.raises(LogUnavailableError, match="cannot be used now"):
            log.read(0)

    server.start()
    assert log.append([write(1)]) != []
    page = log.read(0, limit=1_000_000)
    assert [recorded.position for recorded in page] == list(range(1, len(page) + 1))
    assert {f"batch:{writer}-{number}" for writer, number in acknowledged} <= {recorded.stream for recorded in page}
    for stream in {recorded.stream for recorded in page} - {A}:
        assert versions_of(log, stream) == [1, 2, 3, 4, 5, 6], "a batch is stored whole"


def test_every_method_says_that_the_server_is_away_and_works_when_it_is_back(
    store: Store, server: PostgresServer
) -> None:
    log = store.open()
    lease = log.take("gateway")
    assert lease is not None
    given(log, a=1)
    server.stop()

    began = time.monotonic()
    for asked in (
        log.last_position,
        lambda: log.append([write(1)]),
        lambda: log.read(0),
        lambda: log.read_stream(A),
        lambda: log.outcomes([("tests", "1")]),
        lambda: log.snapshot(A, "1"),
        lambda: log.wait(0, timeout=30),
        lambda: log.take("relay"),
    ):
        with pytest.raises(StoreUnavailableError):
            asked()
    assert not lease.is_held()
    assert time.monotonic() - began < 25  # the wait alone would take 30

    server.start()
    assert log.append([write(1)]) == [Appended(2, 2)]
    assert log.wait(1, timeout=5)
    assert log.take("gateway") is not None


def test_a_waiting_reader_learns_that_the_server_went_away_and_waits_on_when_it_is_back(
    store: Store, server: PostgresServer
) -> None:
    log = store.open()
    ends: list[BaseException] = []

    def wait() -> None:
        try:
            log.wait(0, timeout=60)
        except StoreUnavailableError as error:
            ends.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not log.wait(0, timeout=0.2), "it listens by now"
    server.kill()
    waiting.join(10)
    assert len(ends) == 1

    server.start()
    with psycopg.connect(store.where) as session:
        deadline = time.monotonic() + 10
        while not session.execute("SELECT FROM pg_stat_activity WHERE query ~ '^LISTEN'").fetchall():
            assert time.monotonic() < deadline, "it listens again by itself"
            session.rollback()
            time.sleep(0.02)
    store.open().append([write()])
    assert log.wait(0, timeout=10)


def test_a_server_that_hangs_is_given_up_and_what_it_did_afterwards_is_known(
    store: Store, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = store.open()
    given(log, a=1)
    monkeypatch.setattr(postgres.PostgresConnection, "answer_seconds", 0.5)
    server.freeze()
    try:
        with pytest.raises(StoreUnavailableError, match="the server did not answer"):
            log.append([write(1)])
        with pytest.raises(StoreUnavailableError, match="the server did not answer"):
            log.last_position()
    finally:
        server.thaw()

    deadline = time.monotonic() + 10
    while not log.outcomes([("tests", "write 1")]):
        assert time.monotonic() < deadline
    assert log.append([write(1)]) == [Repeated(b"outcome of write 1", 2, 2)]


def test_a_lock_that_another_program_holds_ends_in_an_error(shared: Store) -> None:
    log = shared.open()
    with psycopg.connect(shared.where) as session:
        session.execute("SELECT pg_advisory_lock(1919249517, 1)")
        with pytest.raises(StoreUnavailableError, match="lock timeout"):
            log.append([write()])

    assert log.append([write()]) == [Appended(1, 1)]


def test_a_database_that_may_only_be_read_is_read_and_not_written(shared: Store) -> None:
    given(shared.open(), a=1)
    shared.tamper(f"ALTER DATABASE {name(shared)} SET default_transaction_read_only = on")
    log = shared.open()

    assert log.last_position() == 1
    with pytest.raises(StoreUnavailableError, match="read-only transaction"):
        log.append([write(1)])


@pytest.mark.parametrize("mounted", [True, False], ids=["a full file system", "a file that may not grow"])
def test_on_a_full_disk_nothing_is_written_everything_is_read_and_it_goes_on_when_there_is_room(mounted: bool) -> None:
    disk = SmallDisk(64, mounted=mounted)
    with closing(PostgresServer()) as server, closing(open_at(server.database_on(disk))) as log:
        given(log, a=1)
        large = [replace(write(at), outcome=os.urandom(60_000)) for at in range(1, 1_000)]
        disk.fill()
        stored = 0

        def store_all() -> None:
            nonlocal stored
            for each in large:
                log.append([each])
                stored += 1

        with pytest.raises(StoreUnavailableError, match=r"could not extend file .*(No space left on device|too large)"):
            store_all()

        refused = large[stored]
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match="could not extend file"):
                log.append([refused])
        assert log.last_position() == 1 + stored
        assert len(log.read(0, limit=10_000)) == 1 + stored
        assert not log.outcomes([(refused.sender, refused.id)])

        disk.make_room()
        assert log.append([refused]) == [Appended(2 + stored, 2 + stored)]
        assert log.append([refused]) == [Repeated(refused.outcome, 2 + stored, 2 + stored)]
        assert versions_of(log, A) == list(range(1, 3 + stored))


def open_at(where: str) -> PostgresEventLog:
    return PostgresEventLog.open(where, every_kind)


def test_a_closed_log_says_so(shared: Store) -> None:
    log = shared.open()
    log.close()

    with pytest.raises(StoreUnavailableError, match="was closed"):
        log.last_position()
    with pytest.raises(StoreUnavailableError, match="was closed"):
        log.append([write()])
    log.close()


# What is opened


def test_a_schema_of_another_program_is_left_alone(shared: Store) -> None:
    shared.tamper("CREATE SCHEMA relman_log CREATE TABLE relman_log.events (position bigint)")

    with pytest.raises(ForeignStoreError, match=r"the schema relman_log at .* is not an event store of ours"):
        shared.open()

    shared.tamper("SELECT position FROM events")


def test_an_empty_schema_that_was_made_beforehand_becomes_a_store(shared: Store) -> None:
    shared.tamper("CREATE SCHEMA relman_log")

    assert shared.open().last_position() == 0


def test_a_database_that_cannot_hold_every_letter_is_refused_and_left_alone(postgres_server: Databases) -> None:
    url = postgres_server.new_database("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")

    with pytest.raises(EventStoreError, match=r"keeps text as LATIN1, .*: make one with ENCODING 'UTF8'"):
        PostgresEventLog.open(url, every_kind)

    with psycopg.connect(url) as session:
        assert session.execute("SELECT FROM pg_namespace WHERE nspname = 'relman_log'").fetchall() == []


def test_a_store_of_a_newer_layout_does_not_open(shared: Store) -> None:
    shared.open()
    shared.tamper("UPDATE store SET schema_version = 3")

    with pytest.raises(ForeignStoreError, match="has the store layout 3 and this version knows 2"):
        shared.open()


def test_a_store_of_the_first_layout_is_brought_up_in_its_place_and_keeps_its_records(shared: Store) -> None:
    first = shared.open()
    given(first, a=3)
    records, store_id = first.read(0), first.store_id
    function = "append_beside(text, bigint, bigint, text[], bigint[], text[], text[], bytea[], bigint[], bigint[], "
    function += "bytea[], text[], bigint[], text[], bytea[], text[], bigint[], text[], bytea[])"
    shared.tamper(f"DROP FUNCTION {function}")
    shared.tamper("DROP TABLE contents")
    shared.tamper("UPDATE store SET schema_version = 1")

    for number in range(2):
        log = shared.open()
        assert (log.read(0)[:3], log.store_id) == (records, store_id)
        large = beside("flag:large", number + 1)
        append = replace(command(f"{number}", {"flag:large": seen(number)}, {}), records=(large,))
        assert isinstance(log.append([append])[0], Appended)


def test_a_server_that_is_not_there_is_named_without_its_password(shared: Store) -> None:
    where = f"postgresql://relman:hush@127.0.0.1:1/{name(shared)}"

    with pytest.raises(StoreUnavailableError, match=rf"127\.0\.0\.1:1/{name(shared)} cannot be used now") as refusal:
        PostgresEventLog.open(where, every_kind)
    assert "hush" not in str(refusal.value)


def test_a_malformed_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(EventStoreError, match="write postgresql://USER") as refusal:
        PostgresEventLog.open("postgresql://relman:hush hush@host:port:5/x?y", every_kind)
    assert "hush" not in str(refusal.value)
