"""The newest position that this process has seen."""

import threading

from release_management.adapters.event_store.errors import GapError


class Head:
    """A position that only rises. Threads can wait for it."""

    def __init__(self, position: int) -> None:
        self.position = position
        self._moved = threading.Condition()

    def check(self, position: int, seen_before: int) -> None:
        """Raise `GapError` if the log ends before a position that was seen: records were removed."""
        if position < seen_before:
            raise GapError(f"position {position + 1}", position + 1, None)

    def reached(self, position: int) -> None:
        """Raise the position to that of a record in the log."""
        if position > self.position:
            with self._moved:
                self.position = max(self.position, position)
                self._moved.notify_all()

    def wake(self) -> None:
        """Wake all waiting threads, to let them look at something else than the position."""
        with self._moved:
            self._moved.notify_all()

    def wait(self, after: int, seconds: float) -> bool:
        """Block until the position is beyond `after` (return True), or `wake` is called, or the time is over."""
        with self._moved:
            if self.position <= after:
                self._moved.wait(seconds)
            return self.position > after
