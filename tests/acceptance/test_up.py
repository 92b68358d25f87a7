"""`up` itself: soon ready, alone on its folder, gone without a trace, and back as it was."""

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from release_management.adapters.system.folder_lock import FolderBusyError
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.supervisor import Supervisor
from tests.acceptance.installation import (
    ROOT,
    Installation,
    Part,
    canary,
    until,
)

ROLES: tuple[Part, ...] = ("road", "projector")
READY_SECONDS = 3.0
BUSY_MACHINE = 10
"""Times as long as on a machine that does nothing else."""


def test_up_is_ready_soon_lives_alone_and_leaves_no_process(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = installation.start()
    processes = [psutil.Process(installation.supervisor), *psutil.Process(installation.supervisor).children()]
    sizes = [f"{each.name()} {each.memory_info().rss / 2**20:.0f} MB" for each in processes]
    with capsys.disabled():
        print(f"\n  ready after {seconds:.2f} s; idle: {', '.join(sizes)}")
    assert seconds < READY_SECONDS * BUSY_MACHINE
    assert len(processes) == 4

    with pytest.raises(FolderBusyError, match=f"in use by the process {installation.supervisor}; end that one first"):
        Supervisor(DataDirectory(installation.folder)).run(lambda: None)
    second = subprocess.run(
        [sys.executable, "-m", "tests.acceptance.up", str(installation.folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert second.returncode == 1
    # Ctrl-C in a terminal is told to the whole group; the parts leave it to the supervisor to end them.
    for part in ROLES:
        os.kill(installation.pid(part), signal.SIGINT)
    assert installation.manager().releases() == ()
    assert all(each.is_running() for each in processes)

    assert installation.stop() == 0
    assert installation.ours() == []
    assert [each for each in processes if each.is_running()] == []
    for part in ROLES:
        lines = (DataDirectory(installation.folder).logs / f"{part}.log").read_text().splitlines()
        assert {json.loads(line)["role"] for line in lines} == {part}


def test_a_clean_stop_in_mid_canary_ends_everything_and_the_next_start_restores_it(installation: Installation) -> None:
    installation.start()
    shop = installation.manager()
    shop.configure_environments({"staging": installation.target("web")})
    shop.wait(shop.deploy(shop.create_release("1.0.0", ["web"]), "staging"), 30)
    going = shop.deploy(shop.create_release("1.1.0", ["web"]), "staging", "canary", canary(25, pause=None))
    assert shop.wait(going).weight == 25
    assert len(installation.deployed()) == 2

    assert installation.stop() == 0
    assert installation.ours() == []
    installation.start()

    until(lambda: len(installation.deployed()) == 2)
    until(lambda: installation.shares() == {"1.0.0": 75, "1.1.0": 25})
    paused = shop.deployment(going)
    assert paused.phase == "Paused"
    shop.promote(paused)
    assert installation.ended(going.id) == "succeeded"
    assert installation.shares() == {"1.1.0": 100}


def test_a_stop_while_it_starts_leaves_nothing(installation: Installation) -> None:
    installation.begin()
    until(lambda: len(psutil.Process(installation.supervisor).children()) == 3)

    assert installation.stop() == 0
    assert installation.ours() == []


def test_a_part_that_is_killed_while_it_starts_is_started_again(installation: Installation) -> None:
    installation.begin()
    for part in ROLES:
        installation.kill(part)

    installation.await_ready()
    assert installation.manager().releases() == ()
    assert installation.stop() == 0


def test_a_broken_file_of_read_models_ends_no_deployment_and_is_made_again_once_it_is_removed(
    installation: Installation,
) -> None:
    installation.start()
    shop = installation.manager()
    shop.configure_environments({"staging": installation.target("web")})
    release = shop.create_release("1.0.0", ["web"])
    assert shop.wait(shop.deploy(release, "staging"), 30).succeeded
    os.kill(installation.pid("projector"), signal.SIGSTOP)
    for each in installation.folder.glob("read.db-*"):
        each.unlink()
    (installation.folder / "read.db").write_bytes(b"no database at all" * 1000)
    installation.kill("projector")

    until(lambda: "read.db is damaged: remove it" in (installation.root / "up.log").read_text(), 20)
    assert installation.shares() == {"1.0.0": 100}
    assert shop.send("release.block", {"release": "shop@1.0.0", "reason": "it goes on"}).status == "accepted"

    for each in installation.folder.glob("read.db*"):
        each.unlink()
    assert [str(each.version) for each in shop.releases()] == ["1.0.0"]
    assert installation.stop() == 0


def test_a_log_that_the_registry_cannot_read_is_said_and_left_alone(installation: Installation) -> None:
    installation.folder.mkdir()
    (installation.folder / "log.db").write_text("this is somebody's diary, and no database at all\n" * 100)

    ran = subprocess.run(
        [sys.executable, "-m", "tests.acceptance.up", str(installation.folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ran.returncode == 1
    assert "did not start: " in ran.stderr
    assert "is not an event store of ours and was left alone" in ran.stderr.splitlines()[-1]
    assert (installation.folder / "log.db").read_text().startswith("this is somebody's diary")
    assert installation.ours() == []
