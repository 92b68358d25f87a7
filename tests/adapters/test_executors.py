"""How executors are found: our own in one list, others by entry points of installed packages."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

from release_management import executors as kit
from release_management.adapters.executors import command, local
from release_management.adapters.executors.catalog import ExecutorDeclaration, load, make_executor, settings_checks
from release_management.adapters.executors.installed import GROUP, OURS, UnusableExecutorError, executor_names, gather
from release_management.adapters.system.clock import SystemClock
from release_management.kernel.errors import ErrorCode


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where packages can be put, as pip does."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def put(site: Path, package: str, entries: str, **modules: str) -> Sequence[EntryPoint]:
    """Put a package into `site`; the entry points of ours that it has."""
    information = site / f"{package.replace('-', '_')}-2.1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.1\n")
    (information / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}\n")
    for name, text in modules.items():
        (site / f"{name}.py").write_text(text)
    [found] = distributions(path=[str(site)], name=package)
    return tuple(found.entry_points.select(group=GROUP))


def said(entries: Sequence[EntryPoint]) -> str:
    """Why these entry points cannot be used."""
    with pytest.raises(UnusableExecutorError) as raised:
        load(gather((*OURS, *entries))[entries[0].name])
    assert raised.value.code is ErrorCode.UNUSABLE
    return str(raised.value)


def test_ours_are_found_by_their_names() -> None:
    assert set(executor_names()) >= {"command", "local"}
    assert {entry.name: load(entry) for entry in OURS} == {"command": command.EXECUTOR, "local": local.EXECUTOR}
    assert set(settings_checks()) == set(executor_names())


def test_every_executor_of_ours_is_in_the_list() -> None:
    package = Path(command.__file__).parents[1]
    declaring = [file for file in package.rglob("*.py") if "EXECUTOR = ExecutorDeclaration(" in file.read_text()]
    assert sorted(entry.value for entry in OURS) == sorted(
        f"release_management.adapters.executors.{file.parent.name}:EXECUTOR" for file in declaring
    )


def test_names_alone_load_no_executor() -> None:
    loaded = """
import sys
from release_management.adapters.executors.installed import executor_names
print(executor_names())
print([name for name in sys.modules if name.startswith("release_management.adapters.executors.local")])
"""
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "[]"


def test_one_of_another_package_is_used_as_ours_are(site: Path, tmp_path: Path) -> None:
    entries = put(
        site,
        "edge-executor",
        "edge = edge_executor:EXECUTOR",
        edge_executor="from release_management.executors import ExecutorDeclaration\n"
        "EXECUTOR = ExecutorDeclaration(lambda settings, routes: ['door 7'], lambda folder, clock: (folder, clock))\n",
    )
    found = load(gather((*OURS, *entries))["edge"])
    assert found.check_settings({}, True) == ["door 7"]
    assert found.make(tmp_path, SystemClock())[0] == tmp_path  # type: ignore[index] # it stands for an executor


def test_one_that_cannot_be_imported_is_named_with_its_package(site: Path) -> None:
    entries = put(site, "edge-executor", "edge = edge_missing:EXECUTOR", edge_missing="import no_such_module_anywhere")
    assert said(entries) == (
        "the executor edge of edge-executor 2.1, edge_missing:EXECUTOR, cannot be loaded "
        "(ModuleNotFoundError: No module named 'no_such_module_anywhere'); repair it, or uninstall it"
    )


def test_one_that_raises_whatever_it_likes_is_named_with_its_package(site: Path) -> None:
    entries = put(site, "edge-executor", "edge = edge_raising:EXECUTOR", edge_raising="raise RuntimeError")
    assert "edge-executor 2.1, edge_raising:EXECUTOR, cannot be loaded (RuntimeError)" in said(entries)


def test_a_name_that_its_module_has_not_is_told(site: Path) -> None:
    entries = put(site, "edge-executor", "edge = edge_empty:EXECUTOR", edge_empty="")
    assert "(AttributeError: module 'edge_empty' has no attribute 'EXECUTOR'); repair it" in said(entries)


def test_something_else_than_a_declaration_is_told(site: Path) -> None:
    entries = put(site, "edge-executor", "edge = edge_other:EXECUTOR", edge_other="EXECUTOR = 7")
    assert said(entries) == (
        "the executor edge of edge-executor 2.1, edge_other:EXECUTOR, is 7; let its entry point name an "
        "ExecutorDeclaration, as MODULE:NAME, or uninstall it"
    )


@pytest.mark.parametrize(
    ("name", "first"), [("local", "release-management"), ("edge", "edge-executor 2.1")], ids=["ours", "theirs"]
)
def test_two_of_one_name_are_told_with_both_packages(site: Path, name: str, first: str) -> None:
    entries = [*put(site, "edge-executor", "edge = a:B"), *put(site, "other-executor", f"{name} = c:D")]
    assert said(entries) == (
        f"two executors are named {name}: that of {first} and that of other-executor 2.1; uninstall one of them, "
        f"or rename its entry point in the group {GROUP}"
    )


def test_a_name_that_cannot_be_part_of_a_subject_is_told(site: Path) -> None:
    assert said(put(site, "edge-executor", "Edge.1 = a:B")).startswith(
        "edge-executor 2.1 adds an executor whose name cannot be used: 'Edge.1' is no name; write 1 to 63 of a-z"
    )


def test_one_that_is_not_installed_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UnusableExecutorError) as raised:
        make_executor("k8s", tmp_path, SystemClock())
    assert raised.value.code is ErrorCode.NOT_FOUND
    assert str(raised.value) == (
        "there is no executor 'k8s'; known: command, local; install the package of another one where the gateway "
        "runs and where the executor runs"
    )


def exported() -> Iterator[str]:
    yield from (name for name in vars(kit) if not name.startswith("_"))


def test_the_kit_of_those_who_write_executors_is_what_it_says() -> None:
    assert kit.__all__ == sorted(kit.__all__)
    assert set(exported()) == set(kit.__all__)
    assert kit.ExecutorDeclaration is ExecutorDeclaration
