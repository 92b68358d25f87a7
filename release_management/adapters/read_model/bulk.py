"""Many rows of one table in one statement, in each database's own fastest way."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Protocol

from pydantic_core import from_json, to_json
from sqlalchemy import JSON, BigInteger, Boolean, Column, Connection, Float, Integer, String, Table

from release_management.projections.kit.projection import Key

Stored = dict[str, Any]
"""A row, all columns of its table by name."""


class Bulk(Protocol):
    """The rows of one table."""

    def load(self, connection: Connection, keys: Sequence[Key]) -> Iterator[tuple[Key, Stored]]:
        """The rows of these primary keys, as many as exist."""
        ...

    def upsert(self, connection: Connection, rows: Sequence[Stored]) -> None:
        """Insert whole rows, or overwrite those that exist."""
        ...

    def delete(self, connection: Connection, keys: Sequence[Key]) -> None:
        """Remove the rows of these primary keys."""
        ...

    def clear(self, connection: Connection, beginnings: Sequence[Any]) -> None:
        """Remove the rows whose primary key begins with one of these values."""
        ...


@cache
def bulk(table: Table, dialect: str) -> Bulk:
    """The way to a table's rows on a dialect: `sqlite` or `postgresql`."""
    return _OnPostgreSQL(table) if dialect == "postgresql" else _OnSQLite(table)


class _Table:
    """A table's SQL names."""

    def __init__(self, table: Table) -> None:
        self.name = f'"{table.name}"'
        self.columns: list[Column[Any]] = list(table.columns)
        self.keys: list[Column[Any]] = list(table.primary_key.columns)
        self.names = [str(column.name) for column in self.columns]
        self.values: Callable[[Stored], Any] = itemgetter(*self.names, self.names[0])
        """A row's values in order; the first is there again at the end, so that there are always several."""
        self.key = [self.names.index(column.name) for column in self.keys]
        self.listed = ", ".join(f'"{name}"' for name in self.names)
        keys = ", ".join(f'"{column.name}"' for column in self.keys)
        others = [column.name for column in self.columns if not column.primary_key]
        then = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
        self.or_overwrite = f"ON CONFLICT ({keys}) DO " + (f"UPDATE SET {then}" if others else "NOTHING")
        self.documents = [index for index, column in enumerate(self.columns) if isinstance(column.type, JSON)]
        self.flags = [index for index, column in enumerate(self.columns) if isinstance(column.type, Boolean)]

    def key_of(self, values: Sequence[Any]) -> Key:
        return tuple([values[index] for index in self.key])


class _OnSQLite:
    """Keys come as one JSON document, so that the statement is always the same one."""

    def __init__(self, table: Table) -> None:
        self._table = it = _Table(table)
        same = " AND ".join(
            f"""t."{column.name}" = json_extract(k.value, '$[{index}]')""" for index, column in enumerate(it.keys)
        )
        listed = ", ".join(f't."{name}"' for name in it.names)
        self._load = f"SELECT {listed} FROM json_each(?) k CROSS JOIN {it.name} t WHERE {same}"
        marks = ", ".join("?" * len(it.names))
        self._upsert = f"INSERT INTO {it.name} ({it.listed}) VALUES ({marks}) {it.or_overwrite}"
        self._delete = f"DELETE FROM {it.name} WHERE " + " AND ".join(f'"{column.name}" = ?' for column in it.keys)
        self._clear = f'DELETE FROM {it.name} WHERE "{it.keys[0].name}" = ?'

    def load(self, connection: Connection, keys: Sequence[Key]) -> Iterator[tuple[Key, Stored]]:
        it = self._table
        for row in connection.exec_driver_sql(self._load, (to_json(keys).decode(),)):
            values = list(row)
            for index in it.documents:
                if values[index] is not None:
                    values[index] = from_json(values[index])
            for index in it.flags:
                if values[index] is not None:
                    values[index] = bool(values[index])
            yield it.key_of(values), dict(zip(it.names, values, strict=True))

    def upsert(self, connection: Connection, rows: Sequence[Stored]) -> None:
        it = self._table
        if not it.documents:
            connection.exec_driver_sql(self._upsert, [it.values(row)[:-1] for row in rows])
            return
        made = []
        for row in rows:
            values = list(it.values(row))
            values.pop()
            for index in it.documents:
                if values[index] is not None:
                    values[index] = to_json(values[index]).decode()
            made.append(tuple(values))
        connection.exec_driver_sql(self._upsert, made)

    def delete(self, connection: Connection, keys: Sequence[Key]) -> None:
        connection.exec_driver_sql(self._delete, list(keys))

    def clear(self, connection: Connection, beginnings: Sequence[Any]) -> None:
        connection.exec_driver_sql(self._clear, [(first,) for first in beginnings])


_TYPES: Sequence[tuple[type[Any], str]] = (
    (JSON, "json"),
    (Boolean, "boolean"),
    (BigInteger, "bigint"),
    (Integer, "integer"),
    (Float, "double precision"),
    (String, "text"),
)
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class _OnPostgreSQL:
    """Rows and keys go and come as one JSON document: one statement and one value, however many there are.

    The driver takes longer for arrays and for rows, value by value; and its `executemany` uses pipelines.
    """

    def __init__(self, table: Table) -> None:
        self._table = it = _Table(table)
        types = ", ".join(f'"{column.name}" {_type(column)}' for column in it.columns)
        self._upsert = (
            f"INSERT INTO {it.name} ({it.listed}) SELECT {it.listed} FROM json_to_recordset(%s) AS r({types}) "
            f"{it.or_overwrite}"
        )
        same = " AND ".join(
            f't."{column.name}" = (k ->> {index})::{_type(column)}' for index, column in enumerate(it.keys)
        )
        listed = ", ".join(f't."{name}"' for name in it.names)
        self._load = (
            f"SELECT json_agg(json_build_array({listed})) FROM json_array_elements(%s) k JOIN {it.name} t ON {same}"
        )
        self._delete = f"DELETE FROM {it.name} t USING json_array_elements(%s) k WHERE {same}"
        first = it.keys[0]
        self._clear = (
            f"DELETE FROM {it.name} t USING json_array_elements_text(%s) k "
            f'WHERE t."{first.name}" = k.value::{_type(first)}'
        )

    def load(self, connection: Connection, keys: Sequence[Key]) -> Iterator[tuple[Key, Stored]]:
        it = self._table
        for values in connection.exec_driver_sql(self._load, (_json(keys),)).scalar_one() or ():
            yield it.key_of(values), dict(zip(it.names, values, strict=True))

    def upsert(self, connection: Connection, rows: Sequence[Stored]) -> None:
        connection.exec_driver_sql(self._upsert, (_json(rows),))

    def delete(self, connection: Connection, keys: Sequence[Key]) -> None:
        connection.exec_driver_sql(self._delete, (_json(keys),))

    def clear(self, connection: Connection, beginnings: Sequence[Any]) -> None:
        connection.exec_driver_sql(self._clear, (_json(beginnings),))


def _json(value: object) -> str:
    """PostgreSQL has no NUL in texts. What a deployed program has written may have one."""
    text = to_json(value).decode()
    return _NUL.sub(r"\1\\ufffd", text) if r"\u0000" in text else text


def _type(column: Column[Any]) -> str:
    return next(name for kind, name in _TYPES if isinstance(column.type, kind))
