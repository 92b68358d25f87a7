"""The frame of a reference page: its title, the note that it is written, and its introduction."""

import inspect
from collections.abc import Iterable

NOTE = "<!-- Written by docs/reference/generate.py from the code; change it there. -->"


def page(title: str, intro: str, *parts: Iterable[str]) -> str:
    """A page's text."""
    lines = [f"# {title}", "", NOTE, "", inspect.cleandoc(intro), ""]
    for part in parts:
        lines += part
    return "\n".join(lines).rstrip() + "\n"
