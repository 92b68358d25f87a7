"""Events that cannot be folded are parked, on every backend."""

import threading
from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import MetaData, Table
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from release_management.adapters.read_model import (
    ParkedError,
    Projector,
    UnknownProjectionError,
)
from release_management.domain.registry import (
    FACTS,
    UPCASTERS,
    Registry,
)
from release_management.domain.release import ReleaseBlocked, ReleaseUnblocked
from release_management.kernel.record import Event
from release_management.projections import agenda
from release_management.projections.catalog import PROJECTIONS
from release_management.projections.kit.columns import (
    document,
    flag,
    key,
    text,
)
from release_management.projections.kit.projection import (
    Projection,
    Rows,
    named,
)
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
    REGISTRY,
    EventScript,
    sealed,
)

texts = Table("texts", MetaData(), key("stream"), text("text"), document("document"), flag("flag"))


def test_a_failing_event_is_set_aside_with_the_later_ones_of_its_stream_only(
    backend: Backend, script: EventScript
) -> None:
    first, second = script.release("1.0.0"), script.release("1.1.0")
    script.tell(f"release:{first}", ReleaseBlocked(reason=sealed("x")))
    bad = counting(lambda event: event.position == 2)
    where = backend.place()
    projector = backend.projector(script, where, bad)
    with capture_logs() as logs:
        projector.catch_up()
    script.tell(f"release:{first}", ReleaseBlocked(reason=sealed("x")))
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


def test_an_answer_that_rests_on_a_parked_event_is_refused(backend: Backend, script: EventScript) -> None:
    ref = script.release()
    where = backend.place()
    bad = counting(lambda event: event.position == 2)
    backend.projector(script, where, bad).catch_up()
    store = backend.store(where, bad)

    with pytest.raises(ParkedError, match=rf"set aside stream release:{ref} from position 2 on \(ValueError: no way\)"):
        store.wait_for(2)
    store.wait_for(1)
    assert counted(store) == {f"release:{ref}": 1}


def test_unparking_takes_in_what_was_set_aside_in_order(backend: Backend, script: EventScript) -> None:
    ref = script.release()
    script.tell(f"release:{ref}", ReleaseBlocked(reason=sealed("x")))
    where = backend.place()
    ill = [1]
    projection = counting(lambda event: event.position in ill)
    projector = backend.projector(script, where, projection)
    projector.catch_up()
    store = backend.store(where, projection)

    ill[:] = [2]
    assert projector.unpark("counts") == (1, 2)
    assert [it["position"] for it in store.parked()] == [2, 3]
    ill.clear()
    assert projector.unpark("counts") == (2, 0)
    assert counted(store, after=3) == {f"release:{ref}": 3}


ALL = (*PROJECTIONS, agenda.PROJECTION)


