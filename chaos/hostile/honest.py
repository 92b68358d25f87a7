"""The honest client beside the attacker: it submits, queues, queries, and deploys a canary again and again."""

import asyncio
import math
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import JsonValue

from chaos.story import BRIEF, settings
from release_management.adapters.nats.client import BusClient, NotReachableError
from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.ports.bus import BusFullError

SENDER = "honest"
ASKED = ("command", "query", "outcome")
"""Kinds of requests that are answered at once; queued commands wait for those before them."""
APPLICATION = "honest"
ENVIRONMENT = "honest"
PAUSE_SECONDS = 0.2
"""Seconds between two requests of a kind: people are not in a hurry."""
PATIENCE_SECONDS = 60.0
QUEUED_SECONDS = 600.0
"""Seconds for a queued command, which waits for all that others have queued."""
DEPLOY_SECONDS = 600.0
STEPS = [step for share in (25, 50) for step in ({"set_weight": share}, {"pause": {"duration": 0.2}})]

T = TypeVar("T")


@dataclass(slots=True)
class Heard:
    """The answers to the honest client in one phase: the seconds that each took, by kind, and the missing ones.

    `deployments` are the seconds that each canary took, `waiting` says since when which request waits (monotonic).
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    deployments: list[float] = field(default_factory=list)
    waiting: dict[str, float] = field(default_factory=dict)

    def percentile(self, share: float, kinds: tuple[str, ...] = ()) -> float:
        """Return the seconds within which this share of the answers came; NaN without any."""
        found = sorted(value for kind, all in self.seconds.items() if not kinds or kind in kinds for value in all)
        return found[min(len(found) - 1, math.ceil(share * len(found)) - 1)] if found else math.nan

    @property
    def answered(self) -> int:
        """Return the number of answers."""
        return sum(map(len, self.seconds.values()))

    def longest_waiting(self) -> float:
        """Return the seconds for which the oldest request has waited."""
        asked = [since for kind, since in list(self.waiting.items()) if kind in ASKED]
        return max((time.monotonic() - since for since in asked), default=0.0)


class Honest:
    """One client of a folder's bus. A thread of its own runs it, from `begin` to `end`."""

    def __init__(self, url: Callable[[], str], journals: Path) -> None:
        self._url = url
        self._journals = journals
        journals.mkdir()
        self._versions = iter(range(1, 10**9))
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._last: Outcome | None = None
        self.heard = Heard()

    def begin(self) -> Heard:
        """Begin a phase."""
        self.heard = Heard()
        self._over.clear()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._play(self.heard)), name="honest")
        self._thread.start()
        return self.heard

    def end(self) -> Heard:
        """Wait for the outstanding answers, and for the deployment's end."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        return self.heard

    async def _play(self, heard: Heard) -> None:
        bus = BusClient(self._url(), name="honest", timeout=5.0)
        try:
            if self._last is None:
                await self._command(bus)  # what the first question and outcome are about
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._deploy(bus, heard))
                for kind, ask in (
                    ("command", self._command),
                    ("query", self._query),
                    ("outcome", self._outcome),
                    ("queued", self._queued),
                ):
                    tasks.create_task(self._repeat(bus, heard, kind, ask))
        except Exception as error:
            heard.wrong.append(f"the honest client ended: {error!r}")
        finally:
            await bus.close()

    async def _repeat(
        self, bus: BusClient, heard: Heard, kind: str, ask: Callable[[BusClient], Awaitable[str | None]]
    ) -> None:
        patience = QUEUED_SECONDS if kind == "queued" else PATIENCE_SECONDS
        while not self._over.is_set():
            began = heard.waiting[kind] = time.monotonic()
            try:
                async with asyncio.timeout(patience):
                    wrong = await ask(bus)
            except TimeoutError:
                wrong = f"no answer within {patience:g} s"
            except Exception as error:
                wrong = repr(error)
            del heard.waiting[kind]
            heard.seconds[kind].append(time.monotonic() - began)
            if wrong is not None:
                heard.wrong.append(f"{kind}: {wrong}")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _command(self, bus: BusClient) -> str | None:
        outcome = await self._decided(bus, self._envelope("release.create", self._release()))
        self._last = outcome
        return None if not _is_refused(outcome) else f"refused: {outcome.reason}"

    async def _query(self, bus: BusClient) -> str | None:
        last = self._last
        assert last is not None
        asked: dict[str, JsonValue] = {"application": APPLICATION, "limit": 5}
        rows = cast(list[dict[str, Any]], await _patiently(lambda: bus.query("releases", asked, last.last)))
        return None if rows and all(row["application"] == APPLICATION for row in rows) else f"{rows}"[:200]

    async def _outcome(self, bus: BusClient) -> str | None:
        last = self._last
        assert last is not None
        outcome = await _patiently(lambda: bus.outcome(SENDER, last.id))
        return None if outcome is not None and not _is_refused(outcome) else f"it is {outcome}"

    async def _queued(self, bus: BusClient) -> str | None:
        """Queue a command, and ask until it is decided. If the queue is full, queue it again."""
        envelope = self._envelope("release.create", self._release())
        while True:
            try:
                await _patiently(lambda: bus.send(envelope))
                break
            except BusFullError:
                await asyncio.sleep(PAUSE_SECONDS)
        while (outcome := await _patiently(lambda: bus.outcome(SENDER, envelope.id))) is None:
            await asyncio.sleep(0.02)
        return None if not _is_refused(outcome) else f"refused: {outcome.reason}"

    async def _deploy(self, bus: BusClient, heard: Heard) -> None:
        components = {"web": settings(self._journals, routes=True)}
        targets = [{"name": "main", "executor": "command", "components": components}]
        try:
            await self._done(bus, "environment.configure", {"name": ENVIRONMENT, "targets": targets})
            while not self._over.is_set():
                began = heard.waiting["deployment"] = time.monotonic()
                await self._canary(bus)
                heard.deployments.append(time.monotonic() - began)
        except _NotAsItShould as error:
            heard.wrong.append(str(error))
        finally:
            heard.waiting.pop("deployment", None)

    async def _canary(self, bus: BusClient) -> None:
        release = self._release()
        ref = f"{APPLICATION}@{release['version']}"
        await self._done(bus, "release.create", release)
        how = {"strategy": "canary", "options": {"steps": STEPS, **BRIEF}}
        made = await self._done(bus, "deployment.deploy", {"release": ref, "environment": ENVIRONMENT, **how})
        phase = await _end_of(bus, str(made.result["deployment"]), made.last)
        if phase != "Succeeded":
            raise _NotAsItShould(f"the canary of {ref} is {phase}")

    async def _done(self, bus: BusClient, command: str, content: dict[str, Any]) -> Outcome:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                outcome = await self._decided(bus, self._envelope(command, content))
        except TimeoutError:
            raise _NotAsItShould(f"{command} was not decided within {PATIENCE_SECONDS:g} s") from None
        if _is_refused(outcome):
            raise _NotAsItShould(f"{command} was refused: {outcome.reason}")
        return outcome

    async def _decided(self, bus: BusClient, envelope: CommandEnvelope) -> Outcome:
        while True:
            outcome: Outcome = await _patiently(lambda: bus.ask(envelope))
            if outcome.status != "busy":
                return outcome
            await asyncio.sleep(0.1)

    def _release(self) -> dict[str, Any]:
        version = f"1.0.{next(self._versions)}"
        if version.endswith(("4", "9")):  # the platform fails those on purpose
            return self._release()
        return {"application": APPLICATION, "version": version, "components": [{"name": "web"}]}

    def _envelope(self, command: str, content: dict[str, Any]) -> CommandEnvelope:
        return CommandEnvelope(
            sender=SENDER,
            id=f"honest-{uuid.uuid4()}",
            command=command,
            data=content,
            actor="alice",
            actorkind="person",
            actorauth="asserted",
        )


class _NotAsItShould(Exception):
    """The honest client was told something wrong, or nothing."""


def _is_refused(outcome: Outcome) -> bool:
    return outcome.refused or outcome.status == "refused"


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Return the answer; ask again while there is none."""
    while True:
        try:
            return await ask()
        except NotReachableError:
            await asyncio.sleep(0.1)


async def _end_of(bus: BusClient, deployment: str, after: int) -> str:
    """Return the deployment's end, or its phase if it does not end."""
    phase = "unknown"
    with suppress(TimeoutError):
        async with asyncio.timeout(DEPLOY_SECONDS):
            while True:
                rows = await _patiently(lambda: bus.query("deployment", {"id": deployment}, after))
                [row] = rows
                phase = str(row.get("phase"))
                if row.get("ended"):
                    return phase
                await asyncio.sleep(0.05)
    return f"{phase}, and did not end within {DEPLOY_SECONDS:g} s"
