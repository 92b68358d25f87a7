"""What a projection is: tables, the keys that an event touches, and a pure fold over rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, get_args

from sqlalchemy import Select, Table

from release_management.kernel.record import Event

Key = tuple[Any, ...]
Row = Mapping[str, Any]
Ask = Callable[[Select[Any]], Sequence[Row]]
"""Carries a select out, at the moment at which the whole answer is."""


class Rows(Protocol):
    """The rows that a page of events touches. Every key that `Projection.keys` named has been loaded."""

    def get(self, table: Table, key: Key) -> Row | None:
        """The row as it is after the events before, or None. Not to be kept: the next `put` changes it."""
        ...

    def find(self, table: Table, key: Key) -> Row | None:
        """The row of a key that another row gave, so that `Projection.keys` could not name it. Only to be read."""
        ...

    def put(self, table: Table, key: Key, **columns: Any) -> None:
        """Set columns of the row, which is made if it does not exist; other columns keep their values."""
        ...

    def delete(self, table: Table, key: Key) -> None:
        """Remove the row if it exists."""
        ...

    def clear(self, table: Table, first: Any) -> None:
        """Remove all rows whose key begins with this value, whether they were named or not."""
        ...


@dataclass(frozen=True, slots=True)
class Projection:
    """`keys` names the rows (by primary key) that `fold` may get, put or delete for an event; none: not concerned.

    `names` are the events that it is concerned with (`named` makes them), or None for every one: others are not even
    read. `version` rises with every change of `names`, `tables` or `fold`; another version is built from the log's
    beginning. `local`: what stands in a row is said by one stream alone, so that a stream that was set aside can be
    taken in late, as if it had come in time. One that is not is made anew then.
    """

    name: str
    version: int
    tables: tuple[Table, ...]
    names: frozenset[str] | None
    keys: Callable[[Event], Iterable[tuple[Table, Key]]]
    fold: Callable[[Event, Rows], None]
    local: bool = False


def named(*kinds: object) -> frozenset[str]:
    """The names of facts, given as their classes or as unions of them."""
    return frozenset(fact.NAME for kind in kinds for fact in get_args(kind) or (kind,))
