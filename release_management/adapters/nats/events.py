"""The event stream on JetStream: the log's position is the stream's sequence."""

import json
from collections.abc import Sequence
from itertools import pairwise

import structlog
from nats.aio.msg import Msg
from nats.js import api
from nats.js.errors import NotFoundError

from release_management.adapters.nats.connection import NatsConnection, header
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.publishing import (
    STORED_SECONDS,
    publish,
    publish_together,
)
from release_management.adapters.nats.wire.error_mapping import AWAY, understood
from release_management.kernel.record import Recorded
from release_management.services.ports.bus import OutOfStepError

BATCH = 256
FEW = 8  # a batch costs the server 4 ms, a message alone 0.5 ms

_log = structlog.get_logger(__name__)


def recorded(message: Msg, position: int) -> Recorded | None:
    """Return the record in a message of the stream; None, with a warning, if it is none of ours."""
    try:
        if header(message, streams.POSITION) != str(position):
            raise ValueError(f"its header {streams.POSITION} is not {position}")
        event = json.loads(message.data)
        return Recorded(position, event["subject"], event["streamversion"], event["type"], message.data)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        _log.warning(
            "no record among the events, passed over",
            position=position,
            subject=header(message, "Nats-Subject"),
            why=str(error),
        )
        return None


class NatsEventStream:
    """Publishes records unchanged on `relman.events.<event name>`.

    The server takes position n only as sequence n, so a second relay that lags behind is refused.
    """

    def __init__(self, connection: NatsConnection, store_id: str) -> None:
        self._js = connection.jetstream(timeout=STORED_SECONDS)
        self._connection = connection
        self._store_id = store_id

    async def last_position(self) -> int:
        """Return the stream's last sequence, which continues when old messages age out."""
        try:
            info = await self._js.stream_info(streams.EVENTS)
        except AWAY as error:
            raise understood(error) from error
        return info.state.last_seq

    async def event_at(self, position: int) -> str | None:
        """Return the id of the event at `position`; None if the stream does not hold it, "" if it is no record."""
        try:
            message = await self._js.get_msg(streams.EVENTS, position)
        except NotFoundError:
            return None
        except AWAY as error:
            raise understood(error) from error
        if (message.headers or {}).get(streams.POSITION) != str(position):
            return ""
        try:
            return str(json.loads(message.data or b"")["id"])
        except (ValueError, KeyError, TypeError):
            return ""

    async def publish(self, records: Sequence[Recorded]) -> None:
        """Store the records: a few one by one, more in parts of 256, each stored whole or not at all."""
        if any(later.position != earlier.position + 1 for earlier, later in pairwise(records)):
            raise OutOfStepError("the records do not follow one another")
        if len(records) <= FEW:
            for record in records:
                await publish(self._connection, *self._message(record, first=True))
            return
        for start in range(0, len(records), BATCH):
            part = records[start : start + BATCH]
            messages = [self._message(record, first=record is part[0]) for record in part]
            await publish_together(self._connection, messages)

    def _message(self, record: Recorded, *, first: bool) -> tuple[str, bytes, dict[str, str]]:
        """Return a record's message; only the first of a batch carries an expectation, which covers the rest."""
        headers = {
            streams.CONTENT_TYPE: streams.CLOUDEVENT,
            streams.POSITION: str(record.position),
            api.Header.MSG_ID.value: f"{self._store_id}:{record.position}",
        }
        if first:
            headers[api.Header.EXPECTED_LAST_SEQUENCE.value] = str(record.position - 1)
        return f"{streams.EVENT_SUBJECTS}.{record.name}", record.record, headers
