"""The people who deploy meanwhile: their commands, the answers, and the required ends."""

import asyncio
import random
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos import world
from release_management.adapters.nats.client import BusClient, NotReachableError
from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.ports.bus import QueryNotUnderstood

SENDER = "chaos"
ENVIRONMENTS = ("qa", "staging")
APPLICATIONS = {"shop": ("web", "api"), "post": ("mailer",)}
PATIENCE_SECONDS = 180.0
"""Seconds for which a person waits for an answer, and for a deployment to end."""
BRIEF = {"scale_down_delay": 0, "abort_scale_down_delay": 0, "healthy_deadline": "2m"}
STRATEGIES = ("canary", "blue-green", "rolling", "recreate")


class GaveUp(Exception):
    """A person had no answer, or a deployment no end, for too long."""


@dataclass(slots=True)
class Deployment:
    """One deployment: its release, and the phase in which it must end."""

    id: str
    release: str
    demanded: str
    ended: str | None = None


@dataclass(slots=True)
class Story:
    """All commands and answers. Written by the driver's thread, read by others."""

    outcomes: list[Outcome] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)
    tries: int = 0


def settings(journals: Path, *, routes: bool) -> dict[str, Any]:
    """Return the settings of a component for the world's program."""
    program = [sys.executable, "-I", "-S", str(Path(world.__file__)), str(journals)]
    verbs = ["provision", "await_healthy", "retire", *(["route"] if routes else [])]
    return {"commands": dict.fromkeys(verbs, program), "timeout": "1m", "stop_grace": 1, "replicas": 2}


def canary(shares: range, pause: float) -> dict[str, Any]:
    """Return a canary's options."""
    steps = [step for share in shares for step in ({"set_weight": share}, {"pause": {"duration": pause}})]
    return {"steps": steps, **BRIEF}


class Driver:
    """Submits commands over the bus, as often as necessary, under the same id. A thread of its own runs it."""

    def __init__(self, url: str, seed: int, journals: Path) -> None:
        self.story = Story()
        self._seed = seed
        self._journals = journals
        self._asked = 0
        self._bus = BusClient(url, name="chaos", timeout=5.0)
        self._over = threading.Event()

    async def ask(self, command: str, data: dict[str, Any]) -> Outcome:
        """Submit a command until it is decided. Raises `GaveUp`."""
        self._asked += 1
        envelope = CommandEnvelope(
            sender=SENDER,
            id=f"{self._seed}-{self._asked}",
            command=command,
            data=data,
            actor="alice",
            actorkind="person",
            actorauth="asserted",
        )
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    self.story.tries += 1
                    try:
                        outcome = await self._bus.ask(envelope)
                    except NotReachableError:
                        continue
                    if outcome.status != "busy":
                        self.story.outcomes.append(outcome)
                        return outcome
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise GaveUp(f"{command} was not decided within {PATIENCE_SECONDS:g} s") from None

    async def do(self, command: str, data: dict[str, Any]) -> dict[str, Any]:
        """Submit a command that must be accepted; return its result."""
        outcome = await self.ask(command, data)
        if outcome.refused or outcome.status == "refused":
            raise GaveUp(f"{command} was refused: {outcome.reason}")
        return dict(outcome.result)

    async def configure(self) -> None:
        """Create two environments with two targets each: one that shifts traffic, one that cannot."""
        for name in ENVIRONMENTS:
            main = {component: settings(self._journals, routes=True) for component in APPLICATIONS["shop"]}
            jobs = {component: settings(self._journals, routes=False) for component in APPLICATIONS["post"]}
            targets = [
                {"name": "main", "executor": "command", "components": main},
                {"name": "jobs", "executor": "command", "routes": "none", "components": jobs},
            ]
            await self.do("environment.configure", {"name": name, "targets": targets})

    async def deploy(self, application: str, environment: str, version: str, **how: Any) -> Deployment:
        """Create the release and deploy it."""
        components = [{"name": name} for name in APPLICATIONS[application]]
        release = f"{application}@{version}"
        await self.do("release.create", {"application": application, "version": version, "components": components})
        result = await self.do("deployment.deploy", {"release": release, "environment": environment, **how})
        demanded = "RolledBack" if version.endswith("9") else "Succeeded"
        made = Deployment(str(result["deployment"]), release, demanded)
        self.story.deployments.append(made)
        return made

    async def abort(self, deployment: Deployment) -> None:
        """Abort a deployment, unless it has ended before, or is about to.

        No other deployment uses its places, so it started with its request, and rolls back: it is never cancelled.
        """
        outcome = await self.ask("deployment.abort", {"deployment": deployment.id, "reason": "chaos says so"})
        if not outcome.refused and outcome.status != "refused":
            deployment.demanded = "RolledBack"

    async def end_of(self, deployment: Deployment) -> str:
        """Wait until a deployment has ended; return its phase. Raises `GaveUp`."""
        phase = "unknown"
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while deployment.ended is None:
                    [row] = await self._query("deployment", {"id": deployment.id}) or [{}]
                    phase = str(row.get("phase"))
                    deployment.ended = phase if row.get("ended") else None
                    await asyncio.sleep(0.1)
                return deployment.ended
        except TimeoutError:
            raise GaveUp(f"{deployment.release} is {phase} and did not end in {PATIENCE_SECONDS:g} s") from None

    async def running(self, last: int) -> list[dict[str, Any]]:
        """Return the read model's running components at the position `last`. Raises `GaveUp`."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._query("running", {}, last)
        except TimeoutError:
            raise GaveUp(f"the read models did not reach position {last} in {PATIENCE_SECONDS:g} s") from None

    async def _query(self, name: str, params: dict[str, Any], after: int = 0) -> list[dict[str, Any]]:
        while True:
            try:
                return await self._bus.query(name, params, after)
            except (NotReachableError, QueryNotUnderstood):
                await asyncio.sleep(0.1)

    async def first_version(self) -> None:
        """Deploy a first version."""
        await self.end_of(await self.deploy("shop", "staging", "0.1.0", strategy="recreate", options=BRIEF))

    async def second_by_canary(self) -> None:
        """Deploy another version by a canary of many steps."""
        options = canary(range(10, 100, 10), 0.1)
        await self.end_of(await self.deploy("shop", "staging", "0.1.1", strategy="canary", options=options))

    async def nothing(self) -> None:
        """Do nothing: no prologue."""

    async def stream(self) -> None:
        """Deploy to every place, one after the other, until it is over."""
        names = [(application, environment) for application in APPLICATIONS for environment in ENVIRONMENTS]
        async with asyncio.TaskGroup() as tasks:
            for application, environment in names:
                tasks.create_task(self._stream_to(application, environment))

    async def _stream_to(self, application: str, environment: str) -> None:
        chance = random.Random(f"{self._seed}/{application}/{environment}")
        part = ENVIRONMENTS.index(environment) + 1
        number = 0
        while not self._over.is_set():
            strategy = chance.choice(STRATEGIES if application == "shop" else STRATEGIES[2:])
            options = canary(range(25, 100, 25), 0.3) if strategy == "canary" else BRIEF
            made = await self.deploy(application, environment, f"{part}.0.{number}", strategy=strategy, options=options)
            number += 1
            if chance.random() < 0.15:
                await asyncio.sleep(chance.uniform(0.0, 2.0))
                await self.abort(made)
            await self.end_of(made)

    def over(self) -> None:
        """Let every place end its last deployment."""
        self._over.set()

    async def close(self) -> None:
        """Disconnect."""
        await self._bus.close()
