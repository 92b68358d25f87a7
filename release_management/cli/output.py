"""Printing: a JSON document for machines, short tables and sentences for people."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from release_management.cli.settings import settings
from release_management.domain.visible import escaped, visible
from release_management.services.redaction import redacted, redacted_data

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

WIDE = 240
"""A row that is wider than the terminal goes on in its next line, whole; squeezed columns cannot be read."""
_IDS = frozenset({"deployment", "approval", "id", "position", "time", "created", "requested"})


All = Annotated[bool, typer.Option("--all", help="Show each of many, instead of summing them up.")]


def show(document: object, *shown: "RenderableType") -> None:
    """Print `document` where JSON is wanted, else what is `shown`."""
    if settings().json:
        print(json_text(redacted_data(plain(document)), indent=2))
        return
    for renderable in shown:
        _print(renderable)


def line(document: object, text: str) -> None:
    """One line, at once: a JSON object where JSON is wanted, else the text."""
    if settings().json:
        print(json_text(plain(document)), flush=True)
    else:
        print(printable(text), flush=True)


def say(text: str) -> None:
    """A sentence for people, at once."""
    if not settings().json:
        print(printable(text), flush=True)


def json_text(data: object, *, indent: int | None = None) -> str:
    r"""JSON in which letters stand as they are, and what a terminal would obey, or nobody would see, as `\uXXXX`.

    So it is everywhere, not on a terminal alone: what went to a file is shown on one later, and it is the same JSON.
    """
    separators = (",", ":") if indent is None else None
    return escaped(json.dumps(data, ensure_ascii=False, indent=indent, separators=separators))


def printable(text: str) -> str:
    """What a terminal would obey instead of show becomes a visible sign; others have written much of what we print.

    Passwords of addresses are not shown.
    """
    return redacted(visible(text))


def plain(value: object) -> Any:
    """Views and their collections as JSON data."""
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def listing(*columns: str, rows: Iterable[Iterable[object]], empty: str) -> "RenderableType":
    """A table whose ids and times are never cut; `empty` is said where it has no rows."""
    from rich.text import Text

    from release_management.views import table

    made = table(*columns, rows=([_cell(cell) for cell in row] for row in rows))
    return whole(made) if made.row_count else Text(empty)


def _cell(value: object) -> str:
    return "" if value is None else printable(" ".join(str(value).splitlines()))


def whole(made: "Table") -> "Table":
    """The same table with nothing cut off."""
    for column in made.columns:
        column.overflow = "fold"
        column.no_wrap = column.header in _IDS
    return made


def _print(renderable: "RenderableType") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False, width=WIDE)
    if isinstance(renderable, Table):
        whole(renderable)
    with console.capture() as captured:
        console.print(_Printable(renderable))
    for printed in captured.get().splitlines():
        print(printed.rstrip())


class _Printable:
    """The same, without what a terminal would obey; its own styles stay."""

    def __init__(self, renderable: "RenderableType") -> None:
        self._renderable = renderable

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.segment import Segment

        for text, style, control in console.render(self._renderable, options):
            yield Segment(text if control else printable(text), style, control)
