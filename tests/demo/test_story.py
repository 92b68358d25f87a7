"""`make demo STORE=postgres`, the whole story with fewer requests, and what becomes of a part that is not observed."""

import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from demo import story
from demo.story import NotObserved, main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's own."""
    made = tmp_path / "relman-demo"
    made.mkdir()
    monkeypatch.setattr(story, "tempfile", SimpleNamespace(mkdtemp=lambda prefix: str(made)))
    return made


@pytest.mark.timeout(300)
def test_the_story_is_observed_from_beginning_to_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(story, "RATE", 100)
    monkeypatch.setattr(story, "PER_WEIGHT", 100)
    monkeypatch.setattr(story, "TOLERANCE", 5)

    code = main("postgres")

    told = capsys.readouterr().out
    assert code == 0, told
    assert [line[0] for line in told.splitlines() if line.startswith(("✔", "✗", "⚡"))] == [*"✔✔✗⚡✔"], told
    assert "⚡ kill -9 of each of " in told
    assert not folder.exists()


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
