"""A class name has one sense in the package: no two classes share a name, except a thing and its view for people."""

import ast
from collections import Counter
from pathlib import Path

import release_management

ROOT = Path(release_management.__file__).parent
VIEWS = ROOT / "facade" / "views"
BOTH = {"Promote"}
"""The command `deployment.promote`, and the step `promote`: both names are recorded."""


def _classes(path: Path) -> list[str]:
    return [node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ClassDef)]


def test_no_two_classes_share_a_name() -> None:
    paths = [path for path in sorted(ROOT.rglob("*.py")) if VIEWS not in path.parents]
    names = Counter(name for path in paths for name in _classes(path))

    assert {name for name, count in names.items() if count > 1} == BOTH


def test_no_two_views_share_a_name() -> None:
    names = Counter(name for path in VIEWS.rglob("*.py") for name in _classes(path))

    assert [name for name, count in names.items() if count > 1] == []
