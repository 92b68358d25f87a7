"""The peer: the unmodified `eventsourcing` library, with its own application, aggregate, recorder and projection."""

import os
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError, Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.sqlite import SQLiteTrackingRecorder
from psycopg.sql import SQL, Identifier

AGGREGATES = 320
PAGE = 500
CACHING = {"AGGREGATE_CACHE_MAXSIZE": str(AGGREGATES), "AGGREGATE_CACHE_FASTFORWARD": "n"}


class Block(Aggregate):
    """A release that can be blocked and unblocked, written as the library's users do."""

    def __init__(self, ref: str) -> None:
        self.ref = ref
        self.blocked = False

    @event("Blocked")
    def block(self, reason: str) -> None:
        """Forbid further deployments."""
        self.blocked = True

    @event("Unblocked")
    def unblock(self) -> None:
        """Lift the block."""
        self.blocked = False


class Library:
    """The library's application on its own store; callers take its aggregates in turn.

    With `caching` it keeps its aggregates, and does not check for newer events: no other process may write them.
    """

    def __init__(self, settings: Mapping[str, str], *, caching: bool = False) -> None:
        self.settings = dict(settings) | (CACHING if caching else {})
        self._app: Application[UUID] = Application(self.settings)
        blocks = [Block(f"default@{number}.0.0") for number in range(AGGREGATES)]
        self._app.save(*blocks)
        self._ids = [block.id for block in blocks]

    def command(self, turn: int) -> None:
        """Load an aggregate, decide, save; retry if another caller was faster, as our gateway does."""
        while True:
            block: Block = self._app.repository.get(self._ids[turn % AGGREGATES])
            _toggle(block)
            try:
                self._app.save(block)
                return
            except IntegrityError:
                continue

    def fill(self, events: int) -> None:
        """Store this many events, many in one save."""
        blocks: list[Block] = [self._app.repository.get(id) for id in self._ids]
        for turn in range(AGGREGATES, events):
            _toggle(blocks[turn % AGGREGATES])
        for block in blocks:
            self._app.save(block)

    def replay(self) -> int:
        """Read everything as typed events; return their number."""
        count = 0
        while page := self._app.recorder.select_notifications(count + 1, PAGE):
            for notification in page:
                self._app.mapper.to_domain_event(notification)
            count += len(page)
        return count

    def project(self, name: str, events: int) -> None:
        """Have the library's own runner build a view of everything. Raises `NotImplementedError` on SQLite."""
        on_postgres = "POSTGRES_DBNAME" in self.settings
        view = type(name, (BlockView if on_postgres else SQLiteTrackingRecorder,), {})
        projection = type(name, (BlockProjection,), {"name": name})
        with ProjectionRunner(
            application_class=Application, projection_class=projection, view_class=view, env=self.settings
        ) as runner:
            runner.wait(events, timeout=600)

    def close(self) -> None:
        """Close the store."""
        self._app.close()


def _toggle(block: Block) -> None:
    if block.blocked:
        block.unblock()
    else:
        block.block("bench")


class BlockView(PostgresTrackingRecorder):
    """The blocked releases, in a table beside the library's own record of the position."""

    def __init__(self, datastore: Any, **names: Any) -> None:
        super().__init__(datastore, **names)
        self._blocks = Identifier(self.datastore.schema), Identifier(f"{self.tracking_table_name}_blocks")
        self.sql_create_statements.append(
            SQL("CREATE TABLE IF NOT EXISTS {}.{} (id uuid PRIMARY KEY, ref text, blocked boolean)").format(
                *self._blocks
            )
        )
        self._put = SQL(
            "INSERT INTO {}.{} VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE SET blocked = excluded.blocked"
        ).format(*self._blocks)

    def put(self, id: UUID, ref: str | None, blocked: bool, tracking: Tracking) -> None:
        """Write a row and the position in one transaction."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(self._put, (id, ref, blocked))


class BlockProjection(Projection[BlockView]):
    """The library's counterpart of our projection `releases`."""

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Fold one event."""
        blocked = type(domain_event).__name__ == "Blocked"
        self.view.put(domain_event.originator_id, getattr(domain_event, "ref", None), blocked, tracking)


def cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
