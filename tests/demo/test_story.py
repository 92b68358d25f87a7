"""A part of the demo that is not observed fails. The whole story is told by `.ci/run`."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from demo import crash, story
from demo.story import main
from demo.telling import NotObserved


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's own."""
    made = tmp_path / "relman-demo"
    made.mkdir()
    monkeypatch.setattr(story, "tempfile", SimpleNamespace(mkdtemp=lambda prefix: str(made)))
    return made


def test_an_unobserved_claim_is_named_and_the_logs_are_kept(
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


def test_a_fault_of_the_demos_own_is_not_observed_either_and_where_it_happened_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(story, "Installation", lambda folder, store: StringIO())
    monkeypatch.setattr(story, "tell", lambda *_: int("web"))

    assert main("sqlite") == 1
    assert (
        capsys.readouterr().out.splitlines()[0]
        == "✗ NOT OBSERVED: ValueError: invalid literal for int() with base 10: 'web'"
    )
    assert "Traceback" in (folder / "traceback.txt").read_text()


def test_a_process_that_is_gone_and_cannot_be_killed_is_not_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setattr(crash, "serving", lambda _: gone.pid)

    with pytest.raises(NotObserved, match=f"the process {gone.pid} that answered for web cannot be killed"):
        crash.kill_web(SimpleNamespace())  # type: ignore[arg-type] # it is not asked


def told() -> Iterator[re.Pattern[str]]:
    """Every line that the story tells where all goes well, with anything for what is filled in."""
    for module in (story, crash):
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say"):
                continue
            parts = node.args[0].values if isinstance(node.args[0], ast.JoinedStr) else node.args
            text = "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+" for part in parts)
            if text and not text.startswith(("✗\\ NOT", "\\ \\ what\\ was\\ logged", "\\(", ".+")) and text != "str":
                yield re.compile(text)


def test_the_readme_shows_each_line_that_the_demo_prints_and_no_other() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    block = readme.partition("An example of what it prints:\n\n```text\n")[2].partition("```")[0]
    lines = block.splitlines()
    patterns = list(told())

    assert len(patterns) == len(lines) > 5
    assert [line for line in lines if not any(each.fullmatch(line) for each in patterns)] == []
    assert [each.pattern for each in patterns if not any(each.fullmatch(line) for line in lines)] == []


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
    sentence = capsys.readouterr().out
    assert sentence.startswith("✗ NOT OBSERVED: a clean stop left processes behind: [")
    assert str(folder)[:40] in sentence
