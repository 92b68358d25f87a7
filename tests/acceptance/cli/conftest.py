"""Working directories for `relman`, and `relman` in this very process where no process of its own is needed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
import structlog

from release_management.cli.app import run
from tests.acceptance.cli.harness import Answer, CommandLine


class Types(Protocol):
    """Types a command line."""

    def __call__(self, *arguments: str) -> Answer: ...


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CommandLine]:
    made = CommandLine(tmp_path)
    try:
        yield made
    finally:
        made.end_everything()


@pytest.fixture
def relman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Types]:
    """`relman` in this process, in an empty folder."""
    yield typist(tmp_path, monkeypatch, capsys)
    structlog.reset_defaults()


def typist(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Types:
    """`relman` in this process, in a folder; the user is alice."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("RELMAN_DATA", raising=False)
    monkeypatch.delenv("RELMAN_AS", raising=False)
    monkeypatch.setenv("LOGNAME", "alice")

    def typed(*arguments: str) -> Answer:
        capsys.readouterr()
        code = run(arguments)
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return typed
