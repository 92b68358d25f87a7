"""The definition of a projection: tables, the keys that an event touches, and a pure fold over rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, get_args

from sqlalchemy import Select, Table

from release_management.kernel.record import Event

Key = tuple[Any, ...]
Row = Mapping[str, Any]
Ask = Callable[[Select[Any]], Sequence[Row]]
"""Executes a select; all selects of an answer see the same moment."""


class Rows(Protocol):
    """The rows that a page of events touches. Every key that `Projection.keys` named has been loaded."""

    def get(self, table: Table, key: Key) -> Row | None:
        """Return the row as it is after the events before, or None. Do not keep it: the next `put` changes it."""
        ...

    def find(self, table: Table, key: Key) -> Row | None:
        """Return the row of a key that another row gave, so that `Projection.keys` could not name it. Read-only."""
        ...

    def put(self, table: Table, key: Key, **columns: Any) -> None:
        """Set columns of the row, creating it if it does not exist; other columns keep their values."""
        ...

    def delete(self, table: Table, key: Key) -> None:
        """Remove the row if it exists."""
        ...

    def clear(self, table: Table, first: Any) -> None:
        """Remove all rows whose key begins with this value, whether they were named or not."""
        ...


@dataclass(frozen=True, slots=True)
class Projection:
    """`keys` names the rows (by primary key) that `fold` may get, put or delete for an event; none: it is ignored.

    `names` are the events that it folds (`named` makes them), or None for every one: others are not even parsed.
    `version` rises with every change of `names`, `tables` or `fold`; another version is built from the log's beginning.
    `local`: each row depends on one stream alone, so that a parked stream can be folded late, as if it had come in
    time. A projection that is not local is rebuilt then.
    """

    name: str
    version: int
    tables: tuple[Table, ...]
    names: frozenset[str] | None
    keys: Callable[[Event], Iterable[tuple[Table, Key]]]
    fold: Callable[[Event, Rows], None]
    local: bool = False


def named(*kinds: object) -> frozenset[str]:
    """Return the names of facts, given as their classes or as unions of them."""
    return frozenset(fact.NAME for kind in kinds for fact in get_args(kind) or (kind,))
