"""The agenda's open items, each with the time of its next try.

A look costs as much as what is due, not what is open.
"""

import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from uuid import UUID, uuid5

from release_management.domain.agenda import (
    AgendaItem,
    DueCommand,
    OutstandingOrder,
)

ItemKey = tuple[str, str]
"""The subject (`deployment:…`, `approval:…`) that an item belongs to, and its name there."""
NAMESPACE = UUID("6f1d0b7e-5a53-4d0e-9d55-0d4a3f3a1c11")
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
"""Seconds until a command that was not decided, or failed, is tried again: twice as long each time."""


@dataclass(slots=True, eq=False)
class TimetableEntry:
    """An open item, and its tries.

    `id` tells it from another item of the same key: the fence of an order, the id of a command. `sent` counts how often
    an order was sent. `pause` is how many seconds to wait after a failed try, and `trouble` says why it failed.
    """

    subject: str
    item: AgendaItem
    id: str
    sent: int = 0
    pause: float = 0.0
    trouble: str | None = None

    @property
    def due(self) -> str:
        """The due time, RFC 3339; empty for an item that is due at once."""
        return (self.item.due or "") if isinstance(self.item, DueCommand) else ""


@dataclass(slots=True)
class Timetable:
    """Knows which items are to be looked at now, and when the next ones are.

    Items that are not due yet wait by the clock; retries wait by the seconds of `time.monotonic()`.
    """

    _entries: dict[ItemKey, TimetableEntry] = field(default_factory=dict)
    _by_clock: list[tuple[str, int, ItemKey, TimetableEntry]] = field(default_factory=list)
    _by_seconds: list[tuple[float, int, ItemKey, TimetableEntry]] = field(default_factory=list)
    _overdue: dict[ItemKey, str] = field(default_factory=dict)
    _failing: dict[ItemKey, TimetableEntry] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)
    _orders: int = 0

    def put(self, key: ItemKey, item: AgendaItem) -> None:
        """Add an item, in place of the one of this key; the same item again changes nothing."""
        entry = TimetableEntry(key[0], item, _id(key[0], item))
        before = self._entries.get(key)
        if before is not None and before.id == entry.id:
            return
        self.drop(key)
        self._entries[key] = entry
        self._orders += isinstance(item, OutstandingOrder)
        heapq.heappush(self._by_clock, (entry.due, next(self._numbers), key, entry))

    def drop(self, key: ItemKey) -> None:
        """Forget an item, if it is known."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._orders -= isinstance(entry.item, OutstandingOrder)
            self._overdue.pop(key, None)
            self._failing.pop(key, None)

    def due(self, now: str) -> list[tuple[ItemKey, TimetableEntry]]:
        """Remove and return the items to look at now, commands first. An item returns only if it is scheduled again."""
        found: list[tuple[ItemKey, TimetableEntry]] = []
        while self._by_clock and self._by_clock[0][0] <= now:
            due, _, key, entry = heapq.heappop(self._by_clock)
            if self._entries.get(key) is entry:
                found.append((key, entry))
                if due:
                    self._overdue[key] = due
        seconds = time.monotonic()
        while self._by_seconds and self._by_seconds[0][0] <= seconds:
            _, _, key, entry = heapq.heappop(self._by_seconds)
            if self._entries.get(key) is entry:
                found.append((key, entry))
        return sorted(found, key=lambda entry: isinstance(entry[1].item, OutstandingOrder))

    def settled(self, key: ItemKey, entry: TimetableEntry) -> None:
        """Note that an item was carried out; the log will remove it."""
        entry.pause, entry.trouble = 0.0, None
        self._failing.pop(key, None)

    def again_after(self, key: ItemKey, entry: TimetableEntry, seconds: float) -> None:
        """Schedule an item's next look after `seconds`."""
        heapq.heappush(self._by_seconds, (time.monotonic() + seconds, next(self._numbers), key, entry))

    def put_off(self, key: ItemKey, entry: TimetableEntry, trouble: str | None = None) -> None:
        """Schedule the retry of an item that failed, doubling the pause. `trouble` says why it failed, if known."""
        entry.pause = min(2 * entry.pause, LONGEST_PAUSE_SECONDS) if entry.pause else FIRST_PAUSE_SECONDS
        entry.trouble = trouble
        if trouble is None:
            self._failing.pop(key, None)
        else:
            self._failing[key] = entry
        self.again_after(key, entry, entry.pause)

    @property
    def trouble(self) -> str | None:
        """The trouble of one of the failed items, or None."""
        return next((entry.trouble for entry in self._failing.values()), None)

    @property
    def next_due(self) -> str | None:
        """The due time of the next item that is not due yet, RFC 3339, or None."""
        self._tidy()
        return self._by_clock[0][0] if self._by_clock else None

    @property
    def next_try(self) -> float | None:
        """Seconds until the next retry, or None."""
        self._tidy()
        return self._by_seconds[0][0] - time.monotonic() if self._by_seconds else None

    @property
    def orders(self) -> int:
        """The number of outstanding orders."""
        return self._orders

    @property
    def commands(self) -> int:
        """The number of commands that are due or will be."""
        return len(self._entries) - self._orders

    @property
    def longest_overdue(self) -> str | None:
        """The due time of the oldest overdue command, RFC 3339, or None."""
        return min(self._overdue.values(), default=None)

    def _tidy(self) -> None:
        """Remove dropped items from the beginning of both heaps."""
        while self._by_clock and self._entries.get(self._by_clock[0][2]) is not self._by_clock[0][3]:
            heapq.heappop(self._by_clock)
        while self._by_seconds and self._entries.get(self._by_seconds[0][2]) is not self._by_seconds[0][3]:
            heapq.heappop(self._by_seconds)


def _id(subject: str, item: AgendaItem) -> str:
    if isinstance(item, OutstandingOrder):
        return str(item.order.fence)
    return str(uuid5(NAMESPACE, f"{item.cause}/{item.command}/{subject}"))
