"""`relman health` while a process of `relman up` is not there."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.cli.conftest import Types


def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize(("asked", "shown"), [((), ["road"]), (("gateway",), ["road"]), (("projector",), None)])
def test_a_process_that_has_ended_is_not_well_though_another_is(
    relman: Types, tmp_path: Path, asked: tuple[str, ...], shown: list[str] | None
) -> None:
    (tmp_path / ".relman").mkdir(mode=0o700)
    pids = {"road": ended(), "projector": os.getpid()}
    started = [{"name": name, "pid": pid, "started": 0.0} for name, pid in pids.items()]
    (tmp_path / ".relman" / "up.json").write_text(json.dumps(started))

    answer = relman("health", *asked, "--json")

    if shown is None:
        assert answer.code == 3, answer
        return
    assert answer.code == 1, answer
    roles = json.loads(answer.out)["error"]["roles"]
    assert [(each["role"], each["instance"], each["healthy"]) for each in roles] == [("road", str(pids["road"]), False)]
    assert [each["says"] for each in roles[0]["troubles"]] == ["it has ended; relman up begins it again"]


def test_where_nothing_of_it_is_left_nothing_runs(relman: Types, tmp_path: Path) -> None:
    (tmp_path / ".relman").mkdir(mode=0o700)
    (tmp_path / ".relman" / "up.json").write_text(json.dumps([{"name": "road", "pid": ended(), "started": 0.0}]))
    (tmp_path / ".relman" / "log.db").touch()

    assert relman("health").code == 3
