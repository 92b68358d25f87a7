"""The wishes that wait for the gateway. Queued commands let everything else go ahead of them, and still advance."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from release_management.services.tickets import Ticket

SHARE = 4
"""So many queued commands are in a batch while anything else comes."""
RECENT_SECONDS = 1.0
"""For so long after the last other wish the next one is expected: a deployment's steps come one after the other."""


class TicketQueue:
    """Tickets in two rows, each in the order of arrival: those that yield, and all others, which go first.

    While others come, a batch has at most `SHARE` of those that yield, so that the next one waits for few of them; but
    so many it always has, however many others there are. One thread takes batches; any may append.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._first: deque[Ticket] = deque()
        self._yielding: deque[Ticket] = deque()
        self._came = -RECENT_SECONDS
        """When the last one came that does not yield."""

    def __len__(self) -> int:
        return len(self._first) + len(self._yielding)

    @property
    def others_come(self) -> bool:
        """Whether one that does not yield came just now."""
        return self._monotonic() - self._came < RECENT_SECONDS

    def append(self, ticket: Ticket) -> None:
        """Let a ticket wait."""
        if ticket.yields:
            self._yielding.append(ticket)
        else:
            self._came = self._monotonic()
            self._first.append(ticket)

    def next_batch(self, most: int) -> list[Ticket]:
        """Take out the tickets that are decided next, at most so many."""
        share = SHARE if self._first or self.others_come else most
        yielding = min(share, len(self._yielding))
        batch = [self._first.popleft() for _ in range(min(most - yielding, len(self._first)))]
        return batch + [self._yielding.popleft() for _ in range(yielding)]

    def put_back(self, tickets: Sequence[Ticket]) -> list[Ticket]:
        """Let those that yield wait again, before all others that do; the rest is returned."""
        self._yielding.extendleft(reversed([ticket for ticket in tickets if ticket.yields]))
        return [ticket for ticket in tickets if not ticket.yields]
