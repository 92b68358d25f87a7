"""Print a JSON document for machines, or short tables and sentences for people."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from itertools import islice
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from release_management.cli.kit.settings import settings
from release_management.kernel.visible import escaped, visible
from release_management.services.redaction import redacted, redacted_data

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

WIDE = 240
"""A row that is wider than the terminal is wrapped; squeezed columns cannot be read."""
_IDS = frozenset({"deployment", "approval", "id", "position", "time", "created", "requested"})


All = Annotated[bool, typer.Option("--all", help="Show each of many, instead of summing them up.")]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="At most so many; else all.")]
ROWS_AT_ONCE = 500
"""The number of rows of a table, whose columns are as wide as these need."""
HELD_BYTES = 4_000_000
"""Bytes of a long JSON document that are kept in memory until it is complete."""
T = TypeVar("T")


def show(document: object, *shown: "RenderableType") -> None:
    """Print `document` as JSON if that was requested, else `shown`."""
    if settings().json:
        print(json_text(redacted_data(plain(document)), indent=2))
        return
    for renderable in shown:
        _print(renderable)


def show_list(found: Iterable[T], *columns: str, cells: Callable[[T], Iterable[object]], empty: str) -> None:
    """Print a list as it is read: one JSON array, which is complete or not there at all, or tables.

    `empty` is printed if there are no elements.
    """
    if settings().json:
        _print_array(found)
        return
    rest = iter(found)
    rows = [cells(each) for each in islice(rest, ROWS_AT_ONCE)]
    _print(listing(*columns, rows=rows, empty=empty))
    while rows := [cells(each) for each in islice(rest, ROWS_AT_ONCE)]:
        _print(listing(*columns, rows=rows, empty=empty))


def _print_array(found: Iterable[object]) -> None:
    with SpooledTemporaryFile(HELD_BYTES, "w+", encoding="utf-8") as document:
        count = 0
        for count, each in enumerate(found, 1):
            text = json_text(redacted_data(plain(each)), indent=2)
            document.write(("[\n  " if count == 1 else ",\n  ") + text.replace("\n", "\n  "))
        document.write("\n]\n" if count else "[]\n")
        document.seek(0)
        copyfileobj(document, sys.stdout)


def line(document: object, text: str) -> None:
    """Print one line at once: a JSON object if that was requested, else the text."""
    if settings().json:
        print(json_text(plain(document)), flush=True)
    else:
        print(printable(text), flush=True)


def say(text: str) -> None:
    """Print a sentence for people at once."""
    if not settings().json:
        print(printable(text), flush=True)


def json_text(data: object, *, indent: int | None = None) -> str:
    r"""Return JSON with letters as they are, and control or invisible characters as `\uXXXX`.

    So it is everywhere, not only on a terminal: a file may be shown on one later, and it is the same JSON.
    """
    separators = (",", ":") if indent is None else None
    return escaped(json.dumps(data, ensure_ascii=False, indent=indent, separators=separators))


def printable(text: str) -> str:
    """Return a text with control characters made visible, since much of what we print was written by others.

    Passwords of addresses are redacted.
    """
    return redacted(visible(text))


def plain(value: object) -> Any:
    """Return views, letters and their collections as JSON data."""
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(item) for item in value]
    return value


def listing(*columns: str, rows: Iterable[Iterable[object]], empty: str) -> "RenderableType":
    """Return a table whose ids and times are never cut; `empty` if it has no rows."""
    from rich.text import Text

    from release_management.facade.views import table

    made = table(*columns, rows=([_cell(cell) for cell in row] for row in rows))
    return whole(made) if made.row_count else Text(empty)


def _cell(value: object) -> str:
    return "" if value is None else printable(" ".join(str(value).splitlines()))


def whole(made: "Table") -> "Table":
    """Return the same table with nothing cut off."""
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
    """The same renderable with control characters made visible; its own styles stay."""

    def __init__(self, renderable: "RenderableType") -> None:
        self._renderable = renderable

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.segment import Segment

        for text, style, control in console.render(self._renderable, options):
            yield Segment(text if control else printable(text), style, control)
