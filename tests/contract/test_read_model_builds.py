"""A projection is built beside the one that answers, on every backend."""

import threading
import time

import pytest

from release_management.adapters.read_model import (
    NewerVersionError,
    NotCaughtUpError,
    UnknownProjectionError,
    builds,
)
from release_management.adapters.read_model.database import reader, writer
from release_management.adapters.read_model.errors import OvertakenError
from tests.contract.read_models import (
    Backend,
    busy,
    counted,
    counting,
    everything,
)
from tests.projections.event_script import EventScript


def test_a_rebuild_gives_the_same_rows_and_tells_how_far_it_is(backend: Backend, script: EventScript) -> None:
    busy(script, [0, 1, 2, 9] * 20)
    where = backend.place()
    projector = backend.projector(script, where, page=50)
    projector.catch_up()
    before = everything(where)
    script_of: list[tuple[str, int, int]] = []
    projector.rebuild("trail", lambda *progress: script_of.append(progress))
    projector.rebuild()

    assert everything(where) == before
    assert [name for name, _, _ in script_of] == ["trail"] * len(script_of)
    assert [position for _, position, _ in script_of] == sorted(position for _, position, _ in script_of)
    assert {last for _, _, last in script_of} == {script.log.last_position()}
    with pytest.raises(UnknownProjectionError, match="there is no projection 'nothing'"):
        projector.rebuild("nothing")


def test_while_it_is_rebuilt_the_old_rows_answer(backend: Backend, script: EventScript) -> None:
    for minor in range(50):
        script.release(f"1.{minor}.0")
    where = backend.place()
    backend.projector(script, where, counting()).catch_up()
    store = backend.store(where, counting())
    complete = counted(store)
    seen = []
    slow = backend.projector(script, where, counting(slow=0.001), page=5)
    thread = threading.Thread(target=slow.rebuild)
    thread.start()
    while thread.is_alive():
        seen.append(counted(store, after=100))
    thread.join()

    assert len(seen) > 5
    assert all(rows == complete for rows in seen)


def test_a_rebuild_that_was_interrupted_is_finished_by_the_next_worker(backend: Backend, script: EventScript) -> None:
    for minor in range(10):
        script.release(f"1.{minor}.0")
    where = backend.place()
    backend.projector(script, where, counting()).catch_up()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backend.projector(script, where, counting(), page=2).rebuild(progress=interrupt)
    stop = threading.Event()
    thread = threading.Thread(target=backend.projector(script, where, counting()).run, args=(stop,))
    thread.start()
    engine = backend.engine(reader(where))
    deadline = time.monotonic() + 5
    numbers: list[tuple[int, bool]] = []
    while [number for number, live in numbers if live] != [2] and time.monotonic() < deadline:
        with engine.begin() as connection:
            numbers = [(it.number, it.live) for it in builds.current(connection, [counting()])]
    stop.set()
    thread.join()

    assert numbers == [(2, True)]


def test_another_version_is_built_beside_the_old_and_takes_its_place(backend: Backend, script: EventScript) -> None:
    ref = script.release()
    where = backend.place()
    old, new = counting(), counting(version=2, by=10)
    backend.projector(script, where, old).catch_up()
    old_store, new_store = backend.store(where, old), backend.store(where, new)

    projector = backend.projector(script, where, new)
    assert counted(old_store) == {f"release:{ref}": 2}
    with pytest.raises(NotCaughtUpError, match="still being built"):
        counted(new_store, timeout=0)
    projector.catch_up()
    assert counted(new_store, after=2) == {f"release:{ref}": 20}
    with pytest.raises(NewerVersionError, match="projection counts has version 2, made by a newer version of the prog"):
        counted(old_store, timeout=0)


def test_a_rebuild_takes_in_what_was_set_aside(backend: Backend, script: EventScript) -> None:
    script.release()
    where = backend.place()
    bad = counting(lambda event: event.position == 1)
    backend.projector(script, where, bad).catch_up()
    backend.projector(script, where, counting()).rebuild()
    store = backend.store(where, counting())

    store.wait_for(2)
    assert store.parked() == []


def test_a_build_that_falls_behind_the_live_one_is_not_swapped_in(backend: Backend, script: EventScript) -> None:
    script.release()
    where = backend.place()
    projection = counting()
    backend.projector(script, where, projection).catch_up()
    engine = backend.engine(writer(where))
    with engine.begin() as connection:
        builds.begin(connection, projection, script.log.store_id)
    with engine.begin() as connection:
        fresh = next(build for build in builds.current(connection, [projection]) if not build.live)

    with pytest.raises(OvertakenError), engine.begin() as connection:
        builds.swap(connection, fresh)
    assert sum(counted(backend.store(where, projection)).values()) == 2
