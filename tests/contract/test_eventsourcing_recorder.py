"""The `eventsourcing` library's own cases, on our recorder.

Two of its cases do not apply. `AggregateRecorderTestCase` asserts that `insert_events` returns no positions, and
ours is an application recorder, which returns them. `optional_test_insert_subscribe` is not called by the library's
case either: subscriptions are not offered, `EventLog.wait` and `EventLog.read` follow the log.
"""

import tempfile
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
from release_management.adapters.event_store.postgres import PostgresDatabase, PostgresRecorder
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


def test_a_state_of_one_megabyte_comes_back_whatever_its_bytes(tmp_path: Path) -> None:
    recorder = SQLiteRecorder(database := SQLiteDatabase(tmp_path / "log.db"))
    event = StoredEvent("deployment:large", 1, "deployment.large", bytes(range(256)) * 4096)

    assert list(recorder.insert_events([event])) == [1]

    assert recorder.select_events("deployment:large") == [event]
    database.close()


def test_a_log_does_not_open_on_records_whose_bytes_nobody_looked_into(tmp_path: Path) -> None:
    recorder = SQLiteRecorder(database := SQLiteDatabase(tmp_path / "log.db"))
    recorder.insert_events([StoredEvent("deployment:odd", 1, "deployment.odd", b"\x00")])
    database.close()

    with pytest.raises(UnreadableStoreError, match=r"deployment\.odd"):
        SQLiteEventLog.open(tmp_path / "log.db", lambda name, version: version > 0)
