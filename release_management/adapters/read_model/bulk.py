"""Read and write many rows of one table in one statement, in each database's own fastest way."""

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
        """Yield the existing rows of these primary keys."""
        ...

    def upsert(self, connection: Connection, rows: Sequence[Stored]) -> None:
        """Insert whole rows, or overwrite existing ones."""
        ...

    def delete(self, connection: Connection, keys: Sequence[Key]) -> None:
        """Remove the rows of these primary keys."""
        ...

    def clear(self, connection: Connection, beginnings: Sequence[Any]) -> None:
        """Remove the rows whose primary key begins with one of these values."""
        ...


@cache
def bulk(table: Table, dialect: str) -> Bulk:
    """Return the accessor of a table's rows on a dialect: `sqlite` or `postgresql`."""
    return _OnPostgreSQL(table) if dialect == "postgresql" else _OnSQLite(table)


class _Table:
    """A table's SQL names."""

    def __init__(self, table: Table) -> None:
        self.name = f'"{table.name}"'
        self.columns: list[Column[Any]] = list(table.columns)
        self.keys: list[Column[Any]] = list(table.primary_key.columns)
        self.names = [str(column.name) for column in self.columns]
        self.values: Callable[[Stored], Any] = itemgetter(*self.names, self.names[0])
        """Returns a row's values in order; the first is repeated at the end, so that there are always several."""
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
    """The rows on SQLite. Keys are passed as one JSON document, so that the statement is always the same one."""

    def __init__(self, table: Table) -> None:
        self._table = sql = _Table(table)
        same = " AND ".join(
            f"""t."{column.name}" = json_extract(k.value, '$[{index}]')""" for index, column in enumerate(sql.keys)
        )
        listed = ", ".join(f't."{name}"' for name in sql.names)
        self._load = f"SELECT {listed} FROM json_each(?) k CROSS JOIN {sql.name} t WHERE {same}"
        marks = ", ".join("?" * len(sql.names))
        self._upsert = f"INSERT INTO {sql.name} ({sql.listed}) VALUES ({marks}) {sql.or_overwrite}"
        self._delete = f"DELETE FROM {sql.name} WHERE " + " AND ".join(f'"{column.name}" = ?' for column in sql.keys)
        self._clear = f'DELETE FROM {sql.name} WHERE "{sql.keys[0].name}" = ?'

    def load(self, connection: Connection, keys: Sequence[Key]) -> Iterator[tuple[Key, Stored]]:
        sql = self._table
        for row in connection.exec_driver_sql(self._load, (to_json(keys).decode(),)):
            values = list(row)
            for index in sql.documents:
                if values[index] is not None:
                    values[index] = from_json(values[index])
            for index in sql.flags:
                if values[index] is not None:
                    values[index] = bool(values[index])
            yield sql.key_of(values), dict(zip(sql.names, values, strict=True))

    def upsert(self, connection: Connection, rows: Sequence[Stored]) -> None:
        sql = self._table
        if not sql.documents:
            connection.exec_driver_sql(self._upsert, [sql.values(row)[:-1] for row in rows])
            return
        made = []
        for row in rows:
            values = list(sql.values(row))
            values.pop()
            for index in sql.documents:
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
    """The rows on PostgreSQL. Rows and keys are passed as one JSON document: one statement and one value for all.

    The driver takes longer for arrays and for rows, value by value; and its `executemany` uses pipelines.
    """

    def __init__(self, table: Table) -> None:
        self._table = sql = _Table(table)
        types = ", ".join(f'"{column.name}" {_type(column)}' for column in sql.columns)
        self._upsert = (
            f"INSERT INTO {sql.name} ({sql.listed}) SELECT {sql.listed} FROM json_to_recordset(%s) AS r({types}) "
            f"{sql.or_overwrite}"
        )
        same = " AND ".join(
            f't."{column.name}" = (k ->> {index})::{_type(column)}' for index, column in enumerate(sql.keys)
        )
        listed = ", ".join(f't."{name}"' for name in sql.names)
        self._load = (
            f"SELECT json_agg(json_build_array({listed})) FROM json_array_elements(%s) k JOIN {sql.name} t ON {same}"
        )
        self._delete = f"DELETE FROM {sql.name} t USING json_array_elements(%s) k WHERE {same}"
        first = sql.keys[0]
        self._clear = (
            f"DELETE FROM {sql.name} t USING json_array_elements_text(%s) k "
            f'WHERE t."{first.name}" = k.value::{_type(first)}'
        )

    def load(self, connection: Connection, keys: Sequence[Key]) -> Iterator[tuple[Key, Stored]]:
        sql = self._table
        for values in connection.exec_driver_sql(self._load, (_json(keys),)).scalar_one() or ():
            yield sql.key_of(values), dict(zip(sql.names, values, strict=True))

    def upsert(self, connection: Connection, rows: Sequence[Stored]) -> None:
        connection.exec_driver_sql(self._upsert, (_json(rows),))

    def delete(self, connection: Connection, keys: Sequence[Key]) -> None:
        connection.exec_driver_sql(self._delete, (_json(keys),))

    def clear(self, connection: Connection, beginnings: Sequence[Any]) -> None:
        connection.exec_driver_sql(self._clear, (_json(beginnings),))


def _json(value: object) -> str:
    """Return JSON without NULs, which PostgreSQL's texts cannot hold; a deployed program may have written one."""
    text = to_json(value).decode()
    return _NUL.sub(r"\1\\ufffd", text) if r"\u0000" in text else text


def _type(column: Column[Any]) -> str:
    return next(name for kind, name in _TYPES if isinstance(column.type, kind))
