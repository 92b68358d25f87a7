"""A client of the bus that writes any bytes: what a library would not let it write."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit


class RawClient:
    """Publishes with header blocks and subjects as they are given."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def publish(self, subject: bytes, payload: bytes, block: bytes | None = None, reply: bytes = b"") -> None:
        """Publish, and return once the server has it. `block`: the header block with its end; None: no headers."""
        about = subject + (b" " + reply if reply else b"")
        if block is None:
            self._writer.write(b"PUB %s %d\r\n%s\r\n" % (about, len(payload), payload))
        else:
            sizes = len(block), len(block) + len(payload)
            self._writer.write(b"HPUB %s %d %d\r\n%s%s\r\n" % (about, *sizes, block, payload))
        await self._flush()

    async def ask(self, subject: bytes, payload: bytes, block: bytes | None = None) -> bytes:
        """The first answer to a request, headers included; a request to a stream is answered with the receipt."""
        inbox = b"_INBOX.raw"
        self._writer.write(b"SUB %s 1\r\nUNSUB 1 1\r\n" % inbox)
        await self.publish(subject, payload, block, reply=inbox)
        async with asyncio.timeout(30):
            line = (await self._line()).split()
            assert line[0] in (b"MSG", b"HMSG"), line
            return await self._reader.readexactly(int(line[-1]) + 2)

    async def _flush(self) -> None:
        self._writer.write(b"PING\r\n")
        await self._writer.drain()

    async def _line(self) -> bytes:
        while True:
            line = await self._reader.readline()
            if not line.startswith((b"PONG", b"PING")):
                return line

    async def open(self, user: str, password: str) -> None:
        """Log in."""
        await self._reader.readline()
        about = {"user": user, "pass": password, "headers": True, "no_responders": True, "verbose": False}
        self._writer.write(b"CONNECT " + json.dumps(about).encode() + b"\r\n")
        await self._flush()
        assert await self._reader.readline() == b"PONG\r\n"


@contextlib.asynccontextmanager
async def raw_client(url: str) -> AsyncIterator[RawClient]:
    """Connected as the user of the address."""
    known = urlsplit(url)
    reader, writer = await asyncio.open_connection(known.hostname, known.port)
    client = RawClient(reader, writer)
    await client.open(known.username or "", known.password or "")
    try:
        yield client
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
