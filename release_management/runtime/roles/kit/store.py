"""Watch a role's event store: one that hangs raises nothing for many seconds."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import NoReturn

from release_management.runtime.roles.kit.background_task import beside
from release_management.runtime.roles.kit.health import Health
from release_management.services import telemetry
from release_management.services.ports import (
    EventLog,
    LogDamagedError,
    LogUnavailableError,
)
from release_management.services.threads import in_thread

LOOK_SECONDS = 1.0
SLOW_SECONDS = 1.0
"""Seconds after which an answer is slow: a warning."""
HANGS_SECONDS = 4.0
"""Seconds without an answer after which it is a trouble."""


@contextlib.asynccontextmanager
async def on_store(log: EventLog, health: Health) -> AsyncIterator[None]:
    """Show the store's answer times in metrics and health while the body runs."""
    async with beside(watch_store(log, health)):
        yield


async def watch_store(log: EventLog, health: Health) -> NoReturn:
    """Read the newest position again and again, until cancelled."""
    answered = time.monotonic()
    while True:
        began = time.monotonic()
        asking = asyncio.ensure_future(in_thread(log.last_position))
        try:
            while not (await asyncio.wait([asking], timeout=LOOK_SECONDS))[0]:
                _say_silence(time.monotonic() - answered, health)
        except asyncio.CancelledError:
            asking.cancel()
            await asyncio.wait([asking])  # the log must not be closed before
            raise
        try:
            telemetry.LOG_POSITION.set(asking.result())
        except (LogUnavailableError, LogDamagedError) as error:
            health.trouble("log", str(error))
        else:
            answered = time.monotonic()
            telemetry.STORE_SECONDS.observe(answered - began)
            if answered - began > SLOW_SECONDS:
                health.warn("log", f"the event store took {answered - began:.1f} s to answer")
            else:
                health.clear("log")
        await asyncio.sleep(LOOK_SECONDS)


def _say_silence(seconds: float, health: Health) -> None:
    sentence = f"the event store has not answered for {seconds:.1f} s"
    if seconds < HANGS_SECONDS:
        health.warn("log", sentence)
    else:
        health.trouble("log", sentence)
