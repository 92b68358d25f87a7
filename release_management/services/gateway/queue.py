"""The queue of commands before the gateway. Queued commands let all others go first, and still advance."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from release_management.services.envelope import RESERVED
from release_management.services.gateway.pending import PendingCommand

SHARE = 4
"""The number of queued commands in a batch while other commands come."""
RECENT_SECONDS = 1.0
"""Seconds after the last other command within which the next is expected: a deployment's steps follow one another."""


class TicketQueue:
    """Pending commands of two kinds: those that yield, in the order of arrival, and all others, which go first.

    Of the others each role of ours, each named client, and all unnamed clients together, have a row of their own, in
    the order of arrival; the rows take turns, so that no client waits behind another's flood.

    While others come, a batch has at most `SHARE` of those that yield, so that the next one waits for few of them; but
    it always has that many, behind the first of each row, however many others there are. Thread-safe.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._rows: dict[str, deque[PendingCommand]] = {}
        """The rows by sender, the one whose turn is next first."""
        self._others = 0
        self._yielding: deque[PendingCommand] = deque()
        self._came = -RECENT_SECONDS
        """The arrival of the last command that does not yield."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._others + len(self._yielding)

    @property
    def others_come(self) -> bool:
        """True if a command that does not yield arrived just now."""
        return self._monotonic() - self._came < RECENT_SECONDS

    def append(self, pending: PendingCommand) -> None:
        """Add a pending command."""
        with self._lock:
            if pending.yields:
                self._yielding.append(pending)
            else:
                self._came = self._monotonic()
                self._rows.setdefault(_row_of(pending.envelope.sender), deque()).append(pending)
                self._others += 1

    def next_batch(self, most: int) -> list[PendingCommand]:
        """Remove and return the commands that are decided next, at most `most`."""
        with self._lock:
            share = SHARE if self._others or self.others_come else most
            yielding = min(share, len(self._yielding))
            rows = len(self._rows)
            batch = [self._next() for _ in range(min(most - yielding, self._others))]
            return batch[:rows] + [self._yielding.popleft() for _ in range(yielding)] + batch[rows:]

    def put_back(self, tickets: Sequence[PendingCommand]) -> None:
        """Return commands of a batch that were not decided to the heads of their rows."""
        with self._lock:
            for pending in reversed(tickets):
                if pending.yields:
                    self._yielding.appendleft(pending)
                else:
                    self._rows.setdefault(_row_of(pending.envelope.sender), deque()).appendleft(pending)
                    self._others += 1

    def _next(self) -> PendingCommand:
        """Return the command whose turn it is; its row becomes the last one."""
        whose = next(iter(self._rows))
        row = self._rows.pop(whose)
        pending = row.popleft()
        if row:
            self._rows[whose] = row
        self._others -= 1
        return pending


def _row_of(sender: str) -> str:
    """Return the row of a sender: `client:ci` for `client:ci:whatever`; unnamed clients share one row."""
    return ":".join(sender.split(":", 2)[:2]) if sender.startswith(RESERVED) else ""
