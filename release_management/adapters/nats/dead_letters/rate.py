"""Limit how many dead letters are stored one by one, and count the rest."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from release_management.adapters.nats.dead_letters.content import cut
from release_management.kernel.errors import ErrorCode
from release_management.kernel.record import timestamp

LETTERS = 1_000
LETTER_BYTES = 64 * 1024 * 1024
"""The letters and bytes that are stored one by one at once; a tenth of them becomes available again per hour."""
REFILL_SECONDS = 10 * 3600.0
WINDOW_SECONDS = 3600.0
REASONS = 5
SHOWN = 200


class Allowance:
    """A budget of letters to store one by one: each letter uses some, and time refills it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._filled_at = monotonic()
        self._letters, self._bytes = float(LETTERS), float(LETTER_BYTES)

    def take(self, size: int) -> bool:
        """Use the budget for a letter about a message of `size` bytes; return False if it is exhausted."""
        now = self._monotonic()
        share = (now - self._filled_at) / REFILL_SECONDS
        self._filled_at = now
        self._letters = min(self._letters + share * LETTERS, LETTERS)
        self._bytes = min(self._bytes + share * LETTER_BYTES, LETTER_BYTES)
        if self._letters < 1 or self._bytes < size:
            return False
        self._letters -= 1
        self._bytes -= size
        return True

    def give_back(self, size: int) -> None:
        """Return the budget of a letter that was not stored; it will be tried again."""
        self._letters += 1
        self._bytes += size


@dataclass
class _Window:
    """The counts of one hour. `code` is that of the last letter."""

    began: float
    since: str
    letters: int = 0
    bytes: int = 0
    code: ErrorCode = ErrorCode.INVALID
    reasons: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    kept_as: int | None = None


class Counted:
    """Counts the letters beyond the allowance. One letter an hour holds the count, and is replaced as it grows.

    A caller waits until the count that includes its letter is stored; many wait for the same one.
    """

    def __init__(
        self,
        keep: Callable[[str, int, dict[str, Any]], Awaitable[int]],
        forget: Callable[[int], Awaitable[None]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`keep` stores a letter of a subject, size and content and returns its id; `forget` removes that one."""
        self._keep = keep
        self._forget = forget
        self._monotonic = monotonic
        self._window: _Window | None = None
        self._keeping = asyncio.Lock()

    @property
    def warning(self) -> str | None:
        """A warning with the number of letters counted in the last hour; None if each was stored."""
        window = self._window
        if window is None or self._monotonic() - window.began > WINDOW_SECONDS:
            return None
        return f"{window.letters:,} dead letters since {window.since} are only counted, so many came"

    async def add(self, subject: str, size: int, reason: str, code: ErrorCode) -> None:
        """Count one letter. Raises `BusError`; it is then not counted."""
        window = self._current()
        window.letters += 1
        window.bytes += size
        window.code = code
        about = cut(reason, SHOWN)
        if about in window.reasons or len(window.reasons) < REASONS:
            window.reasons[about] += 1
        own = window.letters
        try:
            async with self._keeping:
                if window.stored < own:
                    await self._store(window, subject)
        except BaseException:
            window.letters -= 1
            window.bytes -= size
            raise

    def _current(self) -> _Window:
        now = self._monotonic()
        if self._window is None or now - self._window.began > WINDOW_SECONDS:
            self._window = _Window(now, timestamp(datetime.now(UTC)))
        return self._window

    async def _store(self, window: _Window, subject: str) -> None:
        count, before = window.letters, window.kept_as
        reasons = "; ".join(f"{number:,} ×: {reason}" for reason, number in window.reasons.most_common())
        content = {
            "reason": f"{count:,} messages since {window.since}, counted and not kept, so many came: {reasons}",
            "code": window.code,
            "headers": {},
            "payload": "",
            "obstacle": "these messages were counted, not kept",
        }
        window.kept_as = await self._keep(subject, window.bytes, content)
        window.stored = count
        if before is not None:
            await self._forget(before)
