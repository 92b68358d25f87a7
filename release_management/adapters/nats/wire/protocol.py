"""Parse what a nats-server sends, even a subject that nats-py does not expect.

nats-py splits a line at every kind of white space; a server only at spaces. One message on the subject `a\\vb` made it
drop the connection each time that the message came.
"""

import asyncio
import json
from typing import Protocol

from nats.errors import ProtocolError

MAX_LINE_BYTES = 1024 * 1024  # an INFO line names every server of a cluster
_END = b"\r\n"
_WITHOUT_REPLY = {b"MSG": 4, b"HMSG": 5}
"""The number of fields of a message's line without a reply subject."""


class Receiver(Protocol):
    """The receiver of what a server sent: nats-py's client."""

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None: ...
    async def _process_err(self, err_msg: str) -> None: ...
    async def _process_ping(self) -> None: ...
    async def _process_pong(self) -> None: ...
    async def _process_info(self, info: dict[str, object], initial_connection: bool = False) -> None: ...


class Parser:
    """Splits the bytes from a server into lines and messages, and passes them on."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.reset()

    def reset(self) -> None:
        """Start anew, with a new connection."""
        self._buffer = bytearray()
        self._message: tuple[bytes, int, bytes, int, int] | None = None
        """The subject, subscription and reply subject of the incoming message, and its headers' and its size."""

    async def parse(self, data: bytes = b"") -> None:
        """Parse more bytes. Raises `ProtocolError` if a nats-server would not send them.

        Other tasks of the loop run first: as long as bytes are available, nats-py reads on without a pause.
        """
        await asyncio.sleep(0)
        self._buffer.extend(data)
        while True:
            if self._message is not None:
                if not await self._take_message(self._message):
                    return
                continue
            end = self._buffer.find(_END)
            if end < 0:
                if len(self._buffer) > MAX_LINE_BYTES:
                    raise ProtocolError
                return
            line = bytes(self._buffer[:end])
            del self._buffer[: end + len(_END)]
            await self._take_line(line)

    async def _take_message(self, message: tuple[bytes, int, bytes, int, int]) -> bool:
        """Pass the message on; return False if the rest of it has not arrived yet."""
        subject, subscription, reply, headers_size, size = message
        if len(self._buffer) < size + len(_END):
            return False
        headers, payload = bytes(self._buffer[:headers_size]), bytes(self._buffer[headers_size:size])
        del self._buffer[: size + len(_END)]
        self._message = None
        await self._receiver._process_msg(subscription, subject, reply, payload, headers)
        return True

    async def _take_line(self, line: bytes) -> None:
        verb, _, rest = line.partition(b" ")
        match verb.strip().upper():
            case b"MSG" | b"HMSG":
                self._message = _message(line)
            case b"PING":
                await self._receiver._process_ping()
            case b"PONG":
                await self._receiver._process_pong()
            case b"+OK":
                return
            case b"-ERR":
                await self._receiver._process_err(rest.decode(errors="replace").lower())
            case b"INFO":
                await self._receiver._process_info(json.loads(rest))
            case _:
                raise ProtocolError


def _message(line: bytes) -> tuple[bytes, int, bytes, int, int]:
    """Parse `MSG subject subscription [reply] size`, or `HMSG subject subscription [reply] headers-size size`."""
    verb, *fields = [field for field in line.split(b" ") if field]
    without = _WITHOUT_REPLY[verb.upper()] - 1
    if len(fields) not in (without, without + 1):
        raise ProtocolError
    reply = fields[2] if len(fields) > without else b""
    try:
        subscription, size = int(fields[1]), int(fields[-1])
        headers_size = int(fields[-2]) if verb.upper() == b"HMSG" else 0
    except ValueError:
        raise ProtocolError from None
    if not 0 <= headers_size <= size:
        raise ProtocolError
    return fields[0], subscription, reply, headers_size, size
