"""The configuration that we print for a server of somebody else's is one that the real server takes, and works."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from release_management.adapters.nats.access.configuration import configuration, variable
from release_management.adapters.nats.access.permissions import users
from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.connection import connect
from release_management.adapters.nats.dead_letters.store import DeadLetters
from release_management.adapters.nats.embedded.server import find_binary
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.commands import CommandService
from release_management.services.ports.bus import BusAwayError
from tests.adapters.nats.fakes import (
    FakeGateway,
    FakeKeyring,
    envelope,
    running,
)

CLIENTS = ["ci", "mobile-team"]


def environment(executors: list[str]) -> dict[str, str]:
    passwords = {variable(user): f"secret-of-{user}" for user in (*users(executors, CLIENTS), "route")}
    routes = "[nats://route:secret-of-route@127.0.0.1:1]"
    return {**os.environ, **passwords, "RELMAN_NATS_SERVER": "one", "RELMAN_NATS_ROUTES": routes}


@pytest.mark.parametrize("cluster", [False, True])
@pytest.mark.parametrize("executors", [["command", "local"], ["edge", "far-away"]])
def test_the_server_takes_it(tmp_path: Path, cluster: bool, executors: list[str]) -> None:
    file = tmp_path / "nats-server.conf"
    file.write_text(configuration(executors, CLIENTS, cluster=cluster))
    told = environment(executors)

    check = subprocess.run([find_binary(), "-t", "-c", file], env=told, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stderr

    of_the_cluster = {variable("route"), "RELMAN_NATS_SERVER", "RELMAN_NATS_ROUTES"}
    for missing in sorted(told.keys() - os.environ.keys() - (set() if cluster else of_the_cluster)):
        less = {name: value for name, value in told.items() if name != missing}
        check = subprocess.run([find_binary(), "-t", "-c", file], env=less, capture_output=True, text=True, check=False)
        assert check.returncode != 0
        assert missing in check.stderr


@contextlib.contextmanager
def running_server(tmp_path: Path) -> Iterator[int]:
    file = tmp_path / "nats-server.conf"
    file.write_text(
        configuration(["command", "local"], clients=CLIENTS)
        .replace('"/data"', f'"{tmp_path}"')
        .replace("127.0.0.1:8222", "127.0.0.1:-1")
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    command = [str(find_binary()), "-c", str(file), "-a", "127.0.0.1", "-p", str(port), "-l", str(tmp_path / "log")]
    with subprocess.Popen(command, env=environment(["command", "local"])) as server:
        try:
            give_up = time.monotonic() + 10
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert time.monotonic() < give_up
                time.sleep(0.01)
            yield port
        finally:
            server.terminate()


async def test_a_server_that_is_configured_so_serves_and_guards(tmp_path: Path) -> None:
    with running_server(tmp_path) as port:
        url = f"nats://{{0}}:secret-of-{{0}}@127.0.0.1:{port}"
        gateway = await connect(url.format("gateway"), "test")
        await streams.ensure_streams(gateway.jetstream())
        commands = CommandService(gateway, FakeGateway(), DeadLetters(gateway, FakeKeyring()))
        async with running(commands.run(), commands.ready), BusClient(url.format("client")) as client:
            assert (await client.ask(envelope())).status == "accepted"
            async with BusClient(url.format("client-mobile-team")) as named:
                assert (await named.ask(envelope())).sender == "client:mobile-team:ci"
        await gateway.close()
        with pytest.raises(BusAwayError):
            await connect(url.format("client").replace("secret", "wrong"), "test", timeout=0.3)
