"""A JetStream whose storage is used up, by its configuration: a real server says so, and goes on when there is more."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release_management.adapters.nats.connection import NatsConnection, connect
from release_management.adapters.nats.embedded.server import find_binary
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.publishing import publish, publish_together
from release_management.services.ports.bus import BusError, BusFullError

KIBIBYTE = 1024
ALL = (*streams.WORK, streams.EVENTS)
Settings = dict[str, dict[str, Any]]
FEW: Settings = {"jetstream": {"max_file_store": 1_000 * KIBIBYTE}}
ENOUGH: Settings = {"jetstream": {"max_file_store": 3_000 * KIBIBYTE}}
FEW_FOR_US: Settings = {
    "jetstream": {"max_file_store": 3_000 * KIBIBYTE},
    "accounts": {"US": {"jetstream": {"max_file": 1_000 * KIBIBYTE}, "users": [{"user": "us", "password": "us"}]}},
}


class PlainServer:
    """A nats-server of somebody else's, with a storage limit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, settings: Settings) -> str:
        """Start it, or start it again, with these settings; its URL."""
        self.stop()
        jetstream = {"store_dir": str(self._folder), **settings["jetstream"]}
        file = self._folder / "server.conf"
        file.write_text(json.dumps({"listen": f"127.0.0.1:{self._port}", **settings, "jetstream": jetstream}))
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen([find_binary(), "-c", file], stdout=log, stderr=log)
        give_up = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
                return f"nats://us:us@127.0.0.1:{self._port}"
            except OSError:
                assert time.monotonic() < give_up, (self._folder / "server.log").read_text()
                time.sleep(0.01)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlainServer]:
    monkeypatch.setattr(streams, "MEBIBYTE", KIBIBYTE)  # streams that are quickly filled
    made = PlainServer(tmp_path)
    yield made
    made.stop()


@pytest.mark.parametrize("settings", [FEW, FEW_FOR_US], ids=["the server's limit", "the account's limit"])
async def test_streams_that_find_no_room_are_made_once_there_is_some(plain: PlainServer, settings: Settings) -> None:
    connection = await connect(plain.start(settings), "test")
    with pytest.raises(BusFullError, match=r"the bus has no room left .* give its JetStream more storage"):
        await streams.ensure_streams(connection.jetstream(), 1, ALL)
    await connection.close()

    connection = await connect(plain.start(ENOUGH), "test")
    await streams.ensure_streams(connection.jetstream(), 1, ALL)
    assert await publish(connection, "relman.commands.release.create", b"1", {}) == 1
    await connection.close()


async def test_storage_that_others_have_used_up_is_busy_until_they_give_it_back(plain: PlainServer) -> None:
    connection = await connect(plain.start(ENOUGH), "test")
    js = connection.jetstream()
    await streams.ensure_streams(js, 1, ALL)
    await js.add_stream(name="OTHERS", subjects=["others"])
    assert "no room left" in await fill_up(connection, "others")

    with pytest.raises(BusFullError, match="no room left"):
        await publish(connection, "relman.commands.release.create", b"1", {})
    with pytest.raises(BusFullError, match="no room left"):
        await publish_together(connection, [("relman.events.a", b"1", {}), ("relman.events.b", b"2", {})])
    assert (await js.stream_info(streams.EVENTS)).state.last_seq == 0, "a batch is stored whole or not at all"

    await js.purge_stream("OTHERS")
    assert await publish(connection, "relman.commands.release.create", b"1", {}) == 1
    await publish_together(connection, [("relman.events.a", b"1", {}), ("relman.events.b", b"2", {})])
    assert (await js.stream_info(streams.EVENTS)).state.last_seq == 2
    await connection.close()


async def fill_up(connection: NatsConnection, subject: str) -> str:
    for _ in range(100):
        try:
            await publish(connection, subject, os.urandom(50_000), {})
        except BusError as error:
            return str(error)
    raise AssertionError("everything was taken")
