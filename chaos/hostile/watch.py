"""Observe an installation once a second, and report."""

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from typing import Any

from chaos.hostile.attacked import Attacked
from chaos.hostile.judge import Phase
from release_management.adapters.nats.connection import connect
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.wire.error_mapping import AWAY
from release_management.adapters.nats.wire.urls import credentials
from release_management.services.ports.bus import BusError

LOOK_SECONDS = 1.0
WELL_SECONDS = 60.0
"""Seconds after which all must be well again."""


class Watch:
    """Watches one phase, from its making to `end`."""

    def __init__(self, attacked: Attacked, phase: Phase) -> None:
        self._attacked = attacked
        self._phase = phase
        self._over = threading.Event()
        self._began = time.monotonic()
        self._lines = attacked.logs.lines
        self._errors = attacked.logs.errors.copy()
        self._silent_since: float | None = None
        phase.before = attacked.memory()
        self._thread = threading.Thread(target=self._run, name="watch")
        self._thread.start()

    def end(self) -> Phase:
        """Wait until all is well, or clearly is not; return the observations."""
        self._over.set()
        self._thread.join()
        phase = self._phase
        give_up = time.monotonic() + WELL_SECONDS
        while (troubles := _troubles(self._attacked.health())) and time.monotonic() < give_up:
            time.sleep(LOOK_SECONDS)
        phase.troubles = troubles
        self._look()
        logs = self._attacked.logs
        logs.read()
        phase.errors, phase.lines = logs.errors - self._errors, logs.lines - self._lines
        phase.restarts = self._attacked.restarts
        phase.after = self._attacked.memory()
        phase.sizes = self._attacked.sizes()
        phase.letters = asyncio.run(dead_letters(self._attacked))
        phase.seconds = time.monotonic() - self._began
        return phase

    def _run(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        phase = self._phase
        self._attacked.look()
        self._attacked.logs.read()
        phase.peak = max(phase.peak, sum(self._attacked.memory().values()))
        waits = phase.heard.longest_waiting()
        health = self._attacked.health()
        for name, said in health.items():
            phase.mute[name.partition(" ")[0]] += said.get("silent", False)
        phase.mute = +phase.mute
        ill = _troubles(health)
        phase.ill.update(ill)
        if not ill:
            phase.silent.append(waits)


def _troubles(health: Mapping[str, Any]) -> list[str]:
    return [
        f"{name.partition(' ')[0]}: {each['part']}: {each['says']}"
        for name, said in health.items()
        if not said.get("healthy")
        for each in said.get("troubles") or [{"part": "standing", "says": said.get("standing")}]
    ]


async def dead_letters(attacked: Attacked) -> Mapping[str, Any]:
    """Return the number of dead letters, and their bytes; nothing if the bus does not answer."""
    url = credentials(attacked.data, "gateway")
    if url is None:
        return {}
    try:
        connection = await connect(url, "judge")
    except BusError:
        return {}
    try:
        reply = await connection.request(f"$JS.API.STREAM.INFO.{streams.DEAD}", b"")
        state = json.loads(reply.data)["state"]
        return {"messages": state["messages"], "bytes": state["bytes"]}
    except (*AWAY, KeyError, ValueError):
        return {}
    finally:
        await connection.close()
