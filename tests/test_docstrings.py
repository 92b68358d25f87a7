"""Docstrings of the package say plainly what a thing is or does, in the field's words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import release_management

ROOT = Path(release_management.__file__).parent
QUESTION = re.compile(r"(what|who|whom|whose|which|whether|when|where|why|how|that)\b", re.IGNORECASE)
PRIVATE = re.compile(r"\b(wish|wishes|wished|blot\w*|scribe|setbacks?|way back)\b", re.IGNORECASE)
"""Words of an earlier vocabulary: command, mask, record writer, failures, rollback."""


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the docstrings of a module, its classes, functions and attributes, each with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def test_no_docstring_begins_with_a_question_word() -> None:
    questions = [
        f"{path.relative_to(ROOT.parent)}:{line}: {text}"
        for path in sorted(ROOT.rglob("*.py"))
        for line, text in _docstrings(ast.parse(path.read_text(encoding="utf-8")))
        if QUESTION.match(text)
    ]
    assert not questions, "Begin with a noun or a verb:\n" + "\n".join(questions)


def test_no_docstring_uses_a_private_word() -> None:
    private = [
        f"{path.relative_to(ROOT.parent)}:{line}: {text}"
        for path in sorted(ROOT.rglob("*.py"))
        for line, text in _docstrings(ast.parse(path.read_text(encoding="utf-8")))
        if PRIVATE.search(text)
    ]
    assert not private, "Say it in the field's words:\n" + "\n".join(private)
