"""The relay: it publishes every record of the log to the event stream, in order, byte for byte."""

import asyncio
import json
import time
from typing import NoReturn

import structlog

from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.kernel.record import Recorded
from release_management.services import telemetry
from release_management.services.ports import EventLog
from release_management.services.ports.bus import (
    BusError,
    EventStream,
    OutOfStepError,
)
from release_management.services.threads import in_thread

PAGE = 256
IDLE_SECONDS = 0.5
FIRST_RETRY_SECONDS = 0.05
LAST_RETRY_SECONDS = 2.0

_log = structlog.get_logger(__name__)


class RelayMismatchError(RelmanError):
    """The event stream does not match the log: it has another history, or a message that is no record."""

    code = ErrorCode.UNUSABLE


class Relay:
    """Publishes the log. It keeps no position of its own: the stream's last sequence is where it continues.

    While it works off a backlog it rests as long as it works: commands use the same bus.
    """

    def __init__(self, log: EventLog, stream: EventStream) -> None:
        self._log = log
        self._stream = stream
        self.position: int | None = None
        """The newest position known to be published; None while that is being found out."""
        self.trouble: str | None = None
        """The reason why nothing can be published at the moment, or None."""

    async def run(self) -> NoReturn:
        """Publish until cancelled. Raises `RelayMismatchError` if log and stream hold different histories."""
        self.position = None
        retry = FIRST_RETRY_SECONDS
        while True:
            try:
                if self.position is None:
                    self.position = await self._recover()
                records = await self._next(self.position)
                if records:
                    began = time.monotonic()
                    await self._stream.publish(records)
                    telemetry.PUBLISH_SECONDS.observe(time.monotonic() - began)
                    self.position = records[-1].position
                    telemetry.PUBLISHED.inc(len(records))
                    if len(records) == PAGE:
                        await asyncio.sleep(time.monotonic() - began)
                retry = FIRST_RETRY_SECONDS
                self.trouble = None
            except OutOfStepError as error:
                _log.info("relay out of step", reason=str(error))
                self.position = None
                await asyncio.sleep(FIRST_RETRY_SECONDS)
            except BusError as error:
                _log.warning("relay waits for the bus", reason=str(error), retry_seconds=retry)
                telemetry.PUBLISH_FAILURES.inc()
                self.trouble = str(error)
                self.position = None
                await asyncio.sleep(retry)
                retry = min(retry * 2, LAST_RETRY_SECONDS)

    async def _recover(self) -> int:
        """Return the position to continue from, after a check that log and stream have the same record there."""
        position = await self._stream.last_position()
        if position == 0:
            return 0
        published = await self._stream.event_at(position)
        if published == "":
            raise RelayMismatchError(
                f"the event stream ends at {position:,} with a message that is no record: somebody else has stored it "
                "there. Remove the stream; it is made again, and filled from the log."
            )
        newest = await in_thread(self._log.last_position)
        if newest < position:
            raise RelayMismatchError(
                f"the event stream ends at position {position:,}, but the log ends at {newest:,}: the log has lost "
                "records, most likely by a restored backup. Restore a log that holds them, or start with an empty "
                "stream."
            )
        if published is None:
            return position
        record = (await in_thread(self._log.read, position - 1, 1))[0]
        recorded = json.loads(record.record)["id"]
        if published != recorded:
            raise RelayMismatchError(
                f"at position {position:,} the event stream holds the event {published}, but the log holds "
                f"{recorded}: the log was restored from a backup and went on differently. Restore the log that was "
                "published, or start with an empty stream."
            )
        return position

    async def _next(self, position: int) -> list[Recorded]:
        return await in_thread(self._read_or_wait, position)

    def _read_or_wait(self, position: int) -> list[Recorded]:
        records = self._log.read(position, PAGE)
        if records or not self._log.wait(position, IDLE_SECONDS):
            return records
        return self._log.read(position, PAGE)
