"""Statements on the tables of a store on SQLite that more than one module needs."""

import sqlite3
from collections.abc import Iterable, Mapping

from release_management.adapters.event_store.rows import EventRow


def last_position(connection: sqlite3.Connection) -> int:
    """Return the newest position, or 0."""
    position: int
    (position,) = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
    return position


def lease_number(connection: sqlite3.Connection, role: str) -> int:
    """Return the number of a role's newest holder, or 0."""
    row = connection.execute("SELECT number FROM leases WHERE role = ?", (role,)).fetchone()
    return row[0] if row else 0


def add_events(connection: sqlite3.Connection, rows: Iterable[EventRow]) -> None:
    """Write records inside the caller's transaction."""
    connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows)


def add_contents(connection: sqlite3.Connection, contents: Mapping[str, bytes]) -> None:
    """Write contents beside records, by `dataref`; existing ones stay."""
    connection.executemany("INSERT OR IGNORE INTO contents VALUES (?, ?)", contents.items())


def add_kinds(connection: sqlite3.Connection, kinds: Iterable[tuple[str, int]]) -> None:
    """Record that the store has records of these names and schema versions."""
    connection.executemany("INSERT OR IGNORE INTO kinds VALUES (?, ?)", kinds)
