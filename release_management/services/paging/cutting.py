"""Cut answers into pages that are no longer than a message may be.

A row that is longer than a page is cut in its lists and mappings: the page ends with its beginning and is `unfinished`,
and the first row of the next page holds the rest of them. A piece that cannot be cut and fits into no message is shown
by its beginning.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from release_management.kernel.errors import ErrorCode
from release_management.projections.kit.paging import (
    CursorError,
    PageStart,
    RowGroup,
)
from release_management.services.paging.pages import Page, Row

PAGE_BYTES = 200_000
"""Bytes of the rows of one page, as JSON."""
LONGEST_PIECE = 800_000
"""Bytes of one text, or of one item of a list, as JSON. A message has a million."""
SHOWN_CHARACTERS = 1_000
"""Characters that are shown of a longer one, as JSON."""
AROUND = 8
"""Bytes around each of a row's pieces."""
Path = tuple[str | int, ...]
Reveal = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Found:
    """The input of a page: groups of rows as they are stored, from `start` on, and whether more follow them.

    `cursor` writes a cursor; `stable` returns the part of a long row that must not change while its pages are read;
    None: all that was returned of it.
    """

    groups: list[RowGroup]
    more: bool
    start: PageStart | None
    cursor: Callable[[PageStart], str]
    stable: Callable[[Row], Any] | None = None


def cut(found: Found, reveal: Reveal) -> Page:
    """Return the page, with texts as `reveal` returns them. Raises `CursorError` if a long row has changed."""
    rows: list[Row] = []
    size = 0
    last: PageStart | None = None
    for number, group in enumerate(found.groups):
        within = found.start if number == 0 and found.start is not None and found.start.path else None
        whole = None if within is not None else _whole(group, reveal, PAGE_BYTES - size, alone=not rows)
        if whole is not None:
            rows += whole[0]
            size += whole[1]
        elif rows:
            return Page(rows, None if last is None else found.cursor(last))
        else:
            part = _part(group, within, reveal, found.stable)
            rows.append(part.row)
            size += part.size
            if part.end is not None:
                return Page(rows, found.cursor(part.end), unfinished=True)
        last = PageStart(group.key)
    return Page(rows, found.cursor(last) if found.more and last is not None else None)


def _whole(group: RowGroup, reveal: Reveal, room: int, *, alone: bool) -> tuple[list[Row], int] | None:
    """Return the rows of a group and their size, or None if they do not fit. Several rows are never cut."""
    several = alone and len(group.rows) != 1
    if not several and length(group.rows) > PAGE_BYTES:
        return None
    shown = [reveal(row) for row in group.rows]
    size = length(shown)
    return (shown, size) if several or size <= room else None


def length(data: Any) -> int:
    """Return the number of bytes of data as JSON."""
    return len(json.dumps(data, ensure_ascii=False, default=str).encode(errors="surrogatepass"))


@dataclass(slots=True)
class _RowPart:
    """A part of a long row, and the place in the row at which it ends; None: at the row's end."""

    row: Row = field(default_factory=dict)
    size: int = 0
    end: PageStart | None = None


def _part(group: RowGroup, within: PageStart | None, reveal: Reveal, stable: Callable[[Row], Any] | None) -> _RowPart:
    [row] = group.rows
    part = _RowPart()
    digest = hashlib.sha256()
    begun = within is None
    last = ""
    for path, value in _pieces(row):
        place = _digest(path)
        if not begun:
            digest.update(_bytes(value))
            begun = within is not None and place == within.path
            if begun and within is not None and within.mark != _mark(row, digest.hexdigest(), stable):
                raise _changed()
            continue
        shown = _shortened(reveal(value))
        size = length(shown) + AROUND + len(str(path[-1]))
        if part.row and part.size + size > PAGE_BYTES:
            part.end = PageStart(group.key, last, _mark(row, digest.hexdigest(), stable))
            return part
        _put(part.row, path, shown)
        part.size += size
        digest.update(_bytes(value))
        last = place
    if not begun:
        raise _changed()
    return part


def _shortened(shown: Any) -> Any:
    """Return a piece, or the beginning of one that no message can hold, with its size and a hint to the whole."""
    size = length(shown)
    if size <= LONGEST_PIECE:
        return shown
    text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False, default=str)
    return f"{text[:SHOWN_CHARACTERS]}… (cut: it has {size:,} bytes; the events of the log have the whole)"


def _changed() -> CursorError:
    reason = "cursor: what is longer than a page has changed since its first page; begin again without one"
    return CursorError(reason, code=ErrorCode.CONFLICT)


def _mark(row: Row, text: str, stable: Callable[[Row], Any] | None) -> str:
    return text[:16] if stable is None else _digest(stable(row))


def _digest(data: Any) -> str:
    return hashlib.sha256(_bytes(data)).hexdigest()[:16]


def _bytes(data: Any) -> bytes:
    return json.dumps(data, default=str).encode()


def _pieces(row: Row) -> Iterator[tuple[Path, Any]]:
    """Yield the pieces into which a row can be cut, in order: items of lists, entries of mappings, and texts."""
    open_: list[Iterator[tuple[Path, Any]]] = [_entries((), row)]
    while open_:
        try:
            path, value = next(open_[-1])
        except StopIteration:
            open_.pop()
            continue
        inside = isinstance(path[-1], int)  # an item of a list stays whole
        if not inside and isinstance(value, dict | list | tuple) and value and not _is_sealed(value):
            open_.append(_entries(path, value))
        else:
            yield path, value


def _entries(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    return (((*path, name), each) for name, each in entries)


def _is_sealed(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"subject", "sealed"}


def _put(part: Row, path: Path, value: Any) -> None:
    """Put a piece at its path in the row."""
    container: Any = part
    for name, following in pairwise(path):
        container = container.setdefault(name, [] if isinstance(following, int) else {})
    if isinstance(container, list):
        container.append(value)
    else:
        container[path[-1]] = value
