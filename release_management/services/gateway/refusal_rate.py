"""Limit how many refusals are stored one by one, and count the rest, so that no sender fills the log with nonsense.

Each sender may be refused so often at once, and then so often a second; so may all senders together, whatever they call
themselves. A refusal that is not stored is answered all the same, with its reason; the next stored refusal of that
sender carries the number of those that were not. Only a stored refusal is remembered under its id: a repetition of
another one is decided anew.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from release_management.services.envelope import ROLES

SENDERS = 10_000
"""The number of senders whose refusals are counted."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A number at once, and a number a second after that."""

    at_once: float
    a_second: float


EACH = Rate(500, 1.0)
ALL = Rate(5_000, 2.0)


class _Bucket:
    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._left = rate.at_once
        self._at = now
        self.unkept = 0

    def has_one(self, now: float) -> bool:
        self._left = min(self._rate.at_once, self._left + (now - self._at) * self._rate.a_second)
        self._at = now
        return self._left >= 1

    def take(self) -> None:
        self._left -= 1


class Refusals:
    """Decides which refusals are stored. Thread-safe. Refusals of our own roles are always stored."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, each: Rate = EACH, every: Rate = ALL) -> None:
        """`each` is the rate of one sender, `every` that of all of them."""
        self._monotonic = monotonic
        self._each = each
        self._all = _Bucket(every, monotonic())
        self._senders: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, sender: str) -> int | None:
        """Return how many refusals of a sender were only counted since the last stored one; None to count this, too."""
        if sender.startswith(ROLES):
            return 0
        with self._lock:
            now = self._monotonic()
            bucket = self._bucket(sender, now)
            if not (bucket.has_one(now) and self._all.has_one(now)):
                return None
            bucket.take()
            self._all.take()
            unkept, bucket.unkept = bucket.unkept, 0
            return unkept

    def count(self, sender: str, number: int = 1) -> int:
        """Count refusals that were not stored or answered; return their number since the last stored one."""
        with self._lock:
            bucket = self._bucket(sender, self._monotonic())
            bucket.unkept += number
            return bucket.unkept

    def _bucket(self, sender: str, now: float) -> _Bucket:
        if sender not in self._senders:
            self._senders[sender] = _Bucket(self._each, now)
            if len(self._senders) > SENDERS:
                self._senders.popitem(last=False)
        self._senders.move_to_end(sender)
        return self._senders[sender]
