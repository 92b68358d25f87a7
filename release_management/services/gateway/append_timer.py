"""Time the log's appends."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from release_management.kernel.record import timestamp
from release_management.services import telemetry

SLOW_SECONDS = 1.0
"""Seconds after which an append is slow."""
WARNING_SECONDS = 60.0
"""Seconds for which a slow append is a warning."""


class AppendTimer:
    """Times a gateway's appends, one after the other. One thread appends; any thread may read the warning."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._slow: tuple[float, str] | None = None

    @property
    def warning(self) -> str | None:
        """A sentence on an append that has not returned, or on a recent slow one, or None."""
        began, now = self._began, time.monotonic()
        if began is not None and now - began > SLOW_SECONDS:
            return f"an append has not come back for {now - began:.1f} s"
        if self._slow is not None and now - self._slow[0] < WARNING_SECONDS:
            return self._slow[1]
        return None

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Time the append within the block."""
        self._began = began = time.monotonic()
        try:
            yield
        finally:
            self._began, now = None, time.monotonic()
            telemetry.APPEND_SECONDS.observe(now - began)
            if now - began > SLOW_SECONDS:
                self._slow = now, f"an append took {now - began:.1f} s, until {timestamp(datetime.now(UTC))}"
