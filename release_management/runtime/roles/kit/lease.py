"""Serve while holding a role's lease: one of several processes is active, the others stand by."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from release_management.runtime.roles.kit.health import Health
from release_management.services import telemetry
from release_management.services.ports import EventLog, Lease
from release_management.services.threads import in_thread

LOOK_SECONDS = 0.5
_log = structlog.get_logger(__name__)


async def serve_in_turn(log: EventLog, health: Health, serve: Callable[[Lease], Awaitable[None]]) -> NoReturn:
    """Serve while this process holds the role's lease, stand by while another one does; until cancelled.

    `serve` is cancelled when the lease is lost, and may return if it notices that itself. Its errors are raised. The
    lease is released when `serve` has ended.
    """
    while True:
        lease = await in_thread(log.take, health.role)
        if lease is None:
            health.set_status("standby")
            await asyncio.sleep(LOOK_SECONDS)
            continue
        telemetry.LEASE_HELD.labels(health.role).set(1)
        _log.info("lease taken", role=health.role, number=lease.number)
        serving = asyncio.ensure_future(serve(lease))
        try:
            while not serving.done():
                await asyncio.wait([serving], timeout=LOOK_SECONDS)
                if not serving.done() and not await in_thread(lease.is_held):
                    _log.warning("lease lost", role=health.role, number=lease.number)
                    break
            if serving.done():
                serving.result()
        finally:
            telemetry.LEASE_HELD.labels(health.role).set(0)
            health.set_status("standby" if health.ready else "starting")
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            await asyncio.to_thread(lease.release)
