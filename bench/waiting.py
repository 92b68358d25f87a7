"""Measure a deployment beside thousands that wait, against the same in an installation in which nothing waits.

Both are a real `relman up`. Half of those that wait are plans that nobody has deployed yet, and half wait for approval.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any

from bench.conditions import Scale, Store, progress
from bench.installation import accepted, envelope
from bench.rows import EMPTY, Row, against
from bench.up import running
from release_management.adapters.nats.client import BusClient
from release_management.domain.deployment.events import (
    DeploymentHalted,
    DeploymentRollbackFailed,
    DeploymentRolledBack,
    DeploymentSucceeded,
)
from release_management.runtime.gateway_host import GatewayHost

TOGETHER, ALONE = 100, 5
PLACES = 100
"""The number of environments to which the waiting deployments are planned."""
ENDS = {kind.NAME for kind in (DeploymentSucceeded, DeploymentRolledBack, DeploymentRollbackFailed, DeploymentHalted)}
SETTINGS = {"commands": {verb: ["true"] for verb in ("provision", "await_healthy", "retire")}}
TARGETS = [{"name": "main", "executor": "command", "routes": "none", "components": {"web": SETTINGS}}]


ANSWER_SECONDS = 60.0
"""A command is waited for so long: on a machine that is busy, 100 at once take their time."""


def measure(store: Store, scale: Scale) -> Iterator[Row]:
    """Seed one store of two, then measure both in turns."""
    stores = store, store.another
    applications = [f"app{number}" for number in range(TOGETHER)]
    for each, waiting in zip(stores, (scale.waiting, 0), strict=True):
        begun = time.perf_counter()
        with GatewayHost(each.home) as core:
            _begin(core, applications, scale.rounds)
            _wait(core, applications, waiting)
        progress(f"  {waiting:,} that wait were planned in {time.perf_counter() - begun:.0f} s")
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(running(each))[0] for each in stores]
        alone, together = asyncio.run(_measure(urls, applications, scale.rounds))
    about = f"deployments of one component in two steps, beside {scale.waiting:,} that wait in {PLACES} environments"
    for what, times in (("deployment, alone", alone), (f"{TOGETHER} deployments at once", together)):
        notes = (f"milliseconds until all have succeeded: {about}",)
        measured = f"{what}, beside many that wait"
        yield against(measured, store.name, times[0], times[1], EMPTY, unit="ms", at_most=1.2, notes=notes)


def _begin(core: GatewayHost, applications: list[str], rounds: int) -> None:
    """Create one environment to deploy to, and releases for all rounds of each application."""
    _do(core, "environment.configure", name="fast", tier="development", targets=TARGETS)
    _all(
        core,
        [
            ("release.create", {"application": each, "version": f"{version}.0.0", "components": [{"name": "web"}]})
            for each in applications
            for version in range((ALONE + 1) * rounds + 2)
        ],
    )


def _wait(core: GatewayHost, applications: list[str], waiting: int) -> None:
    """Create this many waiting deployments."""
    if not waiting:
        return
    for number in range(PLACES):
        required = number % 2
        of = {"name": f"slow{number}", "order": number, "approval": {"required": required}, "targets": TARGETS}
        _do(core, "environment.configure", tier="staging", **of)
    wanted = [(each, number) for each in applications for number in range(PLACES)][:waiting]
    _all(
        core,
        [
            (
                "deployment.deploy" if number % 2 else "deployment.plan",
                {"release": f"{each}@0.0.0", "environment": f"slow{number}"},
            )
            for each, number in wanted
        ],
    )


def _do(core: GatewayHost, command: str, **data: Any) -> None:
    accepted(core.gateway.answer(envelope(command, data)))


def _all(core: GatewayHost, commands: list[tuple[str, dict[str, Any]]]) -> None:
    for start in range(0, len(commands), 200):
        tickets = [core.gateway.ask(envelope(*each)) for each in commands[start : start + 200]]
        for ticket in tickets:
            accepted(ticket.result())


async def _measure(
    urls: list[str], applications: list[str], rounds: int
) -> tuple[list[list[float]], list[list[float]]]:
    """Return, per side, the milliseconds of each round: of one deployment, and of many at once."""
    sides = [Side(url, applications) for url in urls]
    alone: list[list[float]] = [[] for _ in sides]
    together: list[list[float]] = [[] for _ in sides]
    try:
        for side in sides:
            await side.deploy(applications)
        for number in range(rounds):
            progress(f"  round {number + 1} of {rounds}")
            for index, side in enumerate(sides):
                one = [await side.deploy(applications[:1]) for _ in range(ALONE)]
                alone[index].append(sorted(one)[len(one) // 2])
                together[index].append(await side.deploy(applications))
    finally:
        for side in sides:
            await side.close()
    return alone, together


class Side:
    """One installation, and the next version of each application there."""

    def __init__(self, url: str, applications: list[str]) -> None:
        self._client = BusClient(url, timeout=ANSWER_SECONDS)
        self._next = dict.fromkeys(applications, 1)
        self._ends: dict[str, str] = {}
        self._news = asyncio.Condition()
        self._following: asyncio.Task[None] | None = None

    async def deploy(self, applications: list[str]) -> float:
        """Deploy the next version of each at once; return the milliseconds until all have succeeded."""
        begun = time.perf_counter()
        await asyncio.gather(*(self._deploy(each) for each in applications))
        return 1000 * (time.perf_counter() - begun)

    async def _deploy(self, application: str) -> None:
        version = self._next[application]
        self._next[application] = version + 1
        data = {"release": f"{application}@{version}.0.0", "environment": "fast", "strategy": "recreate"}
        outcome = await self._client.ask(envelope("deployment.deploy", data))
        if outcome.refused or outcome.status not in ("accepted", "repeated"):
            raise RuntimeError(f"{application}@{version}.0.0: {outcome.reason}")
        if self._following is None:
            self._following = asyncio.create_task(self._follow(outcome.first - 1))
        stream = f"deployment:{outcome.result['deployment']}"
        async with self._news:
            await self._news.wait_for(lambda: stream in self._ends)
        if self._ends[stream] != DeploymentSucceeded.NAME:
            raise RuntimeError(f"{application}@{version}.0.0: {self._ends[stream]}")

    async def _follow(self, after: int) -> None:
        async for recorded in self._client.events(after):
            if recorded.name in ENDS:
                async with self._news:
                    self._ends[recorded.stream] = recorded.name
                    self._news.notify_all()

    async def close(self) -> None:
        """Disconnect from the bus."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._client.close()
