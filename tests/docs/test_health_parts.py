"""Whatever a role's health can name is explained where operators look for it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-to/run-large.md"
SAYS = ("trouble", "warn", "show")
ROW = re.compile(r"^\| (trouble|warning) `([a-z ]+?)(?: [A-Z]+)?` \|", re.MULTILINE)


def parts(path: Path) -> Iterator[tuple[str, str]]:
    """The kind and the fixed beginning of every part that a module's calls of a health name."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _parts(function)


def _parts(function: ast.AST) -> Iterator[tuple[str, str]]:
    nodes = list(ast.walk(function))
    assigned = {ast.unparse(node.targets[0]): node.value for node in nodes if isinstance(node, ast.Assign)}
    for node in nodes:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SAYS):
            continue
        if not ast.unparse(node.func.value).endswith("health") or len(node.args) != 2:
            continue
        part = assigned.get(ast.unparse(node.args[0]), node.args[0])
        if isinstance(part, ast.JoinedStr):
            part = part.values[0]
        assert isinstance(part, ast.Constant), ast.unparse(node)
        yield "warning" if node.func.attr == "warn" else "trouble", str(part.value).strip()


def test_every_part_that_a_health_names_stands_in_the_table() -> None:
    named = {each for path in (ROOT / "release_management").rglob("*.py") for each in parts(path)}
    assert ("trouble", "bus") in named
    assert ("warning", "projection") in named
    assert set(ROW.findall(PAGE.read_text())) == named
