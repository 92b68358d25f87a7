"""One owner per folder, whoever dies and whoever was forked."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from release_management.adapters.system.folder_lock import (
    FolderBusyError,
    FolderLock,
    FolderOpenError,
    make_private,
)

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from release_management.adapters.system.folder_lock import FolderLock
lock = FolderLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
{then}
time.sleep(60)
"""
FORK = """
import os
if os.fork() == 0:
    os.close(1)
    time.sleep(60)
print("forked", flush=True)
"""
START = """
import subprocess
child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, close_fds=False)
print("started", flush=True)
"""


def hold(folder: Path, then: str = "") -> subprocess.Popen[str]:
    """Another process, in a process group of its own, that holds the folder."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(then=then), str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def end(holder: subprocess.Popen[str]) -> None:
    os.killpg(holder.pid, signal.SIGKILL)
    holder.communicate()


def test_a_folder_that_is_not_there_is_made_and_holds_the_owners_pid(tmp_path: Path) -> None:
    with FolderLock(tmp_path / "new" / ".relman"):
        assert (tmp_path / "new" / ".relman" / "lock").read_text() == f"{os.getpid()}\n"


def test_a_second_process_is_told_who_holds_the_folder_and_what_to_do(tmp_path: Path) -> None:
    holder = hold(tmp_path)

    with pytest.raises(FolderBusyError) as refusal:
        FolderLock(tmp_path).acquire()

    assert str(refusal.value) == (
        f"the folder {tmp_path} is in use by the process {holder.pid}; end that one first, or name another folder"
    )
    assert refusal.value.pid == holder.pid
    end(holder)


def test_a_second_lock_in_the_same_process_is_refused_as_well(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(FolderBusyError) as refusal:
        FolderLock(tmp_path).acquire()

    assert refusal.value.pid == os.getpid()


def test_a_holder_that_left_no_pid_is_another_process(tmp_path: Path) -> None:
    with FolderLock(tmp_path):
        (tmp_path / "lock").write_text("")
        with pytest.raises(FolderBusyError, match="in use by another process;"):
            FolderLock(tmp_path).acquire()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.acquire()
    lock.release()
    lock.release()

    end(hold(tmp_path))
    with lock:
        pass


def test_kill_9_releases_the_folder(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    holder.kill()
    holder.communicate()

    with FolderLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def _taken(folder: Path) -> bool:
    try:
        with FolderLock(folder):
            return True
    except FolderBusyError:
        return False


@pytest.mark.parametrize(("then", "says"), [(FORK, "forked\n"), (START, "started\n")], ids=["forked", "started"])
def test_a_child_that_outlives_its_parent_does_not_hold_the_folder(tmp_path: Path, then: str, says: str) -> None:
    holder = hold(tmp_path, then)
    assert holder.stdout is not None
    assert holder.stdout.readline() == says
    with pytest.raises(FolderBusyError):
        FolderLock(tmp_path).acquire()
    holder.kill()
    holder.wait()

    # A forked child lets go of it as soon as it runs, which may be a moment later.
    give_up = time.monotonic() + 10
    while not (freed := _taken(tmp_path)) and time.monotonic() < give_up:
        time.sleep(0.01)
    end(holder)
    assert freed


@pytest.mark.parametrize(
    "names", [(), ("lock",), ("log.db", "more"), ("store.url",), ("targets", "notes.txt"), ("nats", "lost+found")]
)
def test_an_existing_folder_that_is_empty_or_ours_is_closed(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = tmp_path / ".relman"
    folder.mkdir()
    folder.chmod(0o777)
    for name in names:
        (folder / name).touch()

    make_private(folder)

    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_others_is_left_open_and_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    tmp_path.chmod(0o755)

    with pytest.raises(FolderOpenError, match=r"is open to others \(0755\).*thesis.txt.*chmod 700"):
        FolderLock(tmp_path).acquire()

    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert not (tmp_path / "lock").exists()
    tmp_path.chmod(0o700)
    with FolderLock(tmp_path):
        assert (tmp_path / "lock").exists()
