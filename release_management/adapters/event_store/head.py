"""The newest position that this process has seen."""

import threading

from release_management.adapters.event_store.errors import GapError


class Head:
    """It only rises, and wakes those who wait for it."""

    def __init__(self, position: int) -> None:
        self.position = position
        self._moved = threading.Condition()

    def check(self, position: int, seen_before: int) -> None:
        """Raise `GapError` where the log ends before a position that was seen: records were removed."""
        if position < seen_before:
            raise GapError(f"position {position + 1}", position + 1, None)

    def reached(self, position: int) -> None:
        """The log has a record at this position."""
        if position > self.position:
            with self._moved:
                self.position = max(self.position, position)
                self._moved.notify_all()

    def wake(self) -> None:
        """Let those who wait look at something else than the position."""
        with self._moved:
            self._moved.notify_all()

    def wait(self, after: int, seconds: float) -> bool:
        """Block until it is beyond `after`, or somebody calls `wake`, or the time has passed; whether it is beyond."""
        with self._moved:
            if self.position <= after:
                self._moved.wait(seconds)
            return self.position > after
