"""The base of every view, and how views are rendered for people."""

from collections.abc import Iterable
from io import StringIO
from typing import ClassVar

from pydantic import BaseModel, ConfigDict
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from release_management.kernel.visible import visible
from release_management.services.redaction import redacted

WIDTH = 110


class View(BaseModel):
    """An immutable answer. `print(view)` shows it; `view.model_dump()` returns plain data."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)
    COLUMNS: ClassVar[int] = WIDTH

    def render(self) -> RenderableType:
        """Return the printed form."""
        return Text(super().__repr__())

    def __str__(self) -> str:
        return rendered(self.render(), self.COLUMNS)

    def __repr__(self) -> str:
        head = str(self).partition("\n")[0]
        return head if head.startswith(f"{type(self).__name__}(") else f"<{type(self).__name__} {head}>"


def rendered(renderable: RenderableType, width: int = WIDTH) -> str:
    """Return plain text, without colours, and without characters that a terminal would obey."""
    out = StringIO()
    Console(file=out, width=width, no_color=True, highlight=False).print(renderable)
    return "\n".join(line.rstrip() for line in visible(out.getvalue()).split("\n")).rstrip("\n")


def table(*columns: str, rows: Iterable[Iterable[object]], title: str | None = None) -> Table:
    """Return a table without frames; None is shown as an empty cell."""
    made = Table(*columns, box=None, title=title, title_justify="left", header_style="bold", pad_edge=False)
    for row in rows:
        made.add_row(*("" if cell is None else redacted(str(cell)) for cell in row))
    return made


def called(id: str, label: str | None) -> str:
    """Return a label with its id, or the id alone if both are the same."""
    return id if label is None or label == id else f"{label} ({id})"


def span(seconds: float) -> str:
    """Return a duration in its two largest units."""
    rest, parts = round(seconds), []
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if rest >= size:
            parts.append(f"{rest // size} {name}")
            rest %= size
    return " ".join(parts[:2]) or f"{seconds:.1f} s"


def short_age(seconds: float | None) -> str:
    """Return an age in words."""
    if seconds is None:
        return "never"
    if seconds < 120:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7200 else f"{seconds / 3600:.0f} h ago"


def short_time(time: str | None) -> str:
    """Return date and time to the second, UTC."""
    return "" if time is None else time[:19].replace("T", " ")


LISTED = 10
