"""An executor that comes in a package of its own: installed into a private environment, and deployed with."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.cli.harness import CommandLine
from tests.docs.markdown import ROOT, blocks
from tests.private_venv import PrivateVenv

PAGE = ROOT / "docs" / "how-to" / "write-an-executor.md"


class InstalledDesk(CommandLine):
    """A working directory in which `relman` is that of a private environment."""

    def __init__(self, folder: Path, venv: PrivateVenv) -> None:
        super().__init__(folder)
        self.venv = venv
        scripts = Path(sys.executable).parent  # where the nats-server is
        self.environment["PATH"] = f"{scripts}:{self.environment['PATH']}"

    def relman_command(self) -> list[str]:
        return [str(self.venv.python), "-m", "release_management.cli"]


def write_files(folder: Path) -> None:
    """The package of the page and its relman.yaml."""
    for block in blocks(PAGE):
        if block.title:
            file = folder / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> PrivateVenv:
    """A private environment into which the package of the page is installed."""
    folder = tmp_path_factory.mktemp("installed")
    write_files(folder)
    made = PrivateVenv(folder / "venv")
    assert "relman-shelf-1.0.0" in made.install("./relman-shelf", cwd=folder)
    return made


@pytest.fixture
def installed(tmp_path: Path, venv: PrivateVenv) -> Iterator[InstalledDesk]:
    (tmp_path / "installed").mkdir()
    made = InstalledDesk(tmp_path / "installed", venv)
    try:
        yield made
    finally:
        made.end_everything()


def test_a_client_without_the_package_declares_a_target_of_it_and_deploys_there(
    installed: InstalledDesk, tmp_path: Path
) -> None:
    """Where everything is on one machine is tested with the page."""
    installed.done("up", "--detach")
    cli = CommandLine(tmp_path / "client")
    write_files(cli.folder)
    cli.environment["RELMAN_DATA"] = (installed.data / "nats.url").read_text().strip()
    manifest = cli.folder / "relman.yaml"
    right = manifest.read_text()

    manifest.write_text(right.replace("executor: shelf", "executor: k8s"))
    refused = cli.relman("apply", "relman.yaml", "--json")
    assert refused.json["error"]["code"] == "not_found"
    assert "there is no executor 'k8s'; known: command, local, shelf; install the package" in refused.out

    manifest.write_text(right.replace("routes: none", "routes: any"))
    assert "a shelf shifts no traffic; say that the target has routes: none" in cli.relman("apply", "relman.yaml").err

    manifest.write_text(right)
    cli.done("apply", "relman.yaml")
    cli.done("deploy", "shop@1.0.0", "staging", "--wait")
    assert [file.read_text() for file in (installed.folder / "shelf").iterdir()] == ["1.0.0\n"]


def test_up_does_not_start_with_two_executors_of_one_name(installed: InstalledDesk) -> None:
    doubled = installed.folder / "doubled-1.0.dist-info"
    doubled.mkdir()
    (doubled / "METADATA").write_text("Metadata-Version: 2.1\nName: doubled\nVersion: 1.0\n")
    (doubled / "entry_points.txt").write_text("[relman.executors]\nshelf = doubled:EXECUTOR\n")
    installed.environment["PYTHONPATH"] += f":{installed.folder}"

    answer = installed.relman("up")
    assert answer.code == 1
    assert "two executors are named shelf: that of " in answer.err
    assert "relman-shelf 1.0.0" in answer.err
    assert "doubled 1.0" in answer.err


def test_nothing_is_decided_with_an_executor_that_cannot_be_loaded(installed: InstalledDesk) -> None:
    write_files(installed.folder)
    (installed.folder / "relman_shelf.py").write_text("import no_such_module_anywhere\n")
    installed.environment["PYTHONPATH"] = f"{installed.folder}:{installed.environment['PYTHONPATH']}"

    answer = installed.relman("apply", "relman.yaml")
    assert answer.code == 1
    why = "the executor shelf of relman-shelf 1.0.0, relman_shelf:EXECUTOR, cannot be loaded"
    assert f"{why} (ModuleNotFoundError: No module named 'no_such_module_anywhere')" in answer.err
