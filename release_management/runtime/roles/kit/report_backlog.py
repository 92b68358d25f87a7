"""Find out whether the reports that executors had sent before we started have been decided."""

import contextlib

from nats.js.errors import NotFoundError

from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.wire.error_mapping import AWAY


class QueuedReports:
    """The reports that the bus held at the first call.

    Queued commands do not count: however many a client queues, no deadline waits for them.
    """

    def __init__(self, connection: NatsConnection) -> None:
        self._js = connection.jetstream()
        self._last: int | None = None

    async def are_decided(self) -> bool:
        """Return True if the gateway has decided all of them."""
        with contextlib.suppress(NotFoundError, *AWAY):
            if self._last is None:
                self._last = (await self._js.stream_info(streams.REPORTS)).state.last_seq
            info = await self._js.consumer_info(streams.REPORTS, streams.GATEWAY)
            idle = not info.num_pending and not info.num_ack_pending
            decided = idle or (info.ack_floor is not None and info.ack_floor.stream_seq >= self._last)
            return decided and not await self._are_among_commands()
        return False

    async def _are_among_commands(self) -> bool:
        """Return True if reports wait among the commands, where an older version queued them."""
        info = await self._js.stream_info(streams.COMMANDS, subjects_filter=f"{streams.REPORT_SUBJECTS}.>")
        return bool(info.state.subjects)
