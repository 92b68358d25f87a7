"""Write and read the bus's protocol byte by byte: a client library refuses to write what an attacker does."""

import json
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import NoReturn, Self
from urllib.parse import unquote, urlsplit

TIMEOUT_SECONDS = 30.0
READ_BYTES = 1 << 20
WRITE_BYTES = 1 << 18
LAST_WORDS_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Message:
    """A message to publish. `headers` is the whole block; None: no headers."""

    kind: str
    subject: bytes
    payload: bytes = b""
    headers: bytes | None = None
    reply: bytes = b""

    def frame(self) -> bytes:
        """Return the bytes for the server."""
        reply = self.reply + b" " if self.reply else b""
        if self.headers is None:
            return b"PUB %b %b%d\r\n%b\r\n" % (self.subject, reply, len(self.payload), self.payload)
        size = len(self.headers)
        head = b"HPUB %b %b%d %d\r\n" % (self.subject, reply, size, size + len(self.payload))
        return head + self.headers + self.payload + b"\r\n"


class HungUp(Exception):
    """The server has closed the connection; the text is its last message."""


class Wire:
    """A connection to the bus. `heard` is called with the subject and the payload of every message.

    `refused` counts the server's errors about messages, without the subjects.
    """

    def __init__(self, url: str, heard: Callable[[bytes, bytes], None] = lambda subject, payload: None) -> None:
        self._heard = heard
        self._buffer = bytearray()
        self._pongs = 0
        self._last_words = ""
        self.refused: Counter[str] = Counter()
        known = urlsplit(url)
        self._socket = socket.create_connection((known.hostname, known.port or 4222), timeout=TIMEOUT_SECONDS)
        self._socket.settimeout(TIMEOUT_SECONDS)
        login = {
            "user": unquote(known.username or ""),
            "pass": unquote(known.password or ""),
            "verbose": False,
            "pedantic": False,
            "headers": True,
            "no_responders": True,
            "name": "somebody",
        }
        self.write(b"CONNECT " + json.dumps(login).encode() + b"\r\n")
        self.sync()

    def subscribe(self, subject: str, sid: int) -> None:
        """Subscribe to a subject."""
        self.write(f"SUB {subject} {sid}\r\n".encode())

    def publish(self, messages: Iterable[Message]) -> None:
        """Write all messages, and wait until the server has read them. Raises `HungUp`."""
        self.write(b"".join(message.frame() for message in messages))
        self.sync()

    def write(self, written: bytes) -> None:
        """Write bytes as they are, and read incoming ones meanwhile. Raises `HungUp`."""
        left = memoryview(written)
        self._socket.setblocking(False)
        try:
            while left:
                readable, writable, _ = select.select([self._socket], [self._socket], [], TIMEOUT_SECONDS)
                if writable:
                    left = left[self._socket.send(left[:WRITE_BYTES]) :]
                elif readable:
                    self._read()
                else:
                    raise TimeoutError(f"the server has read nothing for {TIMEOUT_SECONDS:g} s")
        except OSError as error:
            self._hang_up(error)
        finally:
            with suppress(OSError):
                self._socket.settimeout(TIMEOUT_SECONDS)

    def sync(self) -> None:
        """Wait until the server has read everything, and answered. Raises `HungUp`."""
        before = self._pongs
        self.write(b"PING\r\n")
        while self._pongs == before:
            self._read()

    def listen(self, seconds: float) -> None:
        """Read for so many seconds. Raises `HungUp`."""
        give_up = time.monotonic() + seconds
        try:
            while (left := give_up - time.monotonic()) > 0:
                self._socket.settimeout(left)
                self._read()
        except TimeoutError:
            pass
        finally:
            self._socket.settimeout(TIMEOUT_SECONDS)

    def close(self) -> None:
        """Disconnect at once."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> None:
        try:
            came = self._socket.recv(READ_BYTES)
        except TimeoutError:
            raise
        except OSError as error:
            self._hang_up(error)
        if not came:
            self._hang_up(None)
        self._buffer += came
        while self._take():
            pass

    def _take(self) -> bool:
        """Consume one line, and its payload, from the buffer; return False if it is not complete yet."""
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        line = bytes(self._buffer[:end])
        verb, _, rest = line.partition(b" ")
        if verb in (b"MSG", b"HMSG"):
            words = rest.split(b" ")
            size = int(words[-1])
            if len(self._buffer) < end + 2 + size + 2:
                return False
            headers = int(words[-2]) if verb == b"HMSG" else 0
            payload = bytes(self._buffer[end + 2 + headers : end + 2 + size])
            del self._buffer[: end + 2 + size + 2]
            self._heard(words[0], payload)
            return True
        del self._buffer[: end + 2]
        if verb == b"PONG":
            self._pongs += 1
        elif verb == b"PING":
            with suppress(OSError):
                self._socket.sendall(b"PONG\r\n")
        elif verb == b"-ERR":
            self._last_words = rest.decode(errors="replace")
            self.refused[self._last_words.partition(" to ")[0].strip("'")[:60]] += 1
        return True

    def _hang_up(self, error: OSError | None) -> NoReturn:
        with suppress(OSError):
            self._socket.settimeout(LAST_WORDS_SECONDS)
            while came := self._socket.recv(READ_BYTES):
                self._buffer += came
        while self._take():
            pass
        raise HungUp(self._last_words or str(error or "the server closed the connection"))
