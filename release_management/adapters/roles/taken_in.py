"""Whether what the bus held when we started has been decided since."""

import contextlib

from nats.js.errors import NotFoundError

from release_management.adapters.nats import streams
from release_management.adapters.nats.commands import CONSUMER
from release_management.adapters.nats.connection import AWAY, Connection


class QueuedReports:
    """The commands, reports among them, that the bus held when it was first asked about them."""

    def __init__(self, connection: Connection) -> None:
        self._js = connection.jetstream()
        self._last: int | None = None

    async def are_decided(self) -> bool:
        """Whether the gateway has decided all of them."""
        with contextlib.suppress(NotFoundError, *AWAY):
            if self._last is None:
                self._last = (await self._js.stream_info(streams.COMMANDS)).state.last_seq
            info = await self._js.consumer_info(streams.COMMANDS, CONSUMER)
            idle = not info.num_pending and not info.num_ack_pending
            return idle or (info.ack_floor is not None and info.ack_floor.stream_seq >= self._last)
        return False
