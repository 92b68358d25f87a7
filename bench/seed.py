"""Write long histories straight into the store: valid records, as the gateway would have made them."""

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg

from bench.conditions import Store
from release_management.adapters.system.clock import new_id
from release_management.domain.component import Component
from release_management.domain.environment import ApprovalRule, EnvironmentConfigured
from release_management.domain.place_events import (
    PlaceLocked,
    PlacePromoted,
    PlaceSlotProvisioned,
    PlaceTrafficObserved,
    PlaceUnlocked,
    PlaceVersionSucceeded,
)
from release_management.domain.release import ReleaseBlocked, ReleaseUnblocked
from release_management.kernel.record import Envelope, encode
from release_management.kernel.types import Fact, Personal

ACTOR = "usr_bench0000000"
SEALED = "s1." + 40 * "A"
TIME = "2026-01-05T09:30:00.000000Z"
TOGGLES = 40


class Stamp:
    """Makes records of one fact quickly: the first is encoded, the others differ in id, stream and version."""

    def __init__(self, source: str, fact: Fact) -> None:
        self.name = fact.NAME
        envelope = Envelope(
            id="@id@",
            source=source,
            type=fact.NAME,
            subject="@subject@",
            time=TIME,
            streamversion=1_000_000_007,
            schemaversion=fact.VERSION,
            actor=ACTOR,
            actorkind="person",
            actorauth="asserted",
            commandid="seed",
        )
        text = encode(envelope, fact).decode().replace("%", "%%")
        self._form = text.replace("@id@", "%s").replace("@subject@", "%s").replace("1000000007", "%d")

    def record(self, stream: str, version: int) -> bytes:
        """Return the record's bytes."""
        return (self._form % (new_id(), stream, version)).encode()


def environment(source: str, name: str, after: int, events: int) -> Iterator[tuple[str, int, str, bytes]]:
    """Yield records that configure the same environment again and again."""
    facts = [
        EnvironmentConfigured(
            name=name, label=label, tier="staging", order=0, approval=ApprovalRule(required=0), variables={}
        )
        for label in ("one", "two")
    ]
    stamps = [Stamp(source, fact) for fact in facts]
    stream = f"environment:{name}"
    for version in range(after + 1, after + events + 1):
        stamp = stamps[version % 2]
        yield stream, version, stamp.name, stamp.record(stream, version)


def place(source: str, environment: str, after: int, deployments: int) -> Iterator[tuple[str, int, str, bytes]]:
    """Yield records of deployments that succeed at a place one after the other."""
    stream = f"place:{environment}/shop/main"
    versions = itertools.count(after + 1)
    for number in range(deployments):
        for fact in _deployed(number):
            version = next(versions)
            yield stream, version, fact.NAME, Stamp(source, fact).record(stream, version)


def _deployed(number: int) -> Sequence[Fact]:
    id, slot = new_id(), ("blue", "green")[number % 2]
    content = Component(name="web", version=f"0.0.{number}", artifact_digest="0" * 64, config_digest="0" * 64)
    at: dict[str, Any] = {"deployment": id, "component": "web"}
    return (
        PlaceLocked(deployment=id),
        PlaceSlotProvisioned(**at, slot=slot, content=content, replicas=1),
        PlaceTrafficObserved(**at, weights={slot: 100}, observedat=TIME),
        PlacePromoted(**at, slot=slot),
        PlaceVersionSucceeded(deployment=id, version=f"0.0.{number}"),
        PlaceUnlocked(deployment=id),
    )


def releases(source: str, events: int) -> Iterator[tuple[str, int, str, bytes]]:
    """Yield records of other releases, blocked and unblocked."""
    stamps = [
        Stamp(
            source, ReleaseBlocked(reason=Personal(subject=ACTOR, sealed="s1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
        ),
        Stamp(source, ReleaseUnblocked()),
    ]
    for index in range(events):
        stream, version = f"release:other@{index // TOGGLES}.0.0", index % TOGGLES + 1
        stamp = stamps[version % 2]
        yield stream, version, stamp.name, stamp.record(stream, version)


def write(store: Store, rows: Iterable[tuple[str, int, str, bytes]]) -> int:
    """Append all rows in one transaction; return their number. No other process may write meanwhile."""
    return _to_sqlite(store, rows) if store.ours is None else _to_postgres(store.ours, rows)


def _to_sqlite(store: Store, rows: Iterable[tuple[str, int, str, bytes]]) -> int:
    connection = sqlite3.connect(store.home.folder / "log.db", isolation_level=None)
    try:
        connection.execute("PRAGMA cache_size = -200000")
        ((last,),) = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchall()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
            ((position, *row) for position, row in enumerate(rows, last + 1)),
        )
        connection.execute("INSERT OR IGNORE INTO kinds SELECT DISTINCT name, 1 FROM events")
        connection.execute("COMMIT")
        ((newest,),) = connection.execute("SELECT max(position) FROM events").fetchall()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(newest) - int(last)
    finally:
        connection.close()


def _to_postgres(url: str, rows: Iterable[tuple[str, int, str, bytes]]) -> int:
    with psycopg.connect(url) as connection:
        ((last,),) = connection.execute("SELECT coalesce(max(position), 0) FROM relman_log.events").fetchall()
        names = set()
        position = last
        columns = "relman_log.events (position, stream_id, version, name, record)"
        with connection.cursor().copy(f"COPY {columns} FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "text", "int8", "text", "bytea"])
            for position, row in enumerate(rows, last + 1):
                names.add(row[2])
                copy.write_row((position, *row))
        connection.cursor().executemany(
            "INSERT INTO relman_log.kinds VALUES (%s, 1) ON CONFLICT DO NOTHING", [(name,) for name in names]
        )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE relman_log.events")
    return int(position - last)
