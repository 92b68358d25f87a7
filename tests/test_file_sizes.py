"""A file is short, or says why it is not."""

import ast
from pathlib import Path

import pytest

import release_management

PACKAGE = Path(release_management.__file__).parent
ROOT = PACKAGE.parent
MOST = 400
"""Lines of a file without a reason."""
REASON = f"over {MOST} lines, since "
"""The words with which the docstring of a longer module begins its reason."""


def fault_of(source: str) -> str | None:
    """Return what is wrong with the length of a module; None if nothing is."""
    lines = len(source.splitlines())
    reason = REASON in " ".join((ast.get_docstring(ast.parse(source)) or "").split())
    if lines > MOST and not reason:
        return f"{lines} lines: split it, or say in its docstring that it is {REASON}…"
    if lines <= MOST and reason:
        return f"{lines} lines: its docstring gives a reason for more than {MOST}"
    return None


def test_no_file_is_longer_than_it_says_why() -> None:
    paths = [*PACKAGE.rglob("*.py"), *(ROOT / "docs").rglob("*.py")]
    faults = {f"{path.relative_to(ROOT)}": fault for path in paths if (fault := fault_of(path.read_text()))}

    assert len(paths) > 100
    assert faults == {}


@pytest.mark.parametrize(
    ("docstring", "lines", "right"),
    [
        ("Events.", MOST, True),
        ("Events.", MOST + 1, False),
        ("Events. It is over 400\nlines, since it is one list.", MOST + 1, True),
        ("Events. It is over 400 lines, since it is one list.", MOST, False),
    ],
)
def test_a_long_file_needs_a_reason_and_a_short_one_has_none(docstring: str, lines: int, right: bool) -> None:
    source = f'"""{docstring}"""\n'
    source += "x = 1\n" * (lines - len(source.splitlines()))

    assert (fault_of(source) is None) is right
