"""The servers under the roles: killed with -9, and restarted."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psutil

from release_management.adapters.nats.embedded.server import NatsServer
from tests.servers.nats_cluster import NODES, NatsCluster
from tests.servers.postgres import PostgresServer

STREAMS = ("RELMAN_COMMANDS", "RELMAN_REPORTS", "RELMAN_EVENTS", "RELMAN_ORDERS")


class Server(Protocol):
    """One server, or several that act as one."""

    def start(self) -> None:
        """Start it unless it runs."""
        ...

    def kill(self, *, whole: bool) -> int:
        """Kill -9 all of it, or the part that hurts most. Return how many live servers were killed."""
        ...

    def stop(self) -> None:
        """End it for good."""
        ...


class Bus(Server, Protocol):
    """A message bus; `urls` holds every user's address."""

    @property
    def urls(self) -> Mapping[str, str]:
        """Return the URLs by user."""
        ...


class SingleBus:
    """One nats-server, whose data lies in the installation's folder."""

    def __init__(self, folder: Path) -> None:
        self._server = NatsServer(folder)

    @property
    def urls(self) -> Mapping[str, str]:
        """Return the URL by user."""
        return self._server.urls

    def start(self) -> None:
        """Start it unless it runs; memory of a killed one is not kept, as when `relman up` restarts it."""
        if not self._server.alive:
            self._server.stop()
        self._server.start()

    def kill(self, *, whole: bool) -> int:
        """Kill it with -9."""
        if (pid := self._server.pid) is None:
            return 0
        os.kill(pid, signal.SIGKILL)
        while self._server.alive:
            time.sleep(0.001)
        return 1

    def stop(self) -> None:
        """End it."""
        self._server.stop()


class ClusterBus:
    """Three nats-servers. The worst loss is that of a stream's leader; `leaders` counts which."""

    def __init__(self, chance: random.Random) -> None:
        self._cluster = NatsCluster()
        self._chance = chance
        self._away: set[str] = set(NODES)
        self.leaders: Counter[str] = Counter()

    @property
    def urls(self) -> Mapping[str, str]:
        """Return, by user, the URLs of all three."""
        return self._cluster.urls

    def start(self) -> None:
        """Start those that do not run."""
        self._cluster.restart_all()
        self._away.clear()

    def kill(self, *, whole: bool) -> int:
        """Kill all three, or a stream's leader while the other two run: none while one is away or none leads."""
        if whole:
            chosen = [node for node in NODES if node not in self._away]
        elif self._away:
            chosen = []
        else:
            leaders = asyncio.run(self._led())
            leader = leaders.get(self._chance.choice(STREAMS))
            chosen = [leader] if leader is not None else []
            self.leaders.update(stream for stream, node in leaders.items() if node in chosen)
        for node in chosen:
            self._cluster.kill(node)
            self._away.add(node)
        return len(chosen)

    def stop(self) -> None:
        """End all three."""
        self._cluster.stop()

    async def _led(self) -> dict[str, str | None]:
        """Return the server that leads each stream."""
        nodes = await asyncio.gather(*(self._cluster.leader(stream) for stream in STREAMS))
        return dict(zip(STREAMS, nodes, strict=True))


class Database:
    """A PostgreSQL server, killed as by a power cut, or now and then stopped in order (`stopped_in_order` times)."""

    def __init__(self, chance: random.Random) -> None:
        self._server = PostgresServer()
        self._server.start()
        self._chance = chance
        self.url = self._server.new_database()
        self.stopped_in_order = 0

    def start(self) -> None:
        """Start it unless it runs."""
        self._server.start()

    def kill(self, *, whole: bool) -> int:
        """Kill it with -9; or now and then stop it in order, which ends all connections too, and is no kill."""
        if not self._runs():
            return 0
        if whole or self._chance.random() < 0.7:
            self._server.kill()
            return 1
        self._server.stop()
        self.stopped_in_order += 1
        return 0

    def stop(self) -> None:
        """End it, and remove its data."""
        self._server.close()

    def _runs(self) -> bool:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self._server.pid).status() != psutil.STATUS_ZOMBIE
        return False
