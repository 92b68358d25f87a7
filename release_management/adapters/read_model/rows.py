"""The rows that a page of events touches, in memory between one bulk read and one bulk write."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Delete, Select, Table, bindparam, delete, select, tuple_

from release_management.adapters.read_model.database import upsert
from release_management.projections.projection import Key, Row

KEYS_PER_READ = 400


class UnnamedKeyError(LookupError):
    """A fold touched a row that its projection's `keys` had not named; or a column that the table does not have."""


class PageRows:
    """The `Rows` of one page. `physical` gives the table of the build that stands for a projection's table."""

    def __init__(self, connection: Connection, physical: Mapping[Table, Table]) -> None:
        self._connection = connection
        self._physical = physical
        self._rows: dict[Table, dict[Key, dict[str, Any] | None]] = {}
        self._touched: dict[Table, dict[Key, None]] = {}

    def load(self, table: Table, keys: Iterable[Key]) -> None:
        """Read the rows of these keys, as many as exist."""
        known = self._rows[table] = dict.fromkeys(keys)
        self._touched[table] = {}
        stored = self._physical[table]
        names = stored.primary_key.columns.keys()
        wanted = list(known)
        for start in range(0, len(wanted), KEYS_PER_READ):
            some = wanted[start : start + KEYS_PER_READ]
            values = some if len(names) > 1 else [key[0] for key in some]
            for row in self._connection.execute(_rows_of(stored), {"keys": values}).mappings():
                known[tuple(row[name] for name in names)] = dict(row)

    def get(self, table: Table, key: Key) -> Row | None:
        """The row as it is after the events before, or None."""
        return self._known(table, key)

    def put(self, table: Table, key: Key, **columns: Any) -> None:
        """Set columns of the row, which is made if it does not exist."""
        row = self._known(table, key) or self._blank(table, key)
        changed = {**row, **columns}
        if len(changed) > len(row):
            raise UnnamedKeyError(f"table {table.name} has no column {min(columns.keys() - row.keys())!r}")
        self._rows[table][key] = changed
        self._touched[table][key] = None

    def delete(self, table: Table, key: Key) -> None:
        """Remove the row if it exists."""
        if self._known(table, key) is not None:
            self._rows[table][key] = None
            self._touched[table][key] = None

    def write(self) -> None:
        """Store every row that was touched."""
        for table, touched in self._touched.items():
            stored = self._physical[table]
            rows = [row for key in touched if (row := self._rows[table][key]) is not None]
            gone = [key for key in touched if self._rows[table][key] is None]
            if rows:
                self._connection.execute(upsert(stored, self._connection.dialect.name), rows)
            if gone:
                names = [f"key_{column.name}" for column in stored.primary_key]
                self._connection.execute(_without(stored), [dict(zip(names, key, strict=True)) for key in gone])

    def _known(self, table: Table, key: Key) -> dict[str, Any] | None:
        try:
            return self._rows[table][key]
        except KeyError:
            raise UnnamedKeyError(f"{table.name} {key} was not among the keys that its projection named") from None

    def _blank(self, table: Table, key: Key) -> dict[str, Any]:
        row: dict[str, Any] = dict.fromkeys(table.columns.keys())
        row.update(zip(table.primary_key.columns.keys(), key, strict=True))
        return row


@cache
def _rows_of(table: Table) -> Select[Any]:
    columns = list(table.primary_key)
    which: ColumnElement[Any] = columns[0] if len(columns) == 1 else tuple_(*columns)
    return select(table).where(which.in_(bindparam("keys", expanding=True)))


@cache
def _without(table: Table) -> Delete:
    return delete(table).where(*(column == bindparam(f"key_{column.name}") for column in table.primary_key))
