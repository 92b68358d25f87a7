"""Lists in pages: where a page begins, and what a cursor contains.

A cursor names the last row of a page by the values that the list is sorted by, so that rows which come or go meanwhile
move nothing. It belongs to one query with its parameters.
"""

import base64
import binascii
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import Field, StringConstraints
from sqlalchemy import ColumnElement, Select, and_, or_

from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.kernel.types import Value
from release_management.projections.kit.projection import Ask, Row

Limit = Annotated[int, Field(ge=1, le=1000)]
Cursor = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[A-Za-z0-9_-]+$")]
Key = tuple[str | int, ...]
"""The values of one row that a list is sorted by."""

FIRST_READ, MOST_READ = 50, 400
"""Rows that the database is asked for at once: few at first, since rows may be long."""
CHECK_BYTES = 8
MAX_INTEGER = 2**63
_KEY = "page_key_"

S = TypeVar("S", bound=Select[Any])


class CursorError(RelmanError):
    """A cursor is not ours, or its row no longer exists."""

    code = ErrorCode.INVALID


class Continued(Value):
    """A single thing, which continues on further pages if it is longer than one."""

    cursor: Cursor | None = Field(None, description="`next_cursor` of the page before; without it, the first page")


class Paged(Continued):
    """A list in pages."""

    limit: Limit = Field(1000, description="at most so many rows in this page")


@dataclass(frozen=True, slots=True)
class Sort:
    """One column that a list is sorted by; all of them together are unique per row, and none is null."""

    column: ColumnElement[Any]
    kind: type[str] | type[int]
    descending: bool = False


@dataclass(frozen=True, slots=True)
class PageStart:
    """The beginning of a page: after a row, or within it if `path` and `mark` are given.

    `path` is the digest of where in the row the page before ended, `mark` the digest of the part returned so far.
    """

    key: Key
    path: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows that stand on one page together, and their sort key."""

    key: Key
    rows: list[dict[str, Any]]


def write_cursor(query: str, params: Value, start: PageStart) -> str:
    """Return the cursor of a place in a query's answer."""
    body = json.dumps([*start.key, start.path, start.mark], ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_check(query, params, body) + body).rstrip(b"=").decode()


def read_cursor(query: str, params: Value, cursor: str) -> PageStart:
    """Return the place that a cursor names. Raises `CursorError` if it is not of this query and these parameters."""
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        check, body = content[:CHECK_BYTES], content[CHECK_BYTES:]
        if check != _check(query, params, body):
            raise ValueError
        *key, path, mark = json.loads(body)
    except (binascii.Error, ValueError):
        raise CursorError(
            f"cursor: it is none of the query {query} with these parameters; give next_cursor as it came, with the "
            "same parameters, or begin without one"
        ) from None
    return PageStart(tuple(key), path, mark)


def _check(query: str, query_params: Value, body: bytes) -> bytes:
    params = query_params.model_dump(mode="json", exclude={"cursor", "limit"})
    identity = json.dumps([query, params], sort_keys=True).encode()
    return hashlib.sha256(identity + b"\0" + body).digest()[:CHECK_BYTES]


def fits(start: PageStart, kinds: Sequence[type[str] | type[int]]) -> bool:
    """Return True if a list sorted by columns of these types can have such a place."""
    if len(start.key) != len(kinds) or not all(isinstance(each, str) for each in (start.path, start.mark)):
        return False
    return all(
        (kind is str and isinstance(value, str) and "\0" not in value)
        or (kind is int and type(value) is int and -MAX_INTEGER <= value < MAX_INTEGER)
        for value, kind in zip(start.key, kinds, strict=True)
    )


def selected(query: Select[Any], order: Sequence[Sort], ask: Ask, start: PageStart | None) -> Iterator[tuple[Key, Row]]:
    """Yield the rows of a select in order, from a place on, reading bit by bit."""
    labels = [f"{_KEY}{number}" for number in range(len(order))]
    sorted_ = query.add_columns(
        *(sort.column.label(label) for sort, label in zip(order, labels, strict=True))
    ).order_by(None)
    sorted_ = sorted_.order_by(*(sort.column.desc() if sort.descending else sort.column for sort in order))
    size = FIRST_READ
    while True:
        rows = ask((sorted_ if start is None else sorted_.where(_from(start, order))).limit(size))
        for row in rows:
            key = tuple(row[label] for label in labels)
            yield key, {name: value for name, value in row.items() if name not in labels}
        if len(rows) < size:
            return
        start, size = PageStart(key), min(2 * size, MOST_READ)


def _from(start: PageStart, order: Sequence[Sort]) -> ColumnElement[bool]:
    """Return the condition that a row comes after the place, or contains it."""
    alternatives = []
    same: list[ColumnElement[bool]] = []
    for sort, value in zip(order, start.key, strict=True):
        behind = sort.column < value if sort.descending else sort.column > value
        alternatives.append(and_(*same, behind))
        same.append(sort.column == value)
    if start.path:
        alternatives.append(and_(*same))
    return or_(*alternatives)


def listed(rows: Sequence[Mapping[str, Any]], names: Sequence[str], start: PageStart | None) -> Iterator[RowGroup]:
    """Yield computed rows from a place on; the columns `names` identify them. Raises `CursorError` if it is gone."""
    keyed: list[RowGroup] = []
    counts: Counter[Key] = Counter()
    for row in rows:
        identity = tuple("" if row[name] is None else row[name] for name in names)
        keyed.append(RowGroup((*identity, counts[identity]), [dict(row)]))
        counts[identity] += 1
    if start is None:
        yield from keyed
        return
    found = next((number for number, group in enumerate(keyed) if group.key == start.key), None)
    if found is None:
        raise CursorError(
            "cursor: the row at which the last page ended is no more; begin again without one", code=ErrorCode.CONFLICT
        )
    yield from keyed[found if start.path else found + 1 :]
