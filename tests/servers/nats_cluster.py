"""A cluster of three nats-servers on 127.0.0.1, configured as `relman nats-config --cluster` prints it."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from release_management.adapters.nats.access.configuration import configuration, variable
from release_management.adapters.nats.access.permissions import users
from release_management.adapters.nats.connection import connect
from release_management.adapters.nats.embedded.server import find_binary
from release_management.adapters.nats.queues.streams import EVENTS
from release_management.adapters.nats.wire.error_mapping import AWAY
from release_management.services.ports.bus import BusAwayError

NODES = ("one", "two", "three")
START_SECONDS = 30.0


class NatsCluster:
    """Three servers, each a process with a folder of its own. `urls` holds every user's address of all three."""

    def __init__(self, folder: Path | None = None, executors: Iterable[str] = ("command", "local")) -> None:
        """`folder`: where they keep their data; else a temporary one that `stop` removes."""
        self._executors = list(executors)
        self._temporary = tempfile.mkdtemp(prefix="nats-cluster-") if folder is None else None
        self._folder = folder or Path(str(self._temporary))
        with ExitStack() as stack:
            probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2 * len(NODES))]
            ports = [int(probe.getsockname()[1]) for probe in probes]
        self._ports = dict(zip(NODES, ports[: len(NODES)], strict=True))
        self._routes = dict(zip(NODES, ports[len(NODES) :], strict=True))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def urls(self) -> Mapping[str, str]:
        """User → the addresses of all servers, with commas between them."""
        return {
            user: ",".join(f"nats://{user}:{_password(user)}@127.0.0.1:{port}" for port in self._ports.values())
            for user in users(self._executors)
        }

    def start(self) -> None:
        """Start all of them and wait until they have a leader among them."""
        for node in NODES:
            self._spawn(node)
        self.await_leader()

    def await_leader(self) -> None:
        """Wait until streams can be made and used."""
        asyncio.run(self._until_it_answers())

    def kill(self, node: str) -> None:
        """With -9."""
        process = self._processes.pop(node)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def restart(self, node: str) -> None:
        """Start a server that was killed."""
        if node not in self._processes:
            self._spawn(node)

    def restart_all(self) -> None:
        """Start those that were killed."""
        for node in NODES:
            self.restart(node)

    async def leader(self, stream: str) -> str | None:
        """The server that leads a stream; None while they are choosing one."""
        info = await self._info(stream)
        found: str | None = info.get("cluster", {}).get("leader")
        return found

    async def healthy(self, stream: str) -> bool:
        """Return True if a stream has a leader, and all of its replicas are current."""
        cluster = (await self._info(stream)).get("cluster", {})
        replicas: Sequence[dict[str, Any]] = cluster.get("replicas") or ()
        return bool(cluster.get("leader")) and len(replicas) == 2 and all(each.get("current") for each in replicas)

    def stop(self) -> None:
        """End all of them, and remove the temporary folder."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _spawn(self, node: str) -> None:
        room = self._folder / node
        room.mkdir(parents=True, exist_ok=True)
        file = room / "server.conf"
        text = configuration(self._executors, cluster=True)
        text = text.replace('http: "127.0.0.1:8222"', "").replace('"/data"', json.dumps(str(room)))
        file.write_text(text.replace('"0.0.0.0:6222"', f'"127.0.0.1:{self._routes[node]}"'))
        others = [f"nats://route:{_password('route')}@127.0.0.1:{self._routes[each]}" for each in NODES if each != node]
        passwords = {variable(user): _password(user) for user in (*users(self._executors), "route")}
        place = {"RELMAN_NATS_SERVER": node, "RELMAN_NATS_ROUTES": f"[{', '.join(others)}]"}
        command = [str(find_binary()), "-c", str(file), "-a", "127.0.0.1", "-p", str(self._ports[node])]
        self._processes[node] = subprocess.Popen(
            [*command, "-l", str(room / "server.log")], env={**os.environ, **passwords, **place}
        )

    async def _until_it_answers(self) -> None:
        give_up = time.monotonic() + START_SECONDS
        while True:
            with suppress(BusAwayError, *AWAY):
                connection = await connect(self.urls["gateway"], "cluster", timeout=2.0)
                try:
                    await connection.jetstream(timeout=2.0).account_info()
                    return
                finally:
                    await connection.close()
            assert time.monotonic() < give_up, "the cluster has found no leader"
            await asyncio.sleep(0.1)

    async def _info(self, stream: str) -> dict[str, Any]:
        with suppress(BusAwayError, *AWAY):
            user = "relay" if stream == EVENTS else "gateway"
            connection = await connect(self.urls[user], "cluster", timeout=2.0)
            try:
                reply = await connection.request(f"$JS.API.STREAM.INFO.{stream}", b"", timeout=2.0)
                info: dict[str, Any] = json.loads(reply.data)
                return info
            finally:
                await connection.close()
        return {}


def _password(user: str) -> str:
    return f"secret-of-{user}"
