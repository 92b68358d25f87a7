"""The read models keep step with the log, and answer, on every backend."""

import threading
from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from release_management.adapters.read_model import (
    BadQueryError,
    NotCaughtUpError,
    Projector,
    UnknownProjectionError,
    UnknownQueryError,
    builds,
)
from release_management.adapters.read_model.database import reader, writer
from release_management.adapters.read_model.errors import OvertakenError
from release_management.domain.release import ReleaseBlocked
from release_management.kernel.record import Event
from release_management.projections.kit.projection import Rows
from tests.contract.read_models import (
    Backend,
    busy,
    counted,
    counting,
    counts,
    everything,
)
from tests.profiles import times
from tests.projections.event_script import (
    ANN,
    REGISTRY,
    EventScript,
    sealed,
)


@given(plot=st.lists(st.integers(0, 9), max_size=30), page=st.integers(2, 60))
@settings(max_examples=times(8), phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_a_page_at_a_time_gives_what_one_at_a_time_gives(
    tmp_path_factory: pytest.TempPathFactory, plot: list[int], page: int
) -> None:
    script = busy(EventScript(), plot)
    folder = tmp_path_factory.mktemp("pages")
    for name, size in (("one", 1), ("pages", page)):
        projector = Projector(script.log, REGISTRY, folder / name, page=size)
        projector.catch_up()
        projector.close()

    assert everything(folder / "one") == everything(folder / "pages")


def test_two_workers_together_take_in_every_event_once(backend: Backend, script: EventScript) -> None:
    busy(script, [0, 1, 2, 9] * 30)
    where = backend.place()
    workers = [backend.projector(script, where, counting(), page=3) for _ in range(2)]
    threads = [threading.Thread(target=worker.catch_up) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(counted(backend.store(where, counting())).values()) == script.log.last_position()


def test_a_worker_that_was_overtaken_cannot_move_the_position(backend: Backend, script: EventScript) -> None:
    where = backend.place()
    projection = counting()
    backend.projector(script, where, projection).catch_up()
    script.release()
    engine = backend.engine(writer(where))
    with engine.begin() as connection:
        (seen,) = builds.current(connection, [projection])
        builds.advance(connection, [seen], script.log.records[0])

    with pytest.raises(OvertakenError), engine.begin() as connection:
        builds.advance(connection, [seen], script.log.records[1])
    assert backend.store(where, projection).position("counts") == 1


def test_a_query_waits_for_the_requested_position(backend: Backend, script: EventScript) -> None:
    where = backend.place()
    projector = backend.projector(script, where)
    store = backend.store(where)
    stop = threading.Event()
    thread = threading.Thread(target=projector.run, args=(stop,))
    thread.start()
    try:
        for minor in range(5):
            ref = script.release(f"1.{minor}.0")
            assert len(store.ask("release", {"ref": ref}, after=script.log.last_position())) == 1
        store.wait_for(script.log.last_position())
        assert store.position() == script.log.last_position()
    finally:
        stop.set()
        thread.join()


def test_waiting_ends_with_a_clear_sentence(backend: Backend, script: EventScript) -> None:
    where = backend.place()
    store = backend.store(where)
    with pytest.raises(NotCaughtUpError, match="has not been made yet"):
        store.wait_for(0, timeout=0)
    assert store.position() == 0
    projector = backend.projector(script, where)
    with pytest.raises(NotCaughtUpError, match="projection trail is still being built"):
        store.ask("trail", timeout=0)
    script.release()
    projector.catch_up()
    with pytest.raises(NotCaughtUpError, match=r"trail has taken in position 2, not yet 3 \(waited 0\.01 s\)"):
        store.wait_for(3, "trail", timeout=0.01)
    assert isinstance(NotCaughtUpError("not yet"), TimeoutError)


def test_rows_can_be_deleted_and_made_again(backend: Backend, script: EventScript) -> None:
    def fold(event: Event, rows: Rows) -> None:
        if event.position % 2:
            rows.put(counts, (event.stream,), events=event.position)
        else:
            rows.delete(counts, (event.stream,))

    where = backend.place()
    projection = replace(counting(), fold=fold)
    projector = backend.projector(script, where, projection)
    store = backend.store(where, projection)
    for expected in ({"x": 1}, {}, {"x": 3}):
        script.tell("x", ReleaseBlocked(reason=sealed("x")))
        projector.catch_up()
        assert counted(store) == expected


def test_queries_and_their_parameters_are_checked(backend: Backend, script: EventScript) -> None:
    where = backend.place()
    backend.projector(script, where).catch_up()
    store = backend.store(where)

    with pytest.raises(UnknownQueryError, match="there is no query 'runing'; there are applications, approvals, "):
        store.ask("runing")
    with pytest.raises(BadQueryError, match=r"query trail: limit: .*1000"):
        store.ask("trail", {"limit": 1001})
    with pytest.raises(BadQueryError, match=r"query trail: limit: .*valid integer"):
        store.ask("trail", {"limit": "10"})
    with pytest.raises(BadQueryError, match=r"query release: ref: Field required.*; its parameters: cursor, ref"):
        store.ask("release")
    with pytest.raises(BadQueryError, match=r"query environments: name: .*; its parameters: cursor, limit"):
        store.ask("environments", {"name": "production"})
    with pytest.raises(BadQueryError, match=r"query deployments: phase: .*'Succeeded'"):
        store.ask("deployments", {"phase": "Done"})
    with pytest.raises(BadQueryError, match="the parameters are no JSON"):
        store.ask("release", {"ref": object()})
    with pytest.raises(UnknownProjectionError, match="there is no projection 'x'; there are approvals, "):
        store.wait_for(0, "x")


def test_a_store_cannot_write(backend: Backend, script: EventScript) -> None:
    where = backend.place()
    backend.projector(script, where).catch_up()

    with backend.engine(reader(where)).connect() as connection, pytest.raises(DBAPIError, match=r"read-?only"):
        connection.exec_driver_sql("DELETE FROM trail")


def test_projections_that_keep_step_read_the_log_together(backend: Backend, script: EventScript) -> None:
    for minor in range(20):
        script.release(f"1.{minor}.0")
    where = backend.place()
    backend.projector(script, where, page=40).catch_up()

    assert script.log.reads == 2
    assert ANN in backend.store(where).ask("trail", {"limit": 1})[0]["actor"]
