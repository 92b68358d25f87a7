"""How long the log takes to append."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from release_management.domain.record import timestamp
from release_management.services import measures
from release_management.services.ports import Append, EventLog, Lease, Status

SLOW_SECONDS = 1.0
"""Longer than this an append should not take."""
SAID_SECONDS = 60.0
"""For so long after a slow append it is said that there was one."""


class Appends:
    """The appends that go through `through(log)`, timed. For any thread."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._slow: tuple[float, str] | None = None

    def through(self, log: EventLog) -> EventLog:
        """The same log."""
        return cast(EventLog, _Through(log, self))

    @property
    def warning(self) -> str | None:
        """What a person should know: an append that has not come back, or one that took long not long ago."""
        began, now = self._began, time.monotonic()
        if began is not None and now - began > SLOW_SECONDS:
            return f"an append has not come back for {now - began:.1f} s"
        if self._slow is not None and now - self._slow[0] < SAID_SECONDS:
            return self._slow[1]
        return None

    def append(self, log: EventLog, batch: Sequence[Append], lease: Lease | None) -> list[Status]:
        """Append, and note how long that took."""
        self._began = began = time.monotonic()
        try:
            return log.append(batch, lease)
        finally:
            self._began, now = None, time.monotonic()
            measures.APPEND_SECONDS.observe(now - began)
            if now - began > SLOW_SECONDS:
                self._slow = now, f"an append took {now - began:.1f} s, until {timestamp(datetime.now(UTC))}"


class _Through:
    """A log, but for its `append`."""

    def __init__(self, log: EventLog, appends: Appends) -> None:
        self._log = log
        self._appends = appends

    def append(self, batch: Sequence[Append], lease: Lease | None = None) -> list[Status]:
        return self._appends.append(self._log, batch, lease)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)
