"""What cannot be folded is set aside, on every backend."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from release_management.adapters.read_model import (
    ParkedError,
)
from release_management.domain.record import Event
from release_management.domain.release import ReleaseBlocked
from release_management.projections.catalog import PROJECTIONS
from release_management.projections.projection import Rows
from tests.contract.read_models import Backend, counted, counting, counts
from tests.projections.story import Story, sealed


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    it = Backend(request.param, tmp_path)
    yield it
    it.close()


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_failing_event_is_set_aside_with_the_later_ones_of_its_stream_only(backend: Backend, story: Story) -> None:
    first, second = story.release("1.0.0"), story.release("1.1.0")
    story.tell(f"release:{first}", ReleaseBlocked(reason=sealed("x")))
    bad = counting(lambda event: event.position == 2)
    where = backend.place()
    projector = backend.projector(story, where, bad)
    with capture_logs() as logs:
        projector.catch_up()
    story.tell(f"release:{first}", ReleaseBlocked(reason=sealed("x")))
    projector.catch_up()
    store = backend.store(where, bad)

    assert counted(store) == {f"release:{first}": 1, f"release:{second}": 2}
    assert [(it["position"], it["stream"]) for it in store.parked()] == [
        (position, f"release:{first}") for position in (2, 5, 6)
    ]
    assert store.parked()[0]["reason"] == "ValueError: no way"
    assert [(log["position"], log["stream"]) for log in logs if log["log_level"] == "error"] == [
        (2, f"release:{first}")
    ]


def test_an_answer_that_rests_on_a_parked_event_is_refused(backend: Backend, story: Story) -> None:
    ref = story.release()
    where = backend.place()
    bad = counting(lambda event: event.position == 2)
    backend.projector(story, where, bad).catch_up()
    store = backend.store(where, bad)

    with pytest.raises(ParkedError, match=rf"set aside stream release:{ref} from position 2 on \(ValueError: no way\)"):
        store.wait_for(2)
    store.wait_for(1)
    assert counted(store) == {f"release:{ref}": 1}


def test_unparking_takes_in_what_was_set_aside_in_order(backend: Backend, story: Story) -> None:
    ref = story.release()
    story.tell(f"release:{ref}", ReleaseBlocked(reason=sealed("x")))
    where = backend.place()
    ill = [1]
    projection = counting(lambda event: event.position in ill)
    projector = backend.projector(story, where, projection)
    projector.catch_up()
    store = backend.store(where, projection)

    ill[:] = [2]
    assert projector.unpark("counts") == 2
    assert [it["position"] for it in store.parked()] == [2, 3]
    ill.clear()
    assert projector.unpark("counts") == 0
    assert counted(store, after=3) == {f"release:{ref}": 3}


def test_a_record_that_cannot_be_read_is_set_aside_too(backend: Backend, story: Story) -> None:
    ref = story.release()
    story.log.records[1] = replace(story.log.records[1], record=b"{")
    where = backend.place()
    projector = backend.projector(story, where)
    projector.catch_up()
    store = backend.store(where)

    assert {it["projection"] for it in store.parked()} == {projection.name for projection in PROJECTIONS}
    (row,) = store.ask("release", {"ref": ref})
    assert row["published"] is None
    assert {row["parked"] for row in store.ask("position")} == {1}


def test_a_value_that_the_database_refuses_parks_one_event_only(backend: Backend, story: Story) -> None:
    def fold(event: Event, rows: Rows) -> None:
        rows.put(counts, (event.stream,), events=2**70 if event.position == 4 else 1)

    for minor in range(3):
        story.release(f"1.{minor}.0")
    where = backend.place()
    projection = replace(counting(), fold=fold)
    backend.projector(story, where, projection).catch_up()
    store = backend.store(where, projection)

    assert [it["position"] for it in store.parked()] == [4]
    assert len(counted(store)) == 3


def test_a_fold_may_only_touch_what_was_named(backend: Backend, story: Story) -> None:
    def fold(event: Event, rows: Rows) -> None:
        rows.put(counts, ("other",), events=1)

    story.release()
    where = backend.place()
    projection = replace(counting(), fold=fold)
    backend.projector(story, where, projection).catch_up()

    assert "not among the keys" in backend.store(where, projection).parked()[0]["reason"]


def test_the_databases_trouble_is_no_events_fault(
    backend: Backend, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([True, True, False])

    def fold(event: Event, rows: Rows) -> None:
        if next(times, False):
            raise OperationalError("UPDATE", None, Exception("database is locked"))
        counting().fold(event, rows)

    monkeypatch.setattr("release_management.adapters.read_model.projector.WAIT_SECONDS", 0.01)
    story.tell("x", ReleaseBlocked(reason=sealed("x")))
    where = backend.place()
    projection = replace(counting(), fold=fold)
    projector = backend.projector(story, where, projection)
    store = backend.store(where, projection)
    stop = threading.Event()
    thread = threading.Thread(target=projector.run, args=(stop,))
    with capture_logs() as logs:
        thread.start()
        assert counted(store, after=1) == {"x": 1}
        stop.set()
        thread.join()

    assert store.parked() == []
    assert [log["log_level"] for log in logs].count("warning") == 2
