"""What becomes of a part of the demo that is not observed. The whole story is told by `.ci/run`."""

import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from demo import story
from demo.story import main
from demo.telling import NotObserved


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's own."""
    made = tmp_path / "relman-demo"
    made.mkdir()
    monkeypatch.setattr(story, "tempfile", SimpleNamespace(mkdtemp=lambda prefix: str(made)))
    return made


def test_what_was_not_observed_is_named_and_what_was_logged_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(*_: object) -> None:
        raise NotObserved("1.0.0 did not reach production")

    monkeypatch.setattr(story, "Installation", lambda folder, store: StringIO())
    monkeypatch.setattr(story, "tell", tell)

    assert main("sqlite") == 1
    assert capsys.readouterr().out.splitlines() == [
        "✗ NOT OBSERVED: 1.0.0 did not reach production",
        f"  what was logged is in {folder}",
    ]
    assert folder.exists()


def test_a_process_that_is_left_behind_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(story, "Installation", lambda folder, store: StringIO())
    monkeypatch.setattr(story, "tell", lambda *_: None)
    command = [sys.executable, "-c", "import time; time.sleep(60)", str(folder)]
    with subprocess.Popen(command) as left:
        code = main("sqlite")
        left.kill()

    assert code == 1
    said = capsys.readouterr().out
    assert said.startswith("✗ NOT OBSERVED: a clean stop left processes behind: [")
    assert str(folder)[:40] in said
