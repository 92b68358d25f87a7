"""A role survives transient errors, and stops when it is told to meanwhile."""

import asyncio

import pytest

from release_management.runtime.roles.kit import transient_errors
from release_management.runtime.roles.kit.health import Health
from release_management.runtime.roles.kit.transient_errors import keep_serving
from release_management.services.ports import LogUnavailableError
from release_management.services.ports.bus import BusAwayError


async def until_cancelled(error: Exception) -> None:
    """Serve; what ends it is that something is away, even where it was told to stop."""
    try:
        await asyncio.sleep(60)
    finally:
        raise error


def test_a_role_that_is_told_to_stop_while_bus_and_store_go_away_stops() -> None:
    served = 0

    async def serve() -> None:
        nonlocal served
        served += 1
        if served > 1:
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(until_cancelled(BusAwayError("no bus")))
            tasks.create_task(until_cancelled(LogUnavailableError("no store")))

    async def run() -> None:
        serving = asyncio.ensure_future(keep_serving(serve, Health("test")))
        await asyncio.sleep(0.01)
        serving.cancel()
        await asyncio.wait([serving], timeout=2)
        assert serving.cancelled()

    asyncio.run(run())
    assert served == 1


def test_transient_errors_are_reported_and_retried_and_permanent_ones_are_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transient_errors, "FIRST_PAUSE_SECONDS", 0.001)
    health = Health("test")
    seen: list[str] = []
    ends = iter([BusAwayError("no bus"), ExceptionGroup("", [LogUnavailableError("no\nstore")]), KeyError("ours")])

    async def serve() -> None:
        seen.extend(each["says"] for each in health.document()["troubles"])
        raise next(ends)

    with pytest.raises(KeyError):
        asyncio.run(keep_serving(serve, health))
    assert seen == ["no bus", "no store"]
