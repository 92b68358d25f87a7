"""Judge how a slot answers real requests, by the increase of HAProxy's counters."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from release_management.adapters.executors.local.haproxy import Server
from release_management.domain.condition import Condition

WINDOW_SECONDS = 30.0
FEWEST = 5
"""The number of answers from which on a slot is judged."""
TOO_MANY = 0.5
"""The share of answers that are errors (5xx) from which on a slot is not well."""


class ErrorRate:
    """Judges slots by the requests of the last `WINDOW_SECONDS`."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._counts: dict[str, deque[tuple[float, int, int]]] = {}

    def judge(self, slot: str, servers: Sequence[Server]) -> tuple[Condition, str | None]:
        """Return the slot's condition by its servers' answers within the window, and the reason if it is not well."""
        now = self._monotonic()
        answers, errors = sum(each.answers for each in servers), sum(each.errors for each in servers)
        counts = self._counts.setdefault(slot, deque())
        if counts and (answers < counts[-1][1] or errors < counts[-1][2]):
            counts.clear()  # HAProxy was restarted, or a server left
        counts.append((now, answers, errors))
        while len(counts) > 1 and now - counts[1][0] >= WINDOW_SECONDS:
            counts.popleft()
        answered, failed = answers - counts[0][1], errors - counts[0][2]
        if answered < FEWEST or failed < answered * TOO_MANY:
            return "well", None
        reason = f"{slot} answered {failed} of {answered} requests with errors in {now - counts[0][0]:.0f} s"
        return ("down" if failed == answered else "degraded"), reason
