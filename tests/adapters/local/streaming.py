"""A component that answers late, streams, echoes and takes uploads: `python streaming.py PORT JOURNAL`.

A file `JOURNAL.SLOT.ill` makes the slot's instances ill; where it says `hang`, they do not even say so.
"""

import asyncio
import base64
import hashlib
import json
import os
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ILL = Path(f"{sys.argv[2]}.{os.environ['RELMAN_SLOT']}.ill")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = urlsplit(head.split(" ")[1])
        seconds = float(parse_qs(target.query).get("seconds", ["0"])[0])
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])}
        match target.path:
            case "/slow":
                await asyncio.sleep(seconds)
                answer(writer, "late")
            case "/events":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
                while True:
                    writer.write(b"data: here\n\n")
                    await writer.drain()
                    await asyncio.sleep(seconds)
            case "/socket":
                accept = accepted(headers["sec-websocket-key"])
                head = f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
                writer.write(f"HTTP/1.1 101 Switching Protocols\r\n{head}".encode())
                while said := await reader.read(100):
                    writer.write(said)
                    await writer.drain()
            case "/upload":
                body = await reader.readexactly(int(headers["content-length"]))
                answer(writer, f"{len(body)} bytes")
            case "/health" if ILL.exists():
                await asyncio.sleep(60 if ILL.read_text() == "hang" else 0)
                writer.write(b"HTTP/1.1 503 Ill\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            case _:
                answer(writer, json.dumps({"version": os.environ["RELMAN_VERSION"]}))
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()


def accepted(key: str) -> str:
    """RFC 6455, 4.2.2."""
    return base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()


def answer(writer: asyncio.StreamWriter, text: str) -> None:
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode())


async def main(port: int) -> None:
    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
