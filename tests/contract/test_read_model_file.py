"""The read models' SQLite file may be removed under those who have it open: it is made again from the log."""

from pathlib import Path

import pytest

from tests.contract.read_models import (
    Backend,
    busy,
    everything,
)
from tests.projections.event_script import EventScript


@pytest.mark.parametrize("left", [(), ("-wal", "-shm")], ids=["all of it", "only the file itself"])
def test_a_file_that_is_removed_is_made_again_by_who_has_it_open(
    tmp_path: Path, script: EventScript, left: tuple[str, ...]
) -> None:
    backend = Backend("sqlite", tmp_path)
    where = tmp_path / "read.db"
    projector, store = backend.projector(script, where), backend.store(where)
    busy(script, [0, 1, 2, 9] * 5)
    projector.catch_up()
    before = everything(where)
    asked = store.ask("releases")
    for ending in {"", "-wal", "-shm"} - set(left):
        where.with_name(f"{where.name}{ending}").unlink(missing_ok=True)

    projector.catch_up()

    assert everything(where) == before
    assert store.ask("releases") == asked != []
    backend.close()