@given(plot=st.lists(st.integers(0, 9), min_size=8, max_size=30), data=st.data())
@settings(max_examples=times(12), phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_unparked_events_leave_the_same_rows_as_if_never_parked(
    tmp_path_factory: pytest.TempPathFactory, plot: list[int], data: st.DataObject
) -> None:
    script = busy(EventScript(), plot)
    poison = data.draw(st.sets(st.integers(1, script.log.last_position()), min_size=1, max_size=3))
    ill = set(poison)

    def falling_ill(projection: Projection) -> Projection:
        def fold(event: Event, rows: Rows) -> None:
            if event.position in ill:
                raise ValueError("no way")
            projection.fold(event, rows)

        return replace(projection, fold=fold)

    folder = tmp_path_factory.mktemp("unparked")
    projector = Projector(script.log, REGISTRY, folder / "read.db", [falling_ill(it) for it in ALL])
    projector.catch_up()
    ill.clear()
    for projection in ALL:
        projector.unpark(projection.name)
    projector.close()
    anew = Projector(script.log, REGISTRY, folder / "anew.db", ALL)
    anew.catch_up()
    anew.close()

    assert everything(folder / "read.db", ALL) == everything(folder / "anew.db", ALL)


def test_a_projection_that_is_not_local_is_rebuilt_once_a_stream_can_go_on(
    backend: Backend, script: EventScript
) -> None:
    first, second = script.release("1.0.0"), script.release("1.1.0")
    where = backend.place()
    ill = {1, 3}
    projection = replace(counting(lambda event: event.position in ill), local=False)
    projector = backend.projector(script, where, projection)
    projector.catch_up()
    store = backend.store(where, projection)

    assert projector.unpark("counts") == (0, 4)
    assert projector.unpark("counts", "release:never@1.0.0") == (0, 0)
    assert [it.building for it in store.statuses()] == [None], "there is no way yet"
    ill.remove(1)
    assert projector.unpark("counts") == (2, 2)
    assert counted(store) == {f"release:{first}": 2}
    assert {it["stream"] for it in store.parked()} == {f"release:{second}"}
    ill.clear()
    again = backend.projector(script, where, projection)
    again.catch_up()
    assert counted(store, after=4) == {f"release:{first}": 2, f"release:{second}": 2}


def test_a_record_that_cannot_be_read_is_set_aside_too(backend: Backend, script: EventScript) -> None:
    ref = script.release()
    script.log.records[1] = script.log.records[1]._replace(record=b"{")
    where = backend.place()
    projector = backend.projector(script, where)
    projector.catch_up()
    store = backend.store(where)

    assert {it["projection"] for it in store.parked()} == {"releases", "trail"}, "others are not concerned with it"
    (row,) = store.ask("release", {"ref": ref})
    assert row["published"] is None
    assert {row["projection"]: row["parked"] for row in store.ask("position")} == {
        it.name: 1 if it.name in ("releases", "trail") else 0 for it in PROJECTIONS
    }


def test_one_stream_is_unparked_and_the_others_stay(backend: Backend, script: EventScript) -> None:
    first, second = script.release("1.0.0"), script.release("1.1.0")
    where = backend.place()
    ill = {1, 3}
    projection = counting(lambda event: event.position in ill)
    projector = backend.projector(script, where, projection)
    projector.catch_up()
    store = backend.store(where, projection)

    ill.clear()
    assert projector.unpark("counts", "release:never@1.0.0") == (0, 0)
    assert projector.unpark("counts", f"release:{second}") == (2, 0)
    assert {it["stream"] for it in store.parked()} == {f"release:{first}"}
    assert counted(store) == {f"release:{second}": 2}
    with pytest.raises(UnknownProjectionError):
        projector.unpark("nothing")


def test_many_events_of_a_stream_are_unparked_page_by_page_until_one_fails_again(
    backend: Backend, script: EventScript
) -> None:
    for _ in range(20):
        script.tell("x", ReleaseBlocked(reason=sealed("x")))
    where = backend.place()
    ill = [1]
    projection = counting(lambda event: event.position in ill)
    projector = backend.projector(script, where, projection, page=4)
    projector.catch_up()
    store = backend.store(where, projection)

    ill[:] = [7]
    assert projector.unpark("counts") == (6, 14)
    assert [it["position"] for it in store.parked()] == list(range(7, 21))
    ill.clear()
    assert projector.unpark("counts") == (14, 0)
    assert counted(store, after=20) == {"x": 20}


def test_a_projector_tries_what_is_parked_again_when_it_starts(backend: Backend, script: EventScript) -> None:
    ref, other = script.release(), script.release("1.1.0")
    where = backend.place()
    backend.projector(script, where, counting(lambda event: event.position in (2, 4))).catch_up()
    store = backend.store(where, counting())
    stop = threading.Event()
    better = backend.projector(script, where, counting(lambda event: event.position == 4))
    thread = threading.Thread(target=better.run, args=(stop,))
    with capture_logs() as logs:
        thread.start()
        script.release("1.2.0")
        with pytest.raises(ParkedError):
            store.wait_for(6)
        stop.set()
        thread.join()

    assert counted(store) == {f"release:{ref}": 2, f"release:{other}": 1, "release:shop@1.2.0": 2}
    assert [(it["position"]) for it in store.parked()] == [4]
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == [
        "what was parked was tried again, in vain"
    ]


def test_blocked_streams_are_listed(backend: Backend, script: EventScript) -> None:
    ref = script.release()
    for _ in range(3):
        script.tell(f"release:{ref}", ReleaseBlocked(reason=sealed("x")))
    where = backend.place()
    backend.projector(script, where, counting(lambda event: event.position == 1)).catch_up()

    assert backend.store(where).ask("parked") == [
        {
            "projection": "counts",
            "stream": f"release:{ref}",
            "position": 1,
            "type": "release.created",
            "reason": "ValueError: no way",
            "events": 5,
        }
    ]


def test_an_event_that_does_not_concern_a_projection_is_not_even_read(backend: Backend, script: EventScript) -> None:
    ref = script.release()
    script.log.records[1] = script.log.records[1]._replace(record=b"{")
    script.tell(f"release:{ref}", ReleaseBlocked(reason=sealed("x")))
    where = backend.place()
    projection = replace(counting(), names=named(ReleaseBlocked))
    backend.projector(script, where, projection).catch_up()

    assert counted(backend.store(where, projection), after=3) == {f"release:{ref}": 1}


def test_an_older_record_is_read_where_it_may_mean_what_concerns_a_projection(
    backend: Backend, script: EventScript
) -> None:
    script.release()
    renamed = Registry(
        {name: fact for name, fact in FACTS.items() if name != "release.published"},
        {**UPCASTERS, ("release.published", 1): lambda data: [("release.unblocked", data)]},
    )
    where = backend.place()
    projection = replace(counting(), names=named(ReleaseUnblocked))
    projector = Projector(script.log, renamed, where, [projection])
    projector.catch_up()
    projector.close()

    assert sum(counted(backend.store(where, projection), after=2).values()) == 1


def test_a_text_may_hold_what_a_database_cannot(backend: Backend, script: EventScript) -> None:
    nul = "a\0b" + r"\u0000" + "\\\0"

    def fold(event: Event, rows: Rows) -> None:
        rows.put(texts, (event.stream,), text=nul, document={"in": [nul, "ü€"]}, flag=True)

    script.release()
    where = backend.place()
    projection = Projection("counts", 1, (texts,), None, lambda event: [(texts, (event.stream,))], fold)
    backend.projector(script, where, projection).catch_up()
    store = backend.store(where, projection)

    (row,) = store.ask("counts", after=2)
    assert row["text"].replace("\0", "\ufffd") == nul.replace("\0", "\ufffd")
    assert row["document"]["in"][1] == "ü€"
    assert row["flag"] is True


def test_a_value_that_the_database_refuses_parks_one_event_only(backend: Backend, script: EventScript) -> None:
    def fold(event: Event, rows: Rows) -> None:
        rows.put(counts, (event.stream,), events=2**70 if event.position == 4 else 1)

    for minor in range(3):
        script.release(f"1.{minor}.0")
    where = backend.place()
    projection = replace(counting(), fold=fold)
    backend.projector(script, where, projection).catch_up()
    store = backend.store(where, projection)

    assert [it["position"] for it in store.parked()] == [4]
    assert len(counted(store)) == 3


def test_a_fold_may_only_touch_what_was_named(backend: Backend, script: EventScript) -> None:
    def fold(event: Event, rows: Rows) -> None:
        rows.put(counts, ("other",), events=1)

    script.release()
    where = backend.place()
    projection = replace(counting(), fold=fold)
    backend.projector(script, where, projection).catch_up()

    assert "not among the keys" in backend.store(where, projection).parked()[0]["reason"]


def test_the_databases_trouble_is_no_events_fault(
    backend: Backend, script: EventScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([True, True, False])

    def fold(event: Event, rows: Rows) -> None:
        if next(times, False):
            raise OperationalError("UPDATE", None, Exception("database is locked"))
        counting().fold(event, rows)

    monkeypatch.setattr("release_management.adapters.read_model.projector.WAIT_SECONDS", 0.01)
    script.tell("x", ReleaseBlocked(reason=sealed("x")))
    where = backend.place()
    projection = replace(counting(), fold=fold)
    projector = backend.projector(script, where, projection)
    store = backend.store(where, projection)
    stop = threading.Event()
    thread = threading.Thread(target=projector.run, args=(stop,))
    with capture_logs() as logs:
        thread.start()
        assert counted(store, after=1) == {"x": 1}
        stop.set()
        thread.join()

    assert store.parked() == []
    assert [log["log_level"] for log in logs].count("warning") == 1  # one line for one trouble, however often it is met
