"""The relay and a backlog."""

import asyncio
import contextlib
import time
from collections.abc import Sequence

from release_management.kernel.record import Recorded
from release_management.services.workers.relay import PAGE, Relay
from tests.adapters.nats.fakes import FakeLog

PUBLISHING = 0.05
PAGES = 4


class SlowStream:
    """An event stream that takes its time, and says when it was asked."""

    def __init__(self) -> None:
        self.stored = 0
        self.asked: list[float] = []

    async def last_position(self) -> int:
        return self.stored

    async def event_at(self, position: int) -> str | None:
        return None

    async def publish(self, records: Sequence[Recorded]) -> None:
        self.asked.append(time.monotonic())
        await asyncio.sleep(PUBLISHING)
        self.stored = records[-1].position


async def published(count: int) -> SlowStream:
    stream = SlowStream()
    running = asyncio.create_task(Relay(FakeLog(count), stream).run())
    async with asyncio.timeout(30):
        while stream.stored < count:
            await asyncio.sleep(0.01)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    return stream


def test_the_relay_rests_as_long_as_it_works_while_there_is_a_backlog() -> None:
    stream = asyncio.run(published(PAGES * PAGE))

    assert len(stream.asked) == PAGES
    for earlier, later in zip(stream.asked, stream.asked[1:], strict=False):
        assert later - earlier >= 2 * PUBLISHING
