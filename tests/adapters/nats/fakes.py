"""Stand-ins for what is on the other side of the bus adapters."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nats.aio.subscription import Subscription

from release_management.adapters.nats.access.accounts import EVENTS, RELMAN
from release_management.adapters.nats.access.permissions import Permissions
from release_management.adapters.nats.connection import NatsConnection, connect
from release_management.adapters.nats.dead_letters.model import DeadLetter
from release_management.adapters.nats.dead_letters.store import DeadLetters
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.client_queues import named_clients
from release_management.adapters.nats.queues.commands import CommandService
from release_management.domain.orders import Order, Report
from release_management.domain.plan.steps.route import RouteSlots
from release_management.kernel.record import Recorded
from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.ports import (
    Append,
    CommandKey,
    Lease,
    LogDamagedError,
    Snapshot,
    Status,
    StoredOutcome,
)


def record(position: int, id: str | None = None) -> Recorded:
    """A record as the store would hold it."""
    document = {
        "specversion": "1.0",
        "id": id or f"event-{position}",
        "subject": "deployment:d",
        "streamversion": position,
        "type": "deployment.step_succeeded",
        "data": {"text": "ünïcode", "n": position},
    }
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Recorded(position, "deployment:d", position, "deployment.step_succeeded", body)


class WatchedServer(NatsServer):
    """A server with two more users who may do everything: `tests` beside the roles, `tests-events` beside the relay."""

    def __init__(self, folder: Path, port: int | None = None, **options: Any) -> None:
        super().__init__(folder, port, **options)
        gateway = self._accounts[RELMAN].users["gateway"]
        everything = Permissions((">", *gateway.publish), (">",))  # what the gateway may says which clients there are
        added = {RELMAN: "tests", EVENTS: "tests-events"}
        self._accounts = {
            name: replace(account, users={**account.users, added[name]: everything}) if name in added else account
            for name, account in self._accounts.items()
        }


class FakeLog:
    """An `EventLog` of made-up records."""

    def __init__(self, count: int = 0) -> None:
        self.records = [record(position) for position in range(1, count + 1)]
        self._changed = threading.Condition()

    store_id = "store"

    def grow(self, *records: Recorded) -> None:
        with self._changed:
            self.records.extend(records)
            self._changed.notify_all()

    def append(self, batch: Sequence[Append], lease: Lease | None = None) -> list[Status]:
        raise NotImplementedError

    def read(self, after: int, limit: int = 500) -> list[Recorded]:
        return self.records[after : after + limit]

    def read_stream(self, stream: str, after: int = 0) -> list[Recorded]:
        raise NotImplementedError

    def content(self, dataref: str) -> bytes:
        raise NotImplementedError

    def last_position(self) -> int:
        return len(self.records)

    def outcomes(self, commands: Collection[CommandKey]) -> dict[CommandKey, StoredOutcome]:
        raise NotImplementedError

    def snapshot(self, stream: str, shape: str) -> Snapshot | None:
        raise NotImplementedError

    def keep_snapshot(self, stream: str, snapshot: Snapshot) -> None:
        raise NotImplementedError

    def take(self, role: str) -> Lease | None:
        raise NotImplementedError

    def wait(self, after: int, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: len(self.records) > after, timeout)

    def close(self) -> None:
        """Nothing to close."""


class FakeKeyring:
    """A `Keyring` that seals visibly."""

    def __init__(self) -> None:
        self.erased: set[str] = set()

    def actor_id(self, name: str, kind: str = "person") -> str:
        raise NotImplementedError

    def keep(self, actors: Mapping[tuple[str, str], str], keys: Mapping[str, bytes]) -> bool:
        raise NotImplementedError

    def find_actor(self, name: str, kind: str) -> str | None:
        raise NotImplementedError

    def new_actor(self, kind: str) -> str:
        raise NotImplementedError

    def actor_name(self, actor: str) -> str | None:
        raise NotImplementedError

    def seal(self, subject: str, text: str, fresh: dict[str, bytes] | None = None) -> str:
        return f"{subject}|{base64.b64encode(text.encode()).decode()}"

    def open(self, subject: str, sealed: str) -> str | None:
        return None if subject in self.erased else base64.b64decode(sealed.partition("|")[2]).decode()

    def fingerprint(self, content: bytes) -> bytes:
        return hashlib.sha256(b"a key" + content).digest()

    def erase(self, subject: str) -> None:
        self.erased.add(subject)

    def close(self) -> None:
        """Nothing to close."""


class FakeGateway:
    """A `Gateway` that accepts and remembers. `plan` holds what it does instead, per command id, once each."""

    def __init__(self) -> None:
        self.seen: list[CommandEnvelope] = []
        self.yielding: list[str] = []
        """The ids of those that let others go ahead."""
        self.calls: asyncio.Queue[str] = asyncio.Queue()
        self.plan: dict[str, list[str | Exception | asyncio.Event]] = {}
        self.failed_before = 0
        self.others_come = False
        self.contents: dict[str, bytes] = {}
        self._outcomes: dict[tuple[str, str], Outcome] = {}

    async def submit(
        self, envelope: CommandEnvelope, failed_before: int | None = None, *, yields: bool = False
    ) -> Outcome:
        self.seen.append(envelope)
        if yields:
            self.yielding.append(envelope.id)
        self.calls.put_nowait(envelope.id)
        about: dict[str, Any] = {"sender": envelope.sender, "id": envelope.id, "command": envelope.command}
        if failed_before not in (None, self.failed_before):
            return Outcome(status="busy", reason="one before it is not decided", **about)
        plan = self.plan.get(envelope.id, [])
        step = plan.pop(0) if plan else "accepted"
        if isinstance(step, asyncio.Event):
            await step.wait()
            step = "accepted"
        if isinstance(step, Exception):
            raise step
        key = (envelope.sender, envelope.id)
        if key in self._outcomes:
            return self._outcomes[key].model_copy(update={"status": "repeated"})
        if step == "busy":
            self.failed_before += failed_before is not None
            return Outcome(status="busy", reason="too much to do", **about)
        if step == "refused":
            outcome = Outcome(status="refused", refused=True, reason="a freeze", **about)
        else:
            position = len(self._outcomes) + 1
            outcome = Outcome(status="accepted", first=position, last=position, **about)
        self._outcomes[key] = outcome
        return outcome

    async def outcome(self, sender: str, id: str) -> Outcome | None:
        return self._outcomes.get((sender, id))

    async def content(self, dataref: str) -> bytes:
        if dataref not in self.contents:
            raise LogDamagedError(f"the data {dataref} are missing")
        return self.contents[dataref]


@dataclass
class FakeExecutor:
    """An `Executor` that does what `work` says and counts."""

    work: Callable[[Order], Awaitable[None]] | None = None
    done: list[Order] = field(default_factory=list)

    async def carry_out(self, order: Order) -> Report:
        if self.work is not None:
            await self.work(order)
        self.done.append(order)
        return Report(
            deployment=order.deployment,
            leg=order.leg,
            step=order.step,
            attempt=order.attempt,
            fence=order.fence,
            result="succeeded",
            observedat="2026-11-23T09:30:00.000000Z",
        )


@dataclass
class Bus:
    """One side of the bus with everything on it."""

    connection: NatsConnection
    events: NatsConnection
    dead_letters: DeadLetters
    gateway: FakeGateway
    keyring: FakeKeyring
    clients: tuple[str, ...]


@contextlib.asynccontextmanager
async def connected(server: NatsServer) -> AsyncIterator[Bus]:
    """The streams are there; nobody serves."""
    connection = await connect(server.urls["tests"], "test")
    events = await connect(server.urls["tests-events"], "test")
    keyring = FakeKeyring()
    try:
        clients = await named_clients(connection)
        await streams.ensure_streams(connection.jetstream(), names=streams.work(clients))
        await streams.ensure_streams(events.jetstream(), names=[streams.EVENTS])
        yield Bus(connection, events, DeadLetters(connection, keyring), FakeGateway(), keyring, clients)
    finally:
        await connection.close()
        await events.close()


@contextlib.asynccontextmanager
async def running(coroutine: Coroutine[Any, Any, Any], ready: asyncio.Event | None = None) -> AsyncIterator[None]:
    """A service beside the test. Its failure is the test's."""
    task = asyncio.create_task(coroutine)
    try:
        if ready is not None:
            waiting = asyncio.create_task(ready.wait())
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.wait([task])


