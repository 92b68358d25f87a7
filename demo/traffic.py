"""The load in the story: counts of answers, by component and version."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from types import TracebackType


class Traffic:
    """A running `demo.load`. `total()` counts since the start; differences of two totals are windows."""

    def __init__(self, rate: int, urls: list[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "demo.load", str(rate), *urls], stdout=subprocess.PIPE, text=True
        )
        self._total: Counter[str] = Counter()
        self._last_seen: dict[str, float] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def total(self) -> Counter[str]:
        """Return the answers since the start: `"web 1.0.0"` to a count, and `"failed"`."""
        with self._lock:
            return Counter(self._total)

    def window(self, requests: int, timeout: float = 30.0) -> Counter[str]:
        """Return the next answers, at least this many."""
        before = self.total()
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            window = self.total()
            window.subtract(before)
            if sum(window.values()) >= requests:
                return +window
            time.sleep(0.02)
        raise TimeoutError(f"fewer than {requests} requests came back within {timeout:g} s")

    def last_seen(self, version: str) -> float:
        """Return when a version last answered, on the monotonic clock; to a tenth of a second."""
        with self._lock:
            return max((at for name, at in self._last_seen.items() if name.endswith(f" {version}")), default=0.0)

    def stop(self) -> None:
        """End the load."""
        self._process.terminate()
        self._process.wait()
        self._thread.join()

    def __enter__(self) -> "Traffic":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                counts = json.loads(line)
                with self._lock:
                    self._total.update(counts)
                    self._last_seen.update(dict.fromkeys(counts, time.monotonic()))


def share(window: Counter[str], version: str) -> float:
    """Return the percentage of a window that a version answered."""
    served = sum(count for name, count in window.items() if name.endswith(f" {version}"))
    return 100 * served / sum(window.values())
