"""A harness of gateways on one store, with a clock that the test sets."""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from release_management.adapters.event_store import SQLiteEventLog
from release_management.adapters.executors.catalog import settings_checks
from release_management.adapters.system.clock import new_id
from release_management.domain.agenda import DueCommand, OutstandingOrder
from release_management.domain.registry import Registry
from release_management.kernel.record import Event, Recorded
from release_management.projections.agenda import changes
from release_management.runtime.data_directory import DataDirectory
from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.gateway.gateway import Gateway
from release_management.services.gateway.states import States
from release_management.services.ports import EventLog, Lease
from release_management.services.use_cases import declaration
from release_management.services.use_cases.preview import Preview

REGISTRY = Registry()
COMMAND = ["{python}", "-m", "http.server"]
PATIENCE = 20.0
on_both_stores = pytest.mark.parametrize("harness", ["sqlite", "postgres"], indirect=True)
"""For a test whose gateway harness is to be on SQLite and on PostgreSQL; elsewhere it is on SQLite."""


class SetClock:
    """The time is what the test says."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class GatewayHarness:
    """One store: a folder, or a database. `gateway` is the usual one; others may be opened on the same store."""

    def __init__(self, folder: Path, store: str | None = None) -> None:
        self.home = DataDirectory(folder, store)
        self.folder = folder
        self.clock = SetClock()
        self._numbers = count(1)
        self._ports: dict[str, int] = {}
        self._commands: dict[str, str] = {}
        self._gateways: list[Gateway] = []
        self._logs: list[EventLog] = []
        self.log = self.open_log()
        self.keyring = self.home.open_keyring()
        self.gateway = self.open_gateway(self.log)

    def open_log(self) -> EventLog:
        opened = self.home.open_log(REGISTRY)
        self._logs.append(opened)
        return opened

    def open_gateway(self, log: EventLog | None = None, lease: Lease | None = None) -> Gateway:
        """Another gateway; without `log` it has one of its own, as in another process."""
        opened = Gateway(log or self.open_log(), REGISTRY, self.keyring, self.clock, new_id, settings_checks(), lease)
        self._gateways.append(opened)
        return opened

    def envelope(self, command: str, data: dict[str, Any] | None = None, **attributes: Any) -> CommandEnvelope:
        default = {"sender": "test", "actor": "alice", "actorkind": "person", "actorauth": "asserted"}
        given = {"id": f"command-{next(self._numbers)}", **default, **attributes}
        self._commands[given["id"]] = command
        return CommandEnvelope(command=command, data=data or {}, **given)

    def ask(self, command: str, data: dict[str, Any] | None = None, **attributes: Any) -> Outcome:
        """Ask the usual gateway for something new."""
        return self.gateway.ask(self.envelope(command, data, **attributes)).result(PATIENCE)

    def do(self, command: str, data: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
        """Ask, and expect it to be accepted; the result."""
        outcome = self.ask(command, data, **attributes)
        assert outcome.status == "accepted", outcome.reason
        return dict(outcome.result)

    def preview(self, **params: Any) -> dict[str, Any]:
        """What a deployment would be, by the query."""
        return Preview(self.log, self.clock, settings_checks).ask(params, 0)

    def environment(self, name: str = "staging", **attributes: Any) -> None:
        port = self._ports.setdefault(name, 8080 + len(self._ports))
        target = {"name": "main", "components": {"web": {"command": COMMAND, "port": port}}}
        self.do("environment.configure", {"name": name, "targets": [target], **attributes})

    def release(self, version: str, application: str = "shop", **data: Any) -> str:
        created = {"application": application, "version": version, "components": [{"name": "web"}], **data}
        return str(self.do("release.create", created)["release"])

    def deploy(self, ref: str, environment: str = "staging", **data: Any) -> str:
        return str(self.do("deployment.deploy", {"release": ref, "environment": environment, **data})["deployment"])

    def report(self, deployment: str, step: int, result: str = "succeeded", attempt: int = 1, **data: Any) -> Outcome:
        """As an executor would."""
        content = {"deployment": deployment, "leg": "forward", "step": step, "attempt": attempt, "fence": 1}
        moment = self.clock.now().isoformat()
        return self.ask("deployment.report_step", content | {"result": result, "observedat": moment} | data)

    def carry_out(self, deployment: str) -> None:
        """Report every step of the forward leg as done."""
        while (started := self.facts(deployment, "step_started")) and not self.facts(deployment, "succeeded"):
            done = len(self.facts(deployment, "step_succeeded"))
            latest = started[-1]
            self.report(deployment, latest["step"], attempt=latest["attempt"])
            assert len(self.facts(deployment, "step_succeeded")) > done

    def walk(self, deployment: str) -> None:
        """Report every order as done, and end every pause, until it has succeeded."""
        while not self.facts(deployment, "succeeded"):
            done = {fact["step"] for fact in self.facts(deployment, "step_succeeded")}
            resumed = {fact["step"] for fact in self.facts(deployment, "resumed")}
            waiting = [fact for fact in self.facts(deployment, "paused") if fact["step"] not in resumed]
            orders = [fact for fact in self.facts(deployment, "step_started") if fact["step"] not in done]
            assert orders or waiting
            for order in orders:
                self.report(deployment, order["step"], attempt=order["attempt"])
            for pause in waiting:
                self.do("deployment.promote", {"deployment": deployment, "step": pause["step"]})

    def facts(self, deployment: str, name: str) -> list[dict[str, Any]]:
        stream = self.log.read_stream(f"deployment:{deployment}")
        return [self.data_of(one.record) for one in stream if one.name == f"deployment.{name}"]

    def data_of(self, record: bytes) -> dict[str, Any]:
        document = json.loads(record)
        beside = "dataref" in document
        data: dict[str, Any] = json.loads(self.log.content(document["dataref"])) if beside else document["data"]
        return data

    def records(self, name: str | None = None) -> list[dict[str, Any]]:
        """The whole log, or the records of one name."""
        read = [json.loads(one.record) for one in self.log.read(0, 10_000)]
        return [record for record in read if name in (None, record["type"])]

    def commands_that_set_going(self) -> set[str]:
        """The commands whose facts gave the workers something to do, other than to watch a deadline."""
        found = set()
        for recorded in self.log.read(0, 10_000):
            command = self._commands.get(json.loads(recorded.record)["commandid"])
            if command is not None and any(map(is_work, REGISTRY.read(recorded, self.log.content))):
                found.add(command)
        return found

    @contextlib.contextmanager
    def unwritable(self) -> Iterator[None]:
        """Somebody else holds what a writer of the log must hold, and does not let go meanwhile."""
        if self.home.store is not None:
            with psycopg.connect(self.home.store, autocommit=True) as other:
                other.execute("SELECT pg_advisory_lock(1919249517, 1)")
                yield
            return
        assert isinstance(self.log, SQLiteEventLog)
        self.log._database._writer.execute("PRAGMA busy_timeout = 50")
        with contextlib.closing(sqlite3.connect(self.folder / "log.db", isolation_level=None)) as another:
            another.execute("BEGIN IMMEDIATE")
            yield
            another.execute("ROLLBACK")

    def on_disk(self) -> bytes:
        """Every byte of the log's files, or of the tables that it has in a database."""
        if self.home.store is not None:
            with psycopg.connect(self.home.store) as session:
                tables = session.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'relman_log'").fetchall()
                copied = bytearray()
                for (table,) in tables:
                    with session.cursor().copy(f"COPY relman_log.{table} TO STDOUT (FORMAT BINARY)".encode()) as copy:
                        copied += b"".join(bytes(part) for part in copy)
            assert copied
            return bytes(copied)
        with sqlite3.connect(self.folder / "log.db") as connection:
            connection.execute("PRAGMA wal_checkpoint(FULL)")
        connection.close()
        return b"".join(path.read_bytes() for path in sorted(self.folder.glob("log.db*")))

    def close(self) -> None:
        for gateway in self._gateways:
            gateway.close()
        for log in self._logs:
            log.close()
        self.keyring.close()


