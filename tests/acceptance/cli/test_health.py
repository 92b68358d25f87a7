"""`relman health` while a process of `relman up` is not there."""

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from release_management.runtime.roles.kit.health import Health
from release_management.runtime.roles.kit.probes import HealthServer
from tests.acceptance.cli.conftest import Types


def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def begun(folder: Path, **pids: int) -> None:
    """Write the notes of `relman up` on the processes that it has started."""
    (folder / ".relman" / "run").mkdir(mode=0o700, parents=True)
    folder.joinpath(".relman").chmod(0o700)
    since = psutil.Process().create_time()
    started = [{"name": name, "pid": pid, "started": since} for name, pid in pids.items()]
    (folder / ".relman" / "up.json").write_text(json.dumps(started))


def serves(folder: Path, role: str, address: str) -> None:
    """The note of a role, in this process, that answers there."""
    note = {"role": role, "pid": os.getpid(), "host": socket.gethostname(), "address": address}
    (folder / ".relman" / "run" / f"{role}.json").write_text(json.dumps(note))


@pytest.fixture
def projector() -> Iterator[str]:
    """Serve the health of a projector that is well; yield the address."""
    health = Health("projector")
    health.set_status("active")
    with contextlib.closing(HealthServer(health, "127.0.0.1:0")) as server:
        yield server.address


@pytest.mark.parametrize("asked", [(), ("gateway",)])
def test_a_process_that_has_ended_is_not_well_though_another_is(
    relman: Types, tmp_path: Path, projector: str, asked: tuple[str, ...]
) -> None:
    road = ended()
    begun(tmp_path, road=road, projector=os.getpid())
    serves(tmp_path, "projector", projector)

    answer = relman("health", *asked, "--json")

    assert answer.code == 1, answer
    roles = {each["role"]: each for each in json.loads(answer.out)["error"]["roles"]}
    assert roles.keys() == ({"road"} if asked else {"road", "projector"})
    assert (roles["road"]["instance"], roles["road"]["healthy"]) == (str(road), False)
    assert [each["says"] for each in roles["road"]["troubles"]] == ["it has ended; relman up begins it again"]


def test_a_process_that_was_begun_and_does_not_serve_yet_is_not_well(relman: Types, tmp_path: Path) -> None:
    begun(tmp_path, road=os.getpid())

    answer = relman("health", "--json")

    assert answer.code == 1, answer
    (road,) = json.loads(answer.out)["error"]["roles"]
    assert [each["says"] for each in road["troubles"]] == ["it does not serve yet"]


def test_a_named_role_that_runs_is_asked_alone(relman: Types, tmp_path: Path, projector: str) -> None:
    begun(tmp_path, road=ended(), projector=os.getpid())
    serves(tmp_path, "projector", projector)

    assert relman("health", "projector").code == 0


def test_notes_without_living_processes_mean_that_nothing_runs(relman: Types, tmp_path: Path) -> None:
    begun(tmp_path, road=ended())
    (tmp_path / ".relman" / "log.db").touch()

    assert relman("health").code == 3
