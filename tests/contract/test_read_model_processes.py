"""Several processes look after one database, and others ask it; nobody gets in anybody's way. On every backend."""

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from release_management.adapters.read_model import (
    NewerVersionError,
    Projector,
    ReadStore,
)
from release_management.adapters.read_model.database import reader
from tests.contract.read_models import (
    Backend,
    busy,
    counted,
    counting,
    everything,
)
from tests.contract.rebuilder import RELEASES, script_of
from tests.projections.event_script import REGISTRY, EventScript
from tests.servers.postgres import PostgresServer

ROOT = Path(__file__).parents[2]


def together(*tasks: Callable[[], object]) -> None:
    with ThreadPoolExecutor(len(tasks)) as pool:
        for running in [pool.submit(task) for task in tasks]:
            running.result()


def test_projectors_that_begin_at_once_make_every_projection_once(backend: Backend) -> None:
    script = busy(EventScript(), [0, 1, 2, 9] * 30)
    where = backend.place()
    together(*(lambda: backend.projector(script, where, page=20).catch_up() for _ in range(4)))
    alone = backend.place()
    backend.projector(script, alone).catch_up()

    assert everything(where) == everything(alone)
    assert [it.building for it in backend.store(where).statuses()] == [None] * len(backend.store(where).statuses())


def test_rebuilds_at_once_end_well_while_answers_stay_complete(backend: Backend) -> None:
    script = script_of()
    where = backend.place()
    projectors = [backend.projector(script, where, counting(), page=25) for _ in range(3)]
    projectors[0].catch_up()
    store = backend.store(where, counting())
    complete = counted(store, after=2 * RELEASES)
    done = threading.Event()

    def rebuild(projector: Projector) -> None:
        for _ in range(3):
            projector.rebuild()

    def ask() -> int:
        asked = 0
        while not done.is_set() or asked < 20:
            assert counted(store, after=2 * RELEASES) == complete
            asked += 1
        return asked

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        together(*(lambda it=it: rebuild(it) for it in projectors))
        done.set()
        assert all(it.result() >= 20 for it in asking)
    assert store.statuses()[0].building is None


def test_a_rebuild_that_was_killed_is_finished_by_the_running_projector(backend: Backend) -> None:
    script = script_of()
    where = backend.place()
    projector = backend.projector(script, where, counting())
    projector.catch_up()
    command = [sys.executable, "-m", "tests.contract.rebuilder", str(where)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert 0 < int(child.stdout.readline()) < script.log.last_position()
        child.kill()
    store = backend.store(where, counting())
    assert store.statuses()[0].building is not None
    assert counted(store, after=200) == {f"release:shop@1.{minor}.0": 2 for minor in range(RELEASES)}

    stop, waited = threading.Event(), threading.Event()
    thread = threading.Thread(target=projector.run, args=(stop,))
    thread.start()
    while store.statuses()[0].building is not None:
        assert not waited.wait(0.02)
    stop.set()
    thread.join()

    assert counted(store, after=200) == {f"release:shop@1.{minor}.0": 2 for minor in range(RELEASES)}


def test_an_older_program_leaves_alone_what_a_newer_one_has_made(backend: Backend) -> None:
    script = script_of()
    where = backend.place()
    old, new = counting(), counting(version=2, by=10)
    backend.projector(script, where, old).catch_up()
    backend.projector(script, where, new).catch_up()
    with capture_logs() as logs:
        older = backend.projector(script, where, old)
        older.catch_up()

    assert [log["event"] for log in logs if log["log_level"] == "warning"] == [
        "a newer version of the program has made this projection; it is left alone"
    ]
    assert backend.store(where, new).position() == 200
    with pytest.raises(NewerVersionError, match="relman projections rebuild counts"):
        counted(backend.store(where, old))
    older.rebuild()
    assert counted(backend.store(where, old), after=200)["release:shop@1.0.0"] == 2


def test_a_long_question_holds_a_swap_back_and_nobody_else(backend: Backend) -> None:
    script = script_of()
    where = backend.place()
    projector = backend.projector(script, where, counting())
    projector.catch_up()
    store = backend.store(where, counting())
    engine = backend.engine(reader(where))
    with ThreadPoolExecutor(1) as pool, engine.begin() as connection:
        rows = connection.exec_driver_sql("SELECT count(*) FROM counts").scalar_one()
        rebuilding = pool.submit(projector.rebuild)
        for _ in range(30):
            assert len(counted(store, after=200)) == rows
        assert connection.exec_driver_sql("SELECT count(*) FROM counts").scalar_one() == rows
        connection.rollback()
        rebuilding.result()


class Away:
    """Read models on a PostgreSQL server of their own, kept up by a running projector."""

    def __init__(self, server: PostgresServer, script: EventScript) -> None:
        self.server = server
        where = server.new_database()
        self.store = ReadStore(where)
        self.projector = Projector(script.log, REGISTRY, where)
        self.stop = threading.Event()
        self.failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.projector.run(self.stop)
        except BaseException as error:
            self.failed.append(error)

    def close(self) -> None:
        self.stop.set()
        self._thread.join()
        self.store.close()
        self.projector.close()


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_server_that_went_away_is_waited_for_loudly(how: str) -> None:
    script = EventScript()
    script.release("1.0.0")
    with PostgresServer() as server, capture_logs() as logs:
        away = Away(server, script)
        try:
            away.store.wait_for(2, timeout=20)
            getattr(server, how)()
            script.release("1.1.0")
            waited = threading.Event()
            while not any(log["event"] == "the read models' database does not answer" for log in logs):
                assert not waited.wait(0.02)
            server.start()
            away.store.wait_for(4, timeout=30)
            assert len(away.store.ask("releases", after=4)) == 2
            assert away.failed == []
        finally:
            away.close()
