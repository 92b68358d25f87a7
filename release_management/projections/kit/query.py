"""A query: a question by name, with its parameters, what it selects, and the columns of its answer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field
from sqlalchemy import ColumnElement, Select

from release_management.kernel.types import Value
from release_management.projections.kit.paging import (
    CursorError,
    Paged,
    PageStart,
    RowGroup,
    Sort,
    fits,
    listed,
    selected,
)
from release_management.projections.kit.projection import Ask, Projection, Row

Position = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Nothing(Value):
    """The question takes no parameters."""


class EveryParams(Paged):
    """All of them."""


P = TypeVar("P", bound=Value)


def _as_they_are(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [dict(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Query(Generic[P]):
    """`select` asks the tables of `projections`; `shape` makes the answer of each row.

    `order` is what the answer is sorted by, for a list in pages; without it the answer comes whole. `stable`: what of a
    long row must keep the same while its pages are read; None: all that was given of it.
    """

    name: str
    meaning: str
    params: type[P]
    projections: tuple[Projection, ...]
    select: Callable[[P], Select[Any]]
    shape: Callable[[Sequence[Row]], list[dict[str, Any]]] = _as_they_are
    order: Callable[[P], tuple[Sort, ...]] = lambda _: ()
    stable: Callable[[dict[str, Any]], Any] | None = None
    columns: tuple[str, ...] = ()
    """The columns of a row of the answer, where `shape` makes others than `select` has."""

    def answer_columns(self) -> tuple[str, ...]:
        """Return the names in a row of the answer."""
        if self.columns:
            return self.columns
        samples = {name: "x" for name, field in self.params.model_fields.items() if field.is_required()}
        return tuple(self.select(self.params(**samples)).selected_columns.keys())

    def groups(self, params: P, ask: Ask, start: PageStart | None) -> Iterator[RowGroup]:
        """The rows from a place on, as `ask` finds them. Raises `CursorError` for a place that no row can have."""
        order = self.order(params)
        if not order:
            yield from (RowGroup((), self.shape([row])) for row in ask(self.select(params)))
            return
        if start is not None and not fits(start, [sort.kind for sort in order]):
            raise CursorError(f"cursor: it names no place in the answer of {self.name}; begin without one")
        for key, row in selected(self.select(params), order, ask, start):
            yield RowGroup(key, self.shape([row]))


@dataclass(frozen=True, slots=True)
class Calculation(Generic[P]):
    """`answer` computes rows with `columns` from several selects of the tables of `projections`.

    The columns `key` tell the rows apart. `stable` is as in `Query`.
    """

    name: str
    meaning: str
    params: type[P]
    projections: tuple[Projection, ...]
    answer: Callable[[P, Ask], list[dict[str, Any]]]
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    stable: Callable[[dict[str, Any]], Any] | None = None

    def answer_columns(self) -> tuple[str, ...]:
        """Return the names in a row of the answer."""
        return self.columns

    def groups(self, params: P, ask: Ask, start: PageStart | None) -> Iterator[RowGroup]:
        """The rows from a place on. Raises `CursorError` where it is gone."""
        yield from listed(self.answer(params, ask), self.key, start)


AnyQuery = Query[Any] | Calculation[Any]


def by(*sorts: Sort) -> Callable[[Any], tuple[Sort, ...]]:
    """Sort an answer in the same way whatever is asked."""
    return lambda _: sorts


def newest(column: ColumnElement[Any]) -> Callable[[Any], tuple[Sort, ...]]:
    """Sort an answer by a position, the highest first."""
    return by(Sort(column, int, descending=True))


def filters(params: Paged) -> dict[str, Any]:
    """The parameters that say which rows, without those that say which page."""
    return {name: value for name, value in dict(params).items() if name not in ("cursor", "limit", "order")}
