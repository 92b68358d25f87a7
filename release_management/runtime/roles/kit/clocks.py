"""Watch a role's clock."""

import asyncio
from typing import NoReturn

from release_management.adapters.system.clock import WatchedClock
from release_management.runtime.roles.kit.health import Health
from release_management.services.ports import ClockJumpedError

LOOK_SECONDS = 0.5


async def watch_clock(clock: WatchedClock, health: Health) -> NoReturn:
    """Show in the health whether the clock has jumped, until cancelled."""
    while True:
        look_at_clock(clock, health)
        await asyncio.sleep(LOOK_SECONDS)


def look_at_clock(clock: WatchedClock, health: Health) -> None:
    """Show in the health whether the clock has jumped."""
    try:
        clock.now()
    except ClockJumpedError as error:
        health.trouble("clock", str(error))
        return
    if clock.warning is not None:
        health.warn("clock", clock.warning)
    else:
        health.clear("clock")
