"""How a slot answers real requests: HAProxy's counters, which only grow, by what they grew."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from release_management.adapters.executors.local.haproxy import Server
from release_management.domain.condition import Condition

WINDOW_SECONDS = 30.0
FEWEST = 5
"""Of fewer requests nothing is concluded."""
TOO_MANY = 0.5
"""The share of answers that are errors (5xx) from which on a slot is not well."""


class ErrorRate:
    """Judges slots by the requests of the last seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._counts: dict[str, deque[tuple[float, int, int]]] = {}

    def judge(self, slot: str, servers: Sequence[Server]) -> tuple[Condition, str | None]:
        """The slot's condition by what its servers have answered since the last looks, and why."""
        now = self._monotonic()
        answers, errors = sum(each.answers for each in servers), sum(each.errors for each in servers)
        counts = self._counts.setdefault(slot, deque())
        if counts and (answers < counts[-1][1] or errors < counts[-1][2]):
            counts.clear()  # HAProxy was started anew, or a server left
        counts.append((now, answers, errors))
        while len(counts) > 1 and now - counts[1][0] >= WINDOW_SECONDS:
            counts.popleft()
        answered, failed = answers - counts[0][1], errors - counts[0][2]
        if answered < FEWEST or failed < answered * TOO_MANY:
            return "well", None
        reason = f"{slot} answered {failed} of {answered} requests with errors in {now - counts[0][0]:.0f} s"
        return ("down" if failed == answered else "degraded"), reason
