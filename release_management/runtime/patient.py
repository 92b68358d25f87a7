"""An installation whose calls are retried: a store that is away, a restart, read models that are still being built."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

from release_management.adapters.nats.client import (
    NoConnectionError,
    NotReachableError,
    UnavailableError,
)
from release_management.adapters.nats.dead_letters.model import (
    DeadLetter,
    OpenedLetter,
    Replay,
)
from release_management.kernel.record import Recorded
from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.paging.pages import Page, read

if TYPE_CHECKING:
    from release_management.adapters.read_model import Progress, Unparked
    from release_management.runtime.installations import Installation

ANSWER_SECONDS = 30.0
"""Seconds for which a command or a query is retried."""
FIRST_SECONDS = 10.0
"""Seconds for which a first connection is tried: the address may be wrong."""
SAY_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0

T = TypeVar("T")
Tell = Callable[[str], None]


class PatientInstallation:
    """Retries an installation's calls, under the same id, until it answers or the caller's time is over.

    Each call has `seconds`; within `until` all of them together have until that time. `tell` gets one sentence if a
    call waits for more than a second, and one when it is over. Raises `UnavailableError`, with the last reason, when
    the time is over; permanent errors are raised at once.
    """

    def __init__(
        self, installation: "Installation", seconds: float = ANSWER_SECONDS, tell: Tell = lambda _: None
    ) -> None:
        self._installation = installation
        self._seconds = seconds
        self._tell = tell
        self._deadline: float | None = None
        self._has_met = False

    @contextmanager
    def until(self, deadline: float) -> Iterator[None]:
        """Give all calls within the block this deadline, of `time.monotonic`."""
        before, self._deadline = self._deadline, deadline
        try:
            yield
        finally:
            self._deadline = before

    @property
    def verifies_user(self) -> bool:
        """The value of the wrapped installation."""
        return self._installation.verifies_user

    def ask(self, envelope: CommandEnvelope) -> Outcome:
        """Submit the command until it is decided, which happens once."""

        def decided() -> Outcome:
            outcome = self._installation.ask(envelope)
            if outcome.status == "busy":
                raise UnavailableError(outcome.reason or "the gateway decides nothing now", code=outcome.code)
            return outcome

        return self._patiently(decided)

    def page(self, name: str, params: dict[str, Any], after: int = 0) -> Page:
        """Query until there is an answer."""
        return self._patiently(lambda: self._installation.page(name, params, after))

    def rows(self, name: str, params: dict[str, Any], after: int = 0) -> Iterator[dict[str, Any]]:
        """Yield a query's rows, up to the parameter `limit`. Each page is requested when it is needed."""
        return read(lambda asked: self.page(name, asked, after), params)

    def query(self, name: str, params: dict[str, Any], after: int = 0) -> list[dict[str, Any]]:
        """Return the same rows as a list."""
        return list(self.rows(name, params, after))

    def start_workers(self) -> None:
        """Start the workers, with retries."""
        self._patiently(self._installation.start_workers)

    def letters_page(self, params: dict[str, Any]) -> Page:
        """Request the page until there is an answer."""
        return self._patiently(lambda: self._installation.letters_page(params))

    def dead_letters(self, limit: int | None = None) -> Iterator[DeadLetter]:
        """Yield the dead letters, newest first; all, or at most `limit`."""
        return (DeadLetter.of(row) for row in read(self.letters_page, {} if limit is None else {"limit": limit}))

    def dead_letter(self, id: int) -> OpenedLetter | None:
        """Request the letter until there is an answer."""
        return self._patiently(lambda: self._installation.dead_letter(id))

    def replay_dead_letters(self, ids: Sequence[int]) -> list[Replay]:
        """Request the replay until there is an answer; to replay a letter twice is harmless."""
        return self._patiently(lambda: self._installation.replay_dead_letters(ids))

    def records(self, after: int, *, follow: bool) -> Iterator[Recorded]:
        """Yield the records, continuing after the last one if a read breaks off. With `follow` it waits for ever."""
        waiting = Waiting(self._tell)
        while True:
            try:
                for recorded in self._installation.records(after, follow=follow):
                    after = recorded.position
                    waiting.is_over()
                    yield recorded
                return
            except UnavailableError as error:
                limit = self._limit(waiting.began, error)
                waiting.goes_on(error, inf if follow and self._has_met else limit)

    def content(self, dataref: str) -> bytes:
        """Read the content until there is an answer."""
        return self._patiently(lambda: self._installation.content(dataref))

    def rebuild(self, projection: str | None, progress: "Progress | None" = None) -> None:
        """Rebuild without retries."""
        self._installation.rebuild(projection, progress)

    def unpark(self, projection: str, stream: str | None) -> "Unparked":
        """Unpark without retries."""
        return self._installation.unpark(projection, stream)

    def close(self) -> None:
        """Close the wrapped installation."""
        self._installation.close()

    def _patiently(self, question: Callable[[], T]) -> T:
        waiting = Waiting(self._tell)
        while True:
            try:
                answer = question()
            except UnavailableError as error:
                waiting.goes_on(error, self._limit(waiting.began, error))
            else:
                self._has_met = True
                waiting.is_over()
                return answer

    def _limit(self, began: float, error: UnavailableError) -> float:
        """Return the deadline of the retries."""
        is_stranger = isinstance(error, NoConnectionError) and not self._has_met
        self._has_met = not is_stranger
        deadline = began + self._seconds if self._deadline is None else self._deadline
        return min(deadline, began + FIRST_SECONDS) if is_stranger else deadline


class Waiting:
    """One wait: its beginning, and whether `tell` was called."""

    def __init__(self, tell: Tell) -> None:
        self.began = time.monotonic()
        self._tell = tell
        self._was_told = False
        self._pause = FIRST_PAUSE_SECONDS

    def goes_on(self, error: NotReachableError, limit: float) -> None:
        """Sleep until the next try. Raises the error, with the time that was waited, if no time is left."""
        now = time.monotonic()
        if now >= limit:
            raise type(error)(f"{error} (waited {now - self.began:.0f} s)", code=error.code) from error
        if not self._was_told and now - self.began >= SAY_SECONDS:
            self._tell(f"waiting: {error}")
            self._was_told = True
        time.sleep(max(0.0, min(self._pause, limit - now)))
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def is_over(self) -> None:
        """End this wait; the next call begins another one."""
        if self._was_told:
            self._tell(f"answered again after {time.monotonic() - self.began:.0f} s")
        self.began, self._was_told, self._pause = time.monotonic(), False, FIRST_PAUSE_SECONDS
