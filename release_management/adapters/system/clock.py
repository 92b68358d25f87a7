"""The machine's clock, and ids that sort by time."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
import uuid_utils

from release_management.kernel.record import timestamp
from release_management.services import telemetry
from release_management.services.ports import ClockJumpedError

NOTED = timedelta(hours=1)
"""A jump ahead that is worth a person's look."""
REFUSED = timedelta(days=31)
"""A jump ahead that no suspended machine explains."""
_PASSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts the time for which the machine was suspended, too: on Linux only the first does."""
_log = structlog.get_logger(__name__)


class SystemClock:
    """The machine's clock, UTC."""

    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC)


class WatchedClock:
    """The machine's clock, and what a person should know of it.

    What it says is compared with the time that has passed since it was last asked. A jump by more than `NOTED`, ahead
    or back, is believed, since a virtual machine that was paused looks like that, and said as a `warning`.
    """

    def __init__(
        self,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        passed: Callable[[], float] = lambda: time.clock_gettime(_PASSED),
    ) -> None:
        """`passed` gives seconds since any moment that stays the same."""
        self.warning: str | None = None
        """What a person should look at, if there was something since the start."""
        self._now = now
        self._passed = passed
        self._looking = threading.Lock()
        self._before = (now(), passed())

    def now(self) -> datetime:
        """The time."""
        with self._looking:
            now, passed = self._now(), self._passed()
            self._judge(now, now - self._before[0] - timedelta(seconds=passed - self._before[1]))
            self._before = (now, passed)
            return now

    def _judge(self, now: datetime, ahead: timedelta) -> None:
        if abs(ahead) <= NOTED:
            return
        if ahead > NOTED:
            way, also = "ahead", ", until that time has come"
        else:
            way, also = "back", ", and what falls due waits for longer"
        self.warning = (
            f"the clock jumped {way} by {_rounded(abs(ahead))} at {timestamp(now)}; if that was wrong, durations and "
            f"metrics are, too{also}. This is said until the next start"
        )
        _log.warning("the clock jumped", way=way, by=str(abs(ahead)), to=timestamp(now))
        telemetry.CLOCK_JUMPS.inc()


class RecordingClock(WatchedClock):
    """The machine's clock for who records by it: records are not rewritten, so a wrong time in one stays.

    By one that has jumped ahead by more than `REFUSED` nothing is recorded until it is back, or the process is started
    again: `now` raises `ClockJumpedError`.
    """

    _refused = False

    def _judge(self, now: datetime, ahead: timedelta) -> None:
        if ahead > REFUSED:
            raise self._refusal(now, ahead)
        self._refused = False
        super()._judge(now, ahead)

    def _refusal(self, now: datetime, ahead: timedelta) -> ClockJumpedError:
        reason = (
            f"the clock jumped ahead by {_rounded(ahead)}, to {timestamp(now)}; nothing is recorded until it is back. "
            "If it is right now, start every gateway again"
        )
        if not self._refused:
            self._refused = True
            _log.error("the clock jumped ahead too far", by=str(ahead), to=timestamp(now))
            telemetry.CLOCK_JUMPS.inc()
        return ClockJumpedError(reason)


def new_id() -> str:
    """A new UUID version 7 (RFC 9562): unique, and sorting by time."""
    return str(uuid_utils.uuid7())


def _rounded(time: timedelta) -> timedelta:
    return timedelta(seconds=round(time.total_seconds()))
