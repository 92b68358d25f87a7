"""Lanes: requests of one kind share a number of slots, so that a flood of one kind starves no other kind.

In a lane the clients take turns, and the connections of a client do, so that no client's flood starves the others. A
request that has waited longer than its sender's patience is dropped unanswered: nobody would read the answer, and
working on it would delay the next one as well.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from release_management.services import telemetry

MOST_WAITING = 512
MOST_WAITING_BYTES = 16 * 1024**2
MOST_BYTES = 64 * 1024**2
REMEMBERED_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Asker:
    """The sender of a request: a client of the bus, on one of its connections."""

    client: str = ""
    connection: str = ""


@dataclass(frozen=True, slots=True)
class LaneRequest:
    """A request in a lane. `expires` is when its sender stops waiting, on the lane's clock."""

    asker: Asker
    size: int
    expires: float
    work: Callable[[], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class _Line:
    """The requests of one connection: waiting in order, or in work."""

    waiting: deque[LaneRequest] = field(default_factory=deque)
    waiting_bytes: int = 0
    working: int = 0

    def pop(self) -> LaneRequest:
        request = self.waiting.popleft()
        self.waiting_bytes -= request.size
        return request


@dataclass(slots=True)
class _Client:
    """The connections of one client, the one whose turn is next first."""

    lines: dict[str, _Line] = field(default_factory=dict)
    working: int = 0


class Lane:
    """Works on at most `at_once` requests at a time, `of_client` of one client, `of_connection` of one connection.

    A request that does not fit into its connection's line (512 requests, 16 MiB) is dropped, and so is the end of the
    longest line while all lines together have more than 64 MiB. If the requests only read (`reads`), one in work is
    abandoned as well when its sender stops waiting.
    """

    def __init__(
        self,
        name: str,
        at_once: int,
        *,
        of_client: int | None = None,
        of_connection: int | None = None,
        reads: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._at_once = at_once
        self._of_client = of_client or at_once
        self._of_connection = of_connection or self._of_client
        self._reads = reads
        self._monotonic = monotonic
        self._clients: dict[str, _Client] = {}
        self._bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._dropped = 0
        self._dropped_at = 0.0

    def take(self, request: LaneRequest) -> None:
        """Put a request into its line, or drop it if the line is full."""
        client = self._clients.setdefault(request.asker.client, _Client())
        line = client.lines.setdefault(request.asker.connection, _Line())
        self._drop_expired(line)
        if len(line.waiting) >= MOST_WAITING or line.waiting_bytes + request.size > MOST_WAITING_BYTES:
            self._drop("full")
            return
        line.waiting.append(request)
        line.waiting_bytes += request.size
        self._bytes += request.size
        while self._bytes > MOST_BYTES:
            self._cut_longest()
        self._begin()

    @property
    def pressure(self) -> str | None:
        """A warning if requests were dropped in the last half minute, else None."""
        if not self._dropped or self._monotonic() - self._dropped_at > REMEMBERED_SECONDS:
            self._dropped = 0
            return None
        return f"{self._dropped:,} requests were dropped unanswered: more were asked than can be answered in time"

    async def close(self, grace: float) -> None:
        """Drop waiting requests; give those in work `grace` seconds, then cancel them."""
        self._clients = {name: client for name, client in self._clients.items() if client.working}
        for client in self._clients.values():
            for line in client.lines.values():
                line.waiting.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in self._tasks:
            task.cancel()

    def _begin(self) -> None:
        while len(self._tasks) < self._at_once and (request := self._next()) is not None:
            client = self._clients[request.asker.client]
            line = client.lines[request.asker.connection]
            client.working += 1
            line.working += 1
            task = asyncio.create_task(self._work(request))
            self._tasks.add(task)
            task.add_done_callback(partial(self._end, request.asker))

    async def _work(self, request: LaneRequest) -> None:
        try:
            async with asyncio.timeout(request.expires - self._monotonic() if self._reads else None):
                await request.work()
        except TimeoutError:
            self._drop("expired")

    def _end(self, asker: Asker, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        client = self._clients[asker.client]
        client.working -= 1
        client.lines[asker.connection].working -= 1
        self._pass_turn(asker)
        self._begin()
        self._forget(asker)

    def _forget(self, asker: Asker) -> None:
        """Delete the empty lines of a sender."""
        if (client := self._clients.get(asker.client)) is None:
            return
        line = client.lines.get(asker.connection)
        if line is not None and not line.waiting and not line.working:
            del client.lines[asker.connection]
        if not client.lines:
            del self._clients[asker.client]

    def _pass_turn(self, asker: Asker) -> None:
        """Move a sender behind all others."""
        client = self._clients[asker.client] = self._clients.pop(asker.client)
        client.lines[asker.connection] = client.lines.pop(asker.connection)

    def _next(self) -> LaneRequest | None:
        """Return the request whose turn it is."""
        for name, client in list(self._clients.items()):
            if client.working >= self._of_client:
                continue
            for connection, line in list(client.lines.items()):
                if line.working >= self._of_connection:
                    continue
                self._drop_expired(line)
                if line.waiting:
                    self._pass_turn(Asker(name, connection))
                    self._bytes -= line.waiting[0].size
                    return line.pop()
                self._forget(Asker(name, connection))
        return None

    def _drop_expired(self, line: _Line) -> None:
        now = self._monotonic()
        while line.waiting and line.waiting[0].expires <= now:
            self._bytes -= line.pop().size
            self._drop("expired")

    def _cut_longest(self) -> None:
        lines = (line for client in self._clients.values() for line in client.lines.values())
        longest = max(lines, key=lambda line: line.waiting_bytes)
        size = longest.waiting.pop().size
        longest.waiting_bytes -= size
        self._bytes -= size
        self._drop("full")

    def _drop(self, reason: str) -> None:
        telemetry.REQUESTS_DROPPED.labels(self.name, reason).inc()
        if self._monotonic() - self._dropped_at > REMEMBERED_SECONDS:
            self._dropped = 0
        self._dropped += 1
        self._dropped_at = self._monotonic()
