"""The stores that the contract suite runs on."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from release_management.adapters.event_store import SQLiteEventLog
from release_management.adapters.event_store.postgres import PostgresEventLog
from release_management.services.ports import EventLog

ROOT = Path(__file__).parents[2]


def every_kind(name: str, schema_version: int) -> bool:
    return True


def open_log(backend: str, where: str, known: Callable[[str, int], bool] = every_kind) -> EventLog:
    if backend == "postgres":
        return PostgresEventLog.open(where, known)
    return SQLiteEventLog.open(where, known)


@dataclass
class Store:
    """One store of one backend, which may be opened many times, here and in other processes."""

    backend: str
    where: str
    forget: Callable[[str], None] | None = None
    _opened: list[EventLog] = field(default_factory=list)
    _children: list[subprocess.Popen[str]] = field(default_factory=list)

    def open(self, known: Callable[[str, int], bool] = every_kind) -> EventLog:
        log = open_log(self.backend, self.where, known)
        self._opened.append(log)
        return log

    def child(self, task: str, *arguments: object) -> subprocess.Popen[str]:
        """Start a task of `tests.contract.child` on this store in another process."""
        child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.contract.child",
                task,
                self.backend,
                self.where,
                *map(str, arguments),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._children.append(child)
        return child

    def tamper(self, statement: str) -> None:
        """Change the store behind the log's back."""
        if self.backend == "postgres":
            with psycopg.connect(self.where, options="-c search_path=relman_log") as session:
                session.execute(statement.replace("AS BLOB", "AS bytea").encode())
            return
        connection = sqlite3.connect(self.where)
        with connection:
            connection.execute(statement)
        connection.close()

    def close(self) -> None:
        for child in self._children:
            child.kill()
            child.communicate()
        for log in self._opened:
            log.close()
        if self.forget is not None:
            self.forget(self.where)
            self.forget = None
