"""A page is never longer than a message, whatever stands in its rows."""

from typing import Any

import pytest

from release_management.projections.kit.paging import (
    Continued,
    RowGroup,
    read_cursor,
    write_cursor,
)
from release_management.services.paging.cutting import (
    LONGEST_PIECE,
    SHOWN_CHARACTERS,
    Found,
    cut,
    length,
)
from release_management.services.paging.pages import (
    Page,
    Row,
    read,
)

MESSAGE = 1024 * 1024


def pages(row: Row) -> list[Row]:
    """All pages of a list of one row, put together again."""

    def page(params: dict[str, Any]) -> Page:
        start = read_cursor("rows", Continued(), params["cursor"]) if "cursor" in params else None
        found = Found([RowGroup((1,), [row])], False, start, lambda end: write_cursor("rows", Continued(), end))
        given = cut(found, lambda value: value)
        assert length(given.rows) < MESSAGE - 100_000
        return given

    return list(read(page, {}))


@pytest.mark.parametrize("item", ["x" * LONGEST_PIECE, {"settings": "\x01" * 200_000}, ["x" * 1000] * 900])
def test_an_item_that_no_message_can_hold_is_shown_by_its_beginning_with_its_size(item: Any) -> None:
    (row,) = pages({"id": 1, "list": ["first", item, "last"], "after": "all"})

    assert (row["id"], row["list"][0], row["list"][2], row["after"]) == (1, "first", "last", "all")
    shown = row["list"][1]
    assert len(shown) < SHOWN_CHARACTERS + 100
    assert shown.endswith(f"… (cut: it has {length(item):,} bytes; the events of the log have the whole)")


def test_a_text_that_no_message_can_hold_is_shown_by_its_beginning() -> None:
    (row,) = pages({"id": 1, "text": "x" * LONGEST_PIECE})
    assert row["text"].startswith("x" * SHOWN_CHARACTERS + "… (cut: it has 800,002 bytes")


def test_a_piece_that_a_message_can_just_hold_is_shown_whole() -> None:
    whole = {"id": 1, "list": ["x" * (LONGEST_PIECE - 2), "last"]}
    assert pages(whole) == [whole]
