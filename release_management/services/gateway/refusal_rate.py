"""How many refusals are kept one by one: beyond a rate they are counted, so that nobody fills the log with nonsense.

Each sender may be refused so often at once, and then so often a second; so may all senders together, whatever they call
themselves. What is not kept is answered all the same, with its reason; the next refusal of that sender that is kept
says how many were not. Only a refusal that is kept is remembered under its id: a repetition of another one is decided
anew.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from release_management.services.envelope import ROLES

SENDERS = 10_000
"""Of so many senders it is known how often they were refused."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and so many a second after that."""

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
    """Says which are kept. Safe for many threads. What our own roles are refused is always kept."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, each: Rate = EACH, every: Rate = ALL) -> None:
        """`each` is the rate of one sender, `every` that of all of them."""
        self._monotonic = monotonic
        self._each = each
        self._all = _Bucket(every, monotonic())
        self._senders: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, sender: str) -> int | None:
        """One is to be kept: how many were not since the last one; None where this one is too much, either."""
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
        """So many were not kept, or nobody was told of them after all; how many that makes since the last one."""
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
