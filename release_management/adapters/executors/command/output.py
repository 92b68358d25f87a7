"""A program's output, with secrets redacted: the beginning and the end of it are written to its log."""

from collections import deque
from collections.abc import Callable
from typing import BinaryIO, TypeVar

from release_management.adapters.executors.base.masking import MaskedStream, SecretMask

T = TypeVar("T")
HALF = 32 * 1024
"""Bytes. The log keeps this much of the beginning and of the end of a run, 64 kB in all."""


class Tail:
    """The last bytes of a stream."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.lost = 0

    def add(self, chunk: bytes) -> None:
        """Append the chunk, and drop the oldest bytes beyond `HALF`."""
        self.kept += chunk
        over = max(0, len(self.kept) - HALF)
        del self.kept[:over]
        self.lost += over

    def text(self) -> str:
        """Return the kept bytes as text."""
        return self.kept.decode(errors="replace")


class Output:
    """One run's output: `stdout` alone, unredacted, to parse the answer in it, and both streams for the log."""

    def __init__(self, log: BinaryIO, heading: str, secret_mask: SecretMask) -> None:
        self.stdout = Tail()
        self.secret_mask = secret_mask
        self._log = log
        self._begun = 0
        self._late: deque[tuple[bool, bytes]] = deque()
        self._kept = self._lost = 0
        self._streams = {stdout: MaskedStream(secret_mask) for stdout in (True, False)}
        self._last = b""
        self._write(f"--- {heading}\n".encode())

    def add(self, chunk: bytes, *, stdout: bool) -> None:
        """Append a chunk that the program wrote."""
        if stdout:
            self.stdout.add(chunk)
        head, late = chunk[: HALF - self._begun], chunk[HALF - self._begun :]
        self._begun += len(head)
        if head:
            self._show(self._streams[stdout].add(head))
        if late:
            self._keep(stdout, late)

    def answer(self, read: Callable[[str], T]) -> T:
        """Return `read(standard output)`. Raises its `ValueError`, without secrets in the message."""
        text = self.stdout.text()
        try:
            return read(text)
        except ValueError:
            shown = self.secret_mask.text(text)
            if shown == text:
                raise
            read(shown)
        raise ValueError("there is a secret in it")

    @property
    def last_line(self) -> str | None:
        """The last non-empty line of both streams; known once the output is closed."""
        lines = self._last.decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else None

    def close(self) -> None:
        """Write the rest to the log, and close it."""
        if self._lost:
            left_out = self._lost + sum(stream.held for stream in self._streams.values())
            self._write(f"\n--- {left_out} bytes are left out here\n".encode())
            self._streams = {stdout: MaskedStream(self.secret_mask, cut=True) for stdout in (True, False)}
        for stdout, chunk in self._late:
            self._show(self._streams[stdout].add(chunk))
        for stream in self._streams.values():
            self._show(stream.end())
        if self._last and not self._last.endswith(b"\n"):
            self._write(b"\n")
        self._log.close()

    def _keep(self, stdout: bool, chunk: bytes) -> None:
        """Keep a late chunk, and drop the oldest bytes beyond `HALF`."""
        self._late.append((stdout, chunk[-HALF:]))
        self._lost += len(chunk) - len(chunk[-HALF:])
        self._kept += len(chunk[-HALF:])
        while (over := self._kept - HALF) > 0:
            stdout_of_oldest, oldest = self._late.popleft()
            if len(oldest) > over:
                self._late.appendleft((stdout_of_oldest, oldest[over:]))
            dropped = min(over, len(oldest))
            self._kept, self._lost = self._kept - dropped, self._lost + dropped

    def _show(self, shown: bytes) -> None:
        if shown:
            self._last = (self._last + shown)[-1024:]
            self._write(shown)

    def _write(self, data: bytes) -> None:
        self._log.write(data)
        self._log.flush()
