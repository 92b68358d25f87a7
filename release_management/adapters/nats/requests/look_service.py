"""Receive the observations of all executors, for every role that shows what runs."""

import asyncio

import structlog
from nats.aio.msg import Msg
from pydantic import ValidationError

from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.requests.responder import RequestServer
from release_management.kernel.types import explain
from release_management.services.observations.looks import Looks, NewestLooks

_log = structlog.get_logger(__name__)


class LookService:
    """Receives the messages on `relman.looks.<executor>`; malformed ones are logged and ignored."""

    def __init__(self, connection: NatsConnection, newest: NewestLooks) -> None:
        self._newest = newest
        self._answering = RequestServer(connection, {f"{streams.LOOK_SUBJECTS}.*": self._take})
        self.ready: asyncio.Event = self._answering.ready

    async def run(self) -> None:
        """Serve until cancelled."""
        self._newest.listen()
        await self._answering.run()

    async def _take(self, message: Msg) -> None:
        executor = message.subject.removeprefix(f"{streams.LOOK_SUBJECTS}.")
        try:
            looks = Looks.model_validate_json(message.data)
        except ValidationError as error:
            _log.warning("a look is not understood", executor=executor, reason=explain(error))
            return
        if looks.executor != executor:
            _log.warning("a look is not its executor's own", executor=executor, says=looks.executor)
            return
        self._newest.take(looks)
