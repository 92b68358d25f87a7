"""A history on a read-only disk can be read, and a disk that is full is named."""

import errno
import json
import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from release_management import ReleaseManager
from release_management.adapters.system.error_paths import naming
from tests.acceptance.cli.conftest import Types
from tests.acceptance.cli.harness import CommandLine
from tests.servers.small_disk import SmallDisk

READ_ONLY = "lies on a read-only disk: what it has can be read, and nothing is recorded there"


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a release and an environment, in which nothing can be written any more."""
    folder = tmp_path / ".relman"
    with ReleaseManager("shop", data=folder) as shop:
        shop.configure_environments({"staging": {}})
        shop.create_release("1.0.0", ["web"])
    real = os.open

    def refused(path: "str | os.PathLike[str]", flags: int, mode: int = 0o777, **more: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and Path(path).is_relative_to(folder):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fspath(path))
        return real(path, flags, mode, **more)

    # As the system answers on a disk that is mounted read-only; root may write in any other folder.
    monkeypatch.setattr(os, "open", refused)
    return folder


def test_a_read_only_history_is_listed_and_exported(history: Path, relman: Types, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in history.rglob("*")}

    listed = relman("env", "list", "--json")
    logged = relman("audit", "log", "--json")
    exported = relman("audit", "export", "-o", str(tmp_path / "history.jsonl"))

    assert [row["name"] for row in json.loads(listed.out)] == ["staging"]
    assert len(json.loads(logged.out)) >= 2
    assert exported.code == 0, exported.err
    assert "release.created" in (tmp_path / "history.jsonl").read_text()
    assert {path: path.stat().st_mtime_ns for path in history.rglob("*")} == before


def test_a_read_only_folder_refuses_every_command(history: Path, relman: Types) -> None:
    for typed in (("release", "create", "shop@2.0.0", "--component", "web"), ("deploy", "shop@1.0.0", "staging")):
        answer = relman(*typed)

        assert answer.code == 3
        assert f"{history} {READ_ONLY}" in answer.err


def test_a_folder_without_a_history_on_such_a_disk_is_named(history: Path, relman: Types) -> None:
    shutil.rmtree(history)
    history.mkdir(mode=0o700)

    answer = relman("env", "list")

    assert answer.code == 3
    assert "nothing is there yet in .relman" in answer.err


def test_a_history_on_a_disk_that_is_mounted_read_only_is_listed_and_exported(cli: CommandLine) -> None:
    made, history = cli.folder / "made", cli.folder / "disk"
    with ReleaseManager("shop", data=made) as shop:
        shop.configure_environments({"staging": {}})
        shop.create_release("1.0.0", ["web"])
    with closing(SmallDisk(16)) as disk:
        disk.make(history)
        assert disk.is_mounted, "no file system can be mounted here; let this user have namespaces, or be root"
        subprocess.run(disk.within(["cp", "-r", made, history / ".relman"]), check=True)
        subprocess.run(disk.within(["mount", "-o", "remount,ro", history]), check=True)

        def relman(*arguments: str) -> "subprocess.CompletedProcess[str]":
            command = [*cli.relman_command(), *arguments, "--data", str(history / ".relman")]
            return subprocess.run(
                disk.within(command),
                cwd=cli.folder,
                env=cli.environment,
                capture_output=True,
                text=True,
                check=False,
            )

        listed = relman("env", "list", "--json")
        exported = relman("audit", "export", "-o", str(cli.folder / "history.jsonl"))
        created = relman("release", "create", "shop@2.0.0", "--component", "web")

    assert listed.returncode == 0, listed.stderr
    assert [row["name"] for row in json.loads(listed.stdout)] == ["staging"]
    assert exported.returncode == 0, exported.stderr
    assert "release.created" in (cli.folder / "history.jsonl").read_text()
    assert created.returncode == 3
    assert READ_ONLY in created.stderr


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left on device") as raised, naming(tmp_path / "x"):
        Path("/dev/full").write_text("x")

    assert raised.value.filename == str(tmp_path / "x")


def test_an_export_to_a_full_disk_names_the_file(relman: Types, tmp_path: Path) -> None:
    with ReleaseManager("shop", data=tmp_path / ".relman") as shop:
        shop.configure_environments({"staging": {}})
    (tmp_path / "history.jsonl.part").symlink_to("/dev/full")

    answer = relman("audit", "export", "-o", str(tmp_path / "history.jsonl"))

    assert answer.code == 1
    assert f"{tmp_path}/history.jsonl.part: No space left on device" in answer.err