def is_work(event: Event) -> bool:
    """Return True if the agenda holds an order, or a command that is no deadline, because of this event."""
    items = changes(event).items.values()
    return any(
        isinstance(item, OutstandingOrder)
        or (isinstance(item, DueCommand) and not declaration(item.command).IS_DEADLINE)
        for item in items
    )


class Follower:
    """Reads the log as it grows, and has the states of its streams as they are by then."""

    def __init__(self, harness: GatewayHarness) -> None:
        self.harness = harness
        self._read = harness.log.last_position()
        self._states = States(harness.log, REGISTRY)

    def news(self) -> list[Recorded]:
        """The records since the last time."""
        new = self.harness.log.read(self._read, 10_000)
        self._states.forget([recorded.stream for recorded in new])
        self._read = new[-1].position if new else self._read
        return new

    def state(self, stream: str) -> Any:
        folded = self._states.load(stream)
        self._states.remember({stream: folded})
        return folded[1]


def occupied(harness: GatewayHarness) -> threading.Event:
    """Keep the gateway busy with one command until the event is set, so that what follows is one batch."""
    go_on = threading.Event()
    inside = threading.Event()
    real = harness.keyring.find_actor

    def slow(name: str, kind: str) -> str | None:
        if name == "sloth":
            inside.set()
            assert go_on.wait(PATIENCE)
        return real(name, kind)

    vars(harness.keyring)["find_actor"] = slow
    harness.gateway.ask(harness.envelope("environment.configure", {"name": "slow"}, actor="sloth"))
    assert inside.wait(PATIENCE)
    return go_on
