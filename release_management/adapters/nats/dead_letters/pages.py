"""Dead letters in pages: the newest first; one letter in as many pages as it needs."""

from dataclasses import asdict
from typing import Any

from pydantic import Field

from release_management.adapters.nats.dead_letters.store import DeadLetters
from release_management.kernel.types import Value
from release_management.projections.kit.paging import (
    Cursor,
    CursorError,
    PageStart,
    RowGroup,
    fits,
    read_cursor,
    write_cursor,
)
from release_management.services.paging.cutting import Found, cut
from release_management.services.paging.pages import Page

MAX_LETTERS = 1000
_NAME = "dead_letters"
_TEXT = 20_000
"""Characters of a message that are not split across pages."""


class LettersQuestion(Value):
    """A request for dead letters: the newest, at most `limit`, or all of the one with this `id`.

    `cursor` is the `next_cursor` of the page before.
    """

    limit: int = Field(default=100, ge=1, le=MAX_LETTERS, description="at most so many, the newest first")
    id: int | None = Field(default=None, ge=1, description="all of this one, instead of the newest")
    cursor: Cursor | None = Field(None, description="`next_cursor` of the page before; without it, the first page")


async def letters_page(letters: DeadLetters, question: LettersQuestion) -> dict[str, Any]:
    """Return the answer to a request. Raises `CursorError`, and `BusError`."""
    start = _start(question)
    if question.id is not None:
        return await _opened(letters, question.id, question, start)
    found, below = await letters.page(question.limit, None if start is None else int(start.key[0]))
    reply: dict[str, Any] = {"dead_letters": [asdict(letter) for letter in found]}
    return reply if below is None else reply | {"next_cursor": write_cursor(_NAME, question, PageStart((below,)))}


def _start(question: LettersQuestion) -> PageStart | None:
    if question.cursor is None:
        return None
    start = read_cursor(_NAME, question, question.cursor)
    if not fits(start, [int]):
        raise CursorError("cursor: it names no place among the dead letters; begin without one")
    return start


async def _opened(letters: DeadLetters, id: int, question: LettersQuestion, start: PageStart | None) -> dict[str, Any]:
    letter = await letters.open(id)
    if letter is None:
        return {"dead_letter": None}
    texts = [letter.payload[offset : offset + _TEXT] for offset in range(0, len(letter.payload), _TEXT)]
    group = RowGroup((id,), [asdict(letter) | {"payload": texts}])
    page = cut(Found([group], False, start, lambda end: write_cursor(_NAME, question, end)), lambda value: value)
    return _as_json(page)


def _as_json(page: Page) -> dict[str, Any]:
    [row] = page.rows
    reply: dict[str, Any] = {"dead_letter": row | {"payload": "".join(row.get("payload", ()))}}
    return reply if page.next_cursor is None else reply | {"next_cursor": page.next_cursor, "unfinished": True}
