"""Read models belong to one log, as it is now; of another they are made anew, loudly. On every backend."""

from collections.abc import Mapping, Sequence

import pytest
from sqlalchemy import inspect
from structlog.testing import capture_logs

from release_management.adapters.read_model.database import reader, writer
from release_management.projections.kit.status import ProjectionStatus
from tests.contract.read_models import (
    Backend,
    Where,
    counted,
    counting,
)
from tests.projections.event_script import EventScript, MemoryLog


class OtherLog(MemoryLog):
    """A log of another store."""

    @property
    def store_id(self) -> str:
        return "11111111-1111-1111-1111-111111111111"


def script_of(*versions: str, log: MemoryLog | None = None) -> EventScript:
    script = EventScript(log)
    for version in versions:
        script.release(version)
    return script


def of(*versions: str) -> dict[str, int]:
    return {f"release:shop@{version}": 2 for version in versions}


def loud(logs: Sequence[Mapping[str, object]]) -> list[object]:
    return [log["event"] for log in logs if log["log_level"] in ("error", "warning")]


def test_rows_that_were_made_of_another_log_are_made_anew(backend: Backend) -> None:
    where = backend.place()
    backend.projector(script_of("1.0.0", "1.1.0"), where, counting()).catch_up()
    with capture_logs() as logs:
        backend.projector(script_of("2.0.0", "2.1.0", log=OtherLog()), where, counting()).catch_up()

    assert counted(backend.store(where, counting()), after=4) == of("2.0.0", "2.1.0")
    (sentence,) = loud(logs)
    assert "do not fit the log: it is another one" in str(sentence)


@pytest.mark.parametrize("since", [(), ("3.0.0",), ("3.0.0", "3.1.0", "3.2.0")])
def test_rows_of_a_log_that_was_put_back_from_an_older_copy_are_made_anew(
    backend: Backend, since: tuple[str, ...]
) -> None:
    where = backend.place()
    script = script_of("1.0.0", "1.1.0", "1.2.0")
    backend.projector(script, where, counting()).catch_up()
    script.log.records[2:] = []
    grown = EventScript(script.log)
    for version in since:
        grown.release(version)
    with capture_logs() as logs:
        backend.projector(grown, where, counting()).catch_up()

    store = backend.store(where, counting())
    assert counted(store, after=script.log.last_position()) == of("1.0.0", *since)
    assert store.position() == script.log.last_position()
    assert "put back from an older copy" in str(loud(logs))


def test_a_running_projector_notices_it_too(backend: Backend) -> None:
    where = backend.place()
    script = script_of("1.0.0", "1.1.0", "1.2.0")
    projector = backend.projector(script, where, counting())
    projector.catch_up()
    script.log.records[:] = script_of("2.0.0", "2.1.0", "2.2.0", "2.3.0").log.records
    projector.catch_up()

    assert counted(backend.store(where, counting()), after=8) == of("2.0.0", "2.1.0", "2.2.0", "2.3.0")


def test_parked_events_are_dropped_with_the_builds(backend: Backend) -> None:
    where = backend.place()
    backend.projector(script_of("1.0.0"), where, counting(lambda event: event.position == 1)).catch_up()
    backend.projector(script_of("2.0.0", log=OtherLog()), where, counting()).catch_up()

    assert backend.store(where, counting()).parked() == []


def test_rows_of_an_older_layout_are_made_anew(backend: Backend) -> None:
    where = backend.place()
    script = script_of("1.0.0")
    backend.projector(script, where, counting()).catch_up()
    change(where, "ALTER TABLE read_builds DROP COLUMN record")
    with capture_logs() as logs:
        backend.projector(script, where, counting()).catch_up()

    assert counted(backend.store(where, counting()), after=2) == of("1.0.0")
    assert "made by an older version of the program" in str(loud(logs))


def test_the_status_of_all_projections_is_one_answer(backend: Backend) -> None:
    where = backend.place()
    store = backend.store(where, counting())
    projector = backend.projector(script_of("1.0.0"), where, counting(lambda event: event.position == 2))
    assert store.statuses() == [ProjectionStatus("counts", 1, 0, 0, 0, 0)]
    projector.catch_up()
    assert store.statuses() == [ProjectionStatus("counts", 1, 2, 1, 1, None)]
    seen: list[ProjectionStatus] = []
    projector.rebuild(progress=lambda *_: seen.extend(store.statuses()))

    assert seen[0] == ProjectionStatus("counts", 1, 2, 1, 1, 2)
    assert store.statuses() == [ProjectionStatus("counts", 1, 2, 1, 1, None)]


def test_nothing_is_left_of_dropped_builds(backend: Backend) -> None:
    where = backend.place()
    projector = backend.projector(script_of("1.0.0"), where, counting())
    for _ in range(3):
        projector.rebuild()
    backend.projector(script_of("2.0.0", log=OtherLog()), where, counting()).rebuild()

    with backend.engine(reader(where)).connect() as connection:
        assert sorted(inspect(connection).get_table_names()) == ["counts", "read_builds", "read_parked"]


def change(where: Where, statement: str) -> None:
    engine = writer(where)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
