"""Whoever takes all records over the bus gets all of them, or is told which are missing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from release_management import ReleaseManager
from release_management.adapters.nats.client import NotReachableError
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.events import NatsEventStream
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.requests.queries import QueryService
from release_management.kernel.record import Recorded
from release_management.runtime import remote as module
from release_management.runtime.remote import MissingRecordsError, RemoteInstallation
from release_management.services.paging.pages import Page
from tests.adapters.nats.fakes import (
    Bus,
    FakeLog,
    connected,
    running,
)

LOG = FakeLog(6)


async def position(_: str, __: dict[str, Any], ___: int) -> Page:
    return Page([{"position": 6}])


@contextlib.asynccontextmanager
async def published(server: NatsServer, count: int) -> AsyncIterator[Bus]:
    """The first records are on the bus; the projections have six."""
    async with connected(server) as bus:
        await NatsEventStream(bus.events, "store").publish(LOG.records[:count])
        queries = QueryService(bus.connection, position)
        async with running(queries.run(), queries.ready):
            yield bus


async def taken(url: str, after: int = 0, folder: Path | None = None) -> list[Recorded]:
    def take() -> list[Recorded]:
        with contextlib.closing(RemoteInstallation(url, folder)) as client:
            return list(client.records(after, follow=False))

    return await asyncio.to_thread(take)


async def test_all_that_the_projections_have_is_taken(server: NatsServer) -> None:
    async with published(server, 6):
        assert await taken(server.url) == LOG.records
        assert await taken(server.url, after=4) == LOG.records[4:]
        assert await taken(server.url, after=6) == []


async def test_records_that_have_aged_out_are_named_not_passed_over(server: NatsServer) -> None:
    async with published(server, 6) as bus:
        await bus.events.jetstream().purge_stream(streams.EVENTS, seq=4)
        with pytest.raises(MissingRecordsError, match=r"records 1 to 3 any more; .* --data FOLDER"):
            await taken(server.url)
        assert await taken(server.url, after=3) == LOG.records[3:]


async def test_a_record_that_was_removed_in_between_is_named(server: NatsServer) -> None:
    async with published(server, 6) as bus:
        await bus.events.jetstream().delete_msg(streams.EVENTS, 3)
        with pytest.raises(MissingRecordsError, match="records 3 to 3 any more"):
            await taken(server.url)


async def test_a_relay_that_is_behind_is_not_waited_for_without_end(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROGRESS_SECONDS", 0.3)
    async with published(server, 4):
        with pytest.raises(NotReachableError, match="nothing after position 4, though there are records up to 6"):
            await taken(server.url)


async def test_a_local_log_is_read_without_the_bus(server: NatsServer, tmp_path: Path) -> None:
    with ReleaseManager(data=str(tmp_path)) as manager:
        manager.create_release("1.0.0", ["web"])
        there = list(manager._backend.records(0, follow=False))
    assert there
    assert await taken(server.url, folder=tmp_path) == there
