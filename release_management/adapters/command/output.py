"""What a program writes: to its log as it comes, the beginning and the end of it; the end in memory."""

from typing import BinaryIO

HALF = 32 * 1024
"""Bytes. The log keeps as many of the beginning and of the end of a run, so 64 kB in all."""


class Tail:
    """The last bytes of a stream."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.lost = 0

    def add(self, chunk: bytes) -> None:
        """Keep the chunk, and forget what is too old for it."""
        self.kept += chunk
        over = max(0, len(self.kept) - HALF)
        del self.kept[:over]
        self.lost += over

    def text(self) -> str:
        """What was kept, as text."""
        return self.kept.decode(errors="replace")


class Output:
    """One run's output: `stdout` alone for the answer in it, and both streams for the log."""

    def __init__(self, log: BinaryIO, heading: str) -> None:
        self.stdout = Tail()
        self._log = log
        self._begun = 0
        self._end = Tail()
        self._last = b""
        self._write(f"--- {heading}\n".encode())

    def add(self, chunk: bytes, *, stdout: bool) -> None:
        """Take in what the program wrote."""
        if stdout:
            self.stdout.add(chunk)
        head = chunk[: HALF - self._begun]
        self._begun += len(head)
        self._end.add(chunk[len(head) :])
        self._last = (self._last + chunk)[-1024:]
        if head:
            self._write(head)

    @property
    def last_line(self) -> str | None:
        """The last line of both streams that is not empty."""
        lines = self._last.decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else None

    def close(self) -> None:
        """Write what is left to the log."""
        if self._end.lost:
            self._write(f"\n--- {self._end.lost} bytes are left out here\n".encode())
        self._write(bytes(self._end.kept))
        if self._last and not self._last.endswith(b"\n"):
            self._write(b"\n")
        self._log.close()

    def _write(self, data: bytes) -> None:
        self._log.write(data)
        self._log.flush()
