"""The reference pages say what the code says, and leave nothing out."""

import os
import subprocess
import sys

import pytest
from pydantic import BaseModel

import release_management
from release_management.adapters.executors.command import CommandSettings
from release_management.adapters.executors.local.settings import ComponentSettings
from release_management.domain.plan.strategies import STRATEGIES
from release_management.domain.registry import FACTS
from release_management.services.queries import QUERIES
from release_management.services.use_cases import COMMANDS
from tests.docs.markdown import ROOT, anchors

REFERENCE = ROOT / "docs" / "reference"


def text(name: str) -> str:
    """A reference page's text."""
    return (REFERENCE / name).read_text()


def test_the_committed_pages_are_what_the_code_gives() -> None:
    check = subprocess.run(
        [sys.executable, str(REFERENCE / "generate.py"), "--check"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stdout + check.stderr


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("events.md", FACTS),
        ("commands.md", COMMANDS),
        ("queries.md", QUERIES),
        ("strategies.md", STRATEGIES),
        ("python.md", release_management.__all__),
        ("python.md", [name for name in vars(release_management.ReleaseManager) if not name.startswith("_")]),
    ],
)
def test_everything_public_has_a_heading(page: str, names: list[str]) -> None:
    known = anchors(REFERENCE / page)
    assert [name for name in names if name.lower().replace(".", "") not in known] == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_option_of_a_strategy_is_explained(strategy: str) -> None:
    section = text("strategies.md").partition(f"\n## {strategy}\n")[2].partition("\n## ")[0]
    options = STRATEGIES[strategy].model_fields
    assert [option for option in options if f"| `{option}` |" not in section] == []


@pytest.mark.parametrize("model", [ComponentSettings, CommandSettings])
def test_every_setting_of_a_component_is_explained(model: type[BaseModel]) -> None:
    # `slots` is said by the target.
    settings = model.model_fields.keys() - {"slots"}
    assert [name for name in settings if f"| `{name}` |" not in text("settings.md")] == []
