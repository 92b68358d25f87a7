"""The rows that a page of events touches, in memory between one bulk read and one bulk write."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table

from release_management.adapters.read_model.bulk import Stored, bulk
from release_management.projections.kit.projection import Key, Row


class UnnamedKeyError(LookupError):
    """A fold touched a row that its projection's `keys` had not named; or a column that the table does not have."""


class PageRows:
    """The `Rows` of one page. `physical` maps a projection's table to that of the build."""

    def __init__(self, connection: Connection, physical: Mapping[Table, Table]) -> None:
        self._connection = connection
        self._physical = physical
        self._rows: dict[Table, dict[Key, Stored | None]] = {}
        self._touched: dict[Table, dict[Key, None]] = {}
        self._cleared: dict[Table, dict[Any, None]] = {}
        self._found: dict[tuple[Table, Key], Stored | None] = {}

    def load(self, table: Table, keys: Iterable[Key]) -> None:
        """Read the existing rows of these keys."""
        known = self._rows[table] = dict.fromkeys(keys)
        self._touched[table] = {}
        stored = bulk(self._physical[table], self._connection.dialect.name)
        known.update(stored.load(self._connection, list(known)))

    def get(self, table: Table, key: Key) -> Row | None:
        """Return the row as it is after the events before, or None. Do not keep it: the next `put` changes it."""
        return self._known(table, key)

    def find(self, table: Table, key: Key) -> Row | None:
        """Return the row of a key that was not named, read once a page."""
        if key in self._rows.get(table, {}):
            return self._rows[table][key]
        if key[0] in self._cleared.get(table, {}):
            return None
        if (table, key) not in self._found:
            stored = bulk(self._physical[table], self._connection.dialect.name)
            self._found[table, key] = dict(stored.load(self._connection, [key])).get(key)
        return self._found[table, key]

    def put(self, table: Table, key: Key, **columns: Any) -> None:
        """Set columns of the row, creating it if it does not exist."""
        row = self._known(table, key)
        if row is None:
            row = self._rows[table][key] = _blank(table).copy()
            row.update(zip(_key_names(table), key, strict=True))
        width = len(row)
        row.update(columns)
        if len(row) > width:
            raise UnnamedKeyError(f"table {table.name} has no column {min(columns.keys() - _blank(table).keys())!r}")
        self._touched[table][key] = None

    def delete(self, table: Table, key: Key) -> None:
        """Remove the row if it exists."""
        if self._known(table, key) is not None:
            self._rows[table][key] = None
            self._touched[table][key] = None

    def clear(self, table: Table, first: Any) -> None:
        """Remove all rows whose key begins with this value, whether they were named or not."""
        for key, row in self._rows.get(table, {}).items():
            if key[0] == first and row is not None:
                self._rows[table][key] = None
                self._touched[table].pop(key, None)
        self._cleared.setdefault(table, {})[first] = None

    def write(self) -> None:
        """Store every row that was touched."""
        for table, beginnings in self._cleared.items():
            bulk(self._physical[table], self._connection.dialect.name).clear(self._connection, list(beginnings))
        for table, touched in self._touched.items():
            if not touched:
                continue
            stored = bulk(self._physical[table], self._connection.dialect.name)
            known = self._rows[table]
            removed = [key for key in touched if known[key] is None]
            if rows := [row for key in touched if (row := known[key]) is not None]:
                stored.upsert(self._connection, rows)
            if removed:
                stored.delete(self._connection, removed)

    def _known(self, table: Table, key: Key) -> Stored | None:
        try:
            return self._rows[table][key]
        except KeyError:
            raise UnnamedKeyError(f"{table.name} {key} was not among the keys that its projection named") from None


@cache
def _blank(table: Table) -> Stored:
    # Plain strings: what a column calls its name is slow to write as JSON.
    return dict.fromkeys(str(column.name) for column in table.columns)


@cache
def _key_names(table: Table) -> list[str]:
    return [str(column.name) for column in table.primary_key]
