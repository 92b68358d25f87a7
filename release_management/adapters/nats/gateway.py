"""The gateway for the orchestrator and the timers, over the bus."""

import json
from typing import Any

from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.requests.requester import (
    ask,
    cloudevent,
    read_outcome,
)
from release_management.services.envelope import (
    CommandEnvelope,
    InvalidCommand,
    Outcome,
)
from release_management.services.ports.bus import GatewayFailed

TIMEOUT_SECONDS = 10.0
PATIENCE_SECONDS = 2.0


class BusGateway:
    """Submits the commands of our own roles on `relman.system.<type>`.

    A command whose answer got lost, for instance when one gateway succeeds another, is sent again under the same id.
    """

    def __init__(self, connection: NatsConnection, timeout: float = TIMEOUT_SECONDS) -> None:
        """`timeout` is after how many seconds without an answer `BusAwayError` is raised."""
        self._connection = connection
        self._timeout = timeout

    async def submit(self, envelope: CommandEnvelope) -> Outcome:
        """Submit a command of `system:orchestrator` or `system:timers`. Raises `BusAwayError` and `GatewayFailed`."""
        try:
            return read_outcome(await self._ask(f"{streams.SYSTEM_SUBJECTS}.{envelope.command}", cloudevent(envelope)))
        except InvalidCommand as error:
            raise GatewayFailed(str(error)) from None

    async def outcome(self, sender: str, id: str) -> Outcome | None:
        """Return a command's outcome; None if it is unknown. Raises `BusAwayError`."""
        reply = await self._ask(streams.ASK_OUTCOME, json.dumps({"sender": sender, "id": id}).encode())
        return None if reply.get("status") == "unknown" else read_outcome(reply)

    async def _ask(self, subject: str, payload: bytes) -> dict[str, Any]:
        return await ask(self._connection, subject, payload, timeout=self._timeout, patience=PATIENCE_SECONDS)
