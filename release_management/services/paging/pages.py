"""Answers in pages, and their reassembly."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST_ROWS = 1000
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of an answer. `next_cursor` asks for those that follow; None if there are none.

    If it is `unfinished`, the last row continues in the first one of the next page.
    """

    rows: list[Row]
    next_cursor: str | None = None
    unfinished: bool = False


def sent(page: Page) -> dict[str, Any]:
    """Return a page as JSON for the bus."""
    reply: dict[str, Any] = {"answer": page.rows}
    if page.next_cursor is not None:
        reply["next_cursor"] = page.next_cursor
    return reply | ({"unfinished": True} if page.unfinished else {})


def received(reply: Mapping[str, Any]) -> Page:
    """Return a page from its JSON on the bus."""
    return Page(reply["answer"], reply.get("next_cursor"), reply.get("unfinished", False))


def merged(row: Any, rest: Any) -> Any:
    """Return a long row merged with its continuation."""
    if isinstance(row, dict) and isinstance(rest, dict):
        return row | {name: merged(row[name], value) if name in row else value for name, value in rest.items()}
    if isinstance(row, list) and isinstance(rest, list):
        return row + rest
    return rest


class PageReader:
    """Reassembles pages, whoever requests them: request with `params` until that is None, and `take` each page.

    A `limit` among the parameters is that of the whole answer.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = dict(params)
        limit = params.get("limit")
        self._left = limit if type(limit) is int and limit > 0 else None
        self._cursor: str | None = params.get("cursor")
        self._part: Row | None = None
        self._over = False

    @property
    def params(self) -> dict[str, Any] | None:
        """The parameters of the next page; None if all has been read."""
        if self._over:
            return None
        page_params = dict(self._params)
        if self._left is not None:
            page_params["limit"] = min(max(self._left, 1), MOST_ROWS)
        return page_params if self._cursor is None else page_params | {"cursor": self._cursor}

    def take(self, page: Page) -> list[Row]:
        """Return the rows that are complete with this page."""
        rows = list(page.rows)
        if self._part is not None:
            rows[:1] = [merged(self._part, rows[0])]
            self._part = None
        if page.unfinished:
            self._part = rows.pop()
        if self._left is not None:
            rows = rows[: self._left]
            self._left -= len(rows)
        self._cursor = page.next_cursor
        self._over = self._cursor is None or (self._left == 0 and self._part is None)
        return rows


def read(ask: Callable[[dict[str, Any]], Page], params: Mapping[str, Any]) -> Iterator[Row]:
    """Yield all rows of an answer, whose pages `ask` returns one by one, as they are needed."""
    reading = PageReader(params)
    while (page_params := reading.params) is not None:
        yield from reading.take(ask(page_params))
