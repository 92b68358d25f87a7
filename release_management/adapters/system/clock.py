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
"""A forward jump of the clock that is reported to a person."""
REFUSED = timedelta(days=31)
"""A forward jump of the clock that a suspended machine does not explain."""
_PASSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""This clock also counts the time for which the machine was suspended (on Linux, only CLOCK_BOOTTIME does)."""
_log = structlog.get_logger(__name__)


class SystemClock:
    """The machine's clock, UTC."""

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC)


class WatchedClock:
    """The machine's clock, which reports jumps.

    Each reading is compared with the time that has passed since the reading before. A jump by more than `NOTED`, ahead
    or back, is accepted, since a virtual machine that was paused looks like that, and reported as a `warning`.
    """

    def __init__(
        self,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        passed: Callable[[], float] = lambda: time.clock_gettime(_PASSED),
    ) -> None:
        """`passed` returns the seconds since any fixed moment."""
        self.warning: str | None = None
        """The last jump of the clock since the start, for a person; None without one."""
        self._now = now
        self._passed = passed
        self._looking = threading.Lock()
        self._before = (now(), passed())

    def now(self) -> datetime:
        """Return the time."""
        with self._looking:
            now, passed = self._now(), self._passed()
            self._judge(now, now - self._before[0] - timedelta(seconds=passed - self._before[1]))
            self._before = (now, passed)
            return now

    def _judge(self, now: datetime, ahead: timedelta) -> None:
        if abs(ahead) <= NOTED:
            return
        if ahead > NOTED:
            way, remedy = "ahead", ", until that time has come"
        else:
            way, remedy = "back", ", and what falls due waits for longer"
        self.warning = (
            f"the clock jumped {way} by {_rounded(abs(ahead))} at {timestamp(now)}; if that was wrong, durations and "
            f"metrics are, too{remedy}. This is said until the next start"
        )
        _log.warning("the clock jumped", way=way, by=str(abs(ahead)), to=timestamp(now))
        telemetry.CLOCK_JUMPS.inc()


class RecordingClock(WatchedClock):
    """The machine's clock for processes that record events: records are not rewritten, so a wrong time in one stays.

    After a jump ahead by more than `REFUSED`, `now` raises `ClockJumpedError` until the clock is back or the process is
    started again, so that nothing is recorded.
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
    """Return a new UUID version 7 (RFC 9562): unique, and sorting by time."""
    return str(uuid_utils.uuid7())


def _rounded(time: timedelta) -> timedelta:
    return timedelta(seconds=round(time.total_seconds()))
