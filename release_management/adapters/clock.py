"""The machine's clock, and ids that sort by time."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
import uuid_utils

from release_management.domain.record import timestamp
from release_management.services import measures
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


class RecordingClock:
    """The machine's clock for who records by it: records are not rewritten, so a wrong time in one stays.

    What the clock says is compared with the time that has passed since it was last asked. By one that has jumped ahead
    by more than `REFUSED` nothing is recorded until it is back, or the process is started again; one that has by more
    than `NOTED` is believed, since a virtual machine that was paused looks like that, and said as a `warning`.
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
        self._refused = False
        self._before = (now(), passed())

    def now(self) -> datetime:
        """The time. Raises `ClockJumpedError`."""
        with self._looking:
            now, passed = self._now(), self._passed()
            ahead = now - self._before[0] - timedelta(seconds=passed - self._before[1])
            if ahead > REFUSED:
                raise self._refusal(now, ahead)
            if ahead > NOTED:
                self.warning = (
                    f"the clock jumped ahead by {_rounded(ahead)} at {timestamp(now)}; if that was wrong, durations "
                    "and metrics are, too, until that time has come. This is said until the next start"
                )
                _log.warning("the clock jumped ahead", by=str(ahead), to=timestamp(now))
                measures.CLOCK_JUMPS.inc()
            self._refused = False
            self._before = (now, passed)
            return now

    def _refusal(self, now: datetime, ahead: timedelta) -> ClockJumpedError:
        reason = (
            f"the clock jumped ahead by {_rounded(ahead)}, to {timestamp(now)}; nothing is recorded until it is back. "
            "If it is right now, start every gateway again"
        )
        if not self._refused:
            self._refused = True
            _log.error("the clock jumped ahead too far", by=str(ahead), to=timestamp(now))
            measures.CLOCK_JUMPS.inc()
        return ClockJumpedError(reason)


def new_id() -> str:
    """A new UUID version 7 (RFC 9562): unique, and sorting by time."""
    return str(uuid_utils.uuid7())


def _rounded(time: timedelta) -> timedelta:
    return timedelta(seconds=round(time.total_seconds()))
