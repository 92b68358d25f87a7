"""The `eventsourcing` library's own cases, on our recorder.

Two of its cases do not apply. `AggregateRecorderTestCase` asserts that `insert_events` returns no positions, and
ours is an application recorder, which returns them. `optional_test_insert_subscribe` is not called by the library's
case either: subscriptions are not offered, `EventLog.wait` and `EventLog.read` follow the log.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from eventsourcing.persistence import ApplicationRecorder, StoredEvent
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
    RecorderTestCase,
)

from release_management.adapters.event_store import (
    SQLiteDatabase,
    SQLiteEventLog,
    SQLiteRecorder,
    UnreadableStoreError,
)
from release_management.adapters.event_store.postgres import (
    PostgresDatabase,
    PostgresEventLog,
    PostgresRecorder,
)
from release_management.services.ports import EventLog
from tests.servers.postgres import Databases


class OnSQLite(RecorderTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.database = SQLiteDatabase(Path(folder.name) / "log.db")
        self.addCleanup(self.database.close)

    def new_originator_id(self) -> str:
        return f"deployment:{uuid4()}"

    def create_recorder(self) -> SQLiteRecorder:
        return SQLiteRecorder(self.database)


class OnPostgres(RecorderTestCase):
    @pytest.fixture(autouse=True)
    def _server(self, postgres_server: Databases) -> None:
        self.server = postgres_server

    def setUp(self) -> None:
        url = self.server.new_database()
        self.addCleanup(self.server.give_back, url)
        self.database = PostgresDatabase(url)
        self.addCleanup(self.database.close)

    def new_originator_id(self) -> str:
        return f"deployment:{uuid4()}"

    def create_recorder(self) -> PostgresRecorder:
        return PostgresRecorder(self.database)


class TestSQLiteApplicationRecorder(OnSQLite, ApplicationRecorderTestCase[ApplicationRecorder]):
    pass


class TestSQLiteNonInterleaving(OnSQLite, NonInterleavingNotificationIDsBaseCase):
    pass


class TestPostgresApplicationRecorder(OnPostgres, ApplicationRecorderTestCase[ApplicationRecorder]):
    pass


class TestPostgresNonInterleaving(OnPostgres, NonInterleavingNotificationIDsBaseCase):
    pass


@dataclass(frozen=True, slots=True)
class Backend:
    """One store, opened by the library's recorder or as our log."""

    recorder: SQLiteRecorder | PostgresRecorder
    open_log: Callable[[Callable[[str, int], bool]], EventLog]


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    if request.param == "sqlite":
        path = tmp_path / "log.db"
        with closing(SQLiteDatabase(path)) as file:
            yield Backend(SQLiteRecorder(file), lambda known: SQLiteEventLog.open(path, known))
        return
    server: Databases = request.getfixturevalue("postgres_server")
    url = server.new_database()
    with closing(PostgresDatabase(url)) as database:
        yield Backend(PostgresRecorder(database), lambda known: PostgresEventLog.open(url, known))
    server.give_back(url)


def test_a_state_of_one_megabyte_comes_back_whatever_its_bytes(backend: Backend) -> None:
    event = StoredEvent("deployment:large", 1, "deployment.large", bytes(range(256)) * 4096)

    assert list(backend.recorder.insert_events([event])) == [1]

    assert backend.recorder.select_events("deployment:large") == [event]


def test_names_and_states_in_any_letters_come_back(backend: Backend) -> None:
    stream, state = "release:größe-日本-🚀@1.0.0", '{"title": "Straße – עברית 🚀"}'.encode()
    events = [StoredEvent(stream, version, "release.genannt-é", state) for version in (1, 2)]

    assert list(backend.recorder.insert_events(events)) == [1, 2]

    assert backend.recorder.select_events(stream) == events
    found = backend.recorder.select_notifications(1, 10)
    assert [(one.originator_id, one.topic, one.state) for one in found] == 2 * [(stream, "release.genannt-é", state)]
    assert backend.recorder.select_events(stream.replace("ö", "o\u0308")) == [], "the same letters in other bytes"


def test_a_log_does_not_open_on_records_whose_bytes_nobody_looked_into(backend: Backend) -> None:
    backend.recorder.insert_events([StoredEvent("deployment:odd", 1, "deployment.odd", b"\x00")])

    with pytest.raises(UnreadableStoreError, match=r"deployment\.odd"):
        backend.open_log(lambda name, version: version > 0)
