"""The kinds of columns of read models. Times are RFC 3339 text, as in the record."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Index, Integer, Text

from release_management.kernel.types import Fact, Value

_JSON = JSON(none_as_null=True)
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Sorted by code point on every database."""


def key(name: str, *, index: bool = False) -> Column[str]:
    """Return a text column of the primary key."""
    return Column(name, _TEXT, primary_key=True, index=index)


def text(name: str, *, index: bool = False) -> Column[str]:
    """Return a nullable text column."""
    return Column(name, _TEXT, index=index)


def number(name: str, *, primary_key: bool = False) -> Column[int]:
    """Return an integer column, nullable unless it is part of the primary key."""
    return Column(name, Integer, primary_key=primary_key, autoincrement=False)


def decimal(name: str) -> Column[float]:
    """Return a nullable column of floating-point numbers."""
    return Column(name, Float)


def position(name: str = "position", *, primary_key: bool = False, index: bool = False) -> Column[int]:
    """Return a column for a position in the log."""
    return Column(name, BigInteger, primary_key=primary_key, index=index, autoincrement=False)


def flag(name: str) -> Column[bool]:
    """Return a nullable boolean column."""
    return Column(name, Boolean)


def document(name: str) -> Column[Any]:
    """Return a nullable JSON column."""
    return Column(name, _JSON)


def index(*columns: str) -> Index:
    """Return an index of several columns; a table has at most one that begins with each."""
    return Index(None, *columns)


def plain(value: Value | Fact) -> dict[str, Any]:
    """Return a value as JSON data; personal texts stay sealed, absent fields are left out."""
    return value.model_dump(mode="json", exclude_none=True)