@contextlib.asynccontextmanager
async def serving(server: NatsServer) -> AsyncIterator[Bus]:
    """The streams are there and the commands are served."""
    async with connected(server) as bus:
        service = CommandService(bus.connection, bus.gateway, bus.dead_letters, bus.clients, retry_seconds=0.01)
        async with running(service.run(), service.ready):
            yield bus


async def watch(bus: Bus, subject: str) -> Subscription:
    """See what passes on a subject from now on; streams do not hide it."""
    subscription = await bus.connection.subscribe(subject)
    await bus.connection.flush()
    return subscription


def envelope(id: str = "1", command: str = "release.create", **changes: Any) -> CommandEnvelope:
    """A command of the program `ci`."""
    about: dict[str, Any] = {
        "sender": "ci",
        "id": id,
        "command": command,
        "data": {"version": "1.0.0"},
        "actor": "ci",
        "actorkind": "service",
        "actorauth": "asserted",
    }
    return CommandEnvelope(**(about | changes))


def order(**changes: Any) -> Order:
    """An order for the executor `local`."""
    about: dict[str, Any] = {
        "deployment": "d1",
        "leg": "forward",
        "step": 0,
        "attempt": 1,
        "fence": 7,
        "executor": "local",
        "environment": "staging",
        "application": "shop",
        "target": "main",
        "component": "web",
        "action": RouteSlots(weights={"blue": 100}),
        "settings": {"unset": None},
        "deadline": "2026-11-23T09:35:00.000000Z",
    }
    return Order(**(about | changes))


async def first_letter(letters: DeadLetters) -> DeadLetter:
    """The one dead letter that a server's advisory makes: its stream takes it in somewhat after others hear it."""
    async with asyncio.timeout(20):
        while not (found := await all_letters(letters)):
            await asyncio.sleep(0.01)
    (letter,) = found
    return letter


async def all_letters(letters: DeadLetters) -> tuple[DeadLetter, ...]:
    """The newest first, page by page: on a busy machine a page ends early."""
    found, below = await letters.page(1000)
    while below is not None:
        more, below = await letters.page(1000, below)
        found += more
    return tuple(found)
