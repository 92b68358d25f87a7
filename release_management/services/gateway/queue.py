"""The wishes that wait for the gateway. Queued commands let everything else go ahead of them, and still advance."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from release_management.services.envelope import RESERVED
from release_management.services.gateway.pending import PendingCommand

SHARE = 4
"""So many queued commands are in a batch while anything else comes."""
RECENT_SECONDS = 1.0
"""For so long after the last other wish the next one is expected: a deployment's steps come one after the other."""


class TicketQueue:
    """Tickets of two kinds: those that yield, in the order of arrival, and all others, which go first.

    Of the others each role of ours, each client with a name, and all who have none together, have a row of their own,
    in the order of arrival; the rows take turns, so that nobody waits behind another's flood.

    While others come, a batch has at most `SHARE` of those that yield, so that the next one waits for few of them; but
    so many it always has, behind the first of each row, however many others there are. Any thread may append and take.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._rows: dict[str, deque[PendingCommand]] = {}
        """By whose they are, the one whose turn is next first."""
        self._others = 0
        self._yielding: deque[PendingCommand] = deque()
        self._came = -RECENT_SECONDS
        """When the last one came that does not yield."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._others + len(self._yielding)

    @property
    def others_come(self) -> bool:
        """Whether one that does not yield came just now."""
        return self._monotonic() - self._came < RECENT_SECONDS

    def append(self, pending: PendingCommand) -> None:
        """Let a ticket wait."""
        with self._lock:
            if pending.yields:
                self._yielding.append(pending)
            else:
                self._came = self._monotonic()
                self._rows.setdefault(_row_of(pending.envelope.sender), deque()).append(pending)
                self._others += 1

    def next_batch(self, most: int) -> list[PendingCommand]:
        """Take out the tickets that are decided next, at most so many."""
        with self._lock:
            share = SHARE if self._others or self.others_come else most
            yielding = min(share, len(self._yielding))
            rows = len(self._rows)
            batch = [self._next() for _ in range(min(most - yielding, self._others))]
            return batch[:rows] + [self._yielding.popleft() for _ in range(yielding)] + batch[rows:]

    def put_back(self, tickets: Sequence[PendingCommand]) -> None:
        """Let tickets of a batch that was not decided wait again, each before all that wait in its row."""
        with self._lock:
            for pending in reversed(tickets):
                if pending.yields:
                    self._yielding.appendleft(pending)
                else:
                    self._rows.setdefault(_row_of(pending.envelope.sender), deque()).appendleft(pending)
                    self._others += 1

    def _next(self) -> PendingCommand:
        """The one whose turn it is; its row is the last one then."""
        whose = next(iter(self._rows))
        row = self._rows.pop(whose)
        pending = row.popleft()
        if row:
            self._rows[whose] = row
        self._others -= 1
        return pending


def _row_of(sender: str) -> str:
    """`client:ci` of `client:ci:whatever`; those without a name call themselves what they like, and share one row."""
    return ":".join(sender.split(":", 2)[:2]) if sender.startswith(RESERVED) else ""
