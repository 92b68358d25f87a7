"""Requests at a steady rate, each over a fresh connection and never retried: `python -m demo.load RATE URL…`.

Every tenth of a second it prints the answers since the last line, as JSON: `{"web 1.0.0": 12, "failed": 0}`. The
version is the one that the serving process states.
"""

import asyncio
import json
import sys
from collections import Counter
from urllib.parse import urlsplit

REPORT_SECONDS = 0.1
TIMEOUT_SECONDS = 10.0


async def main(rate: float, urls: list[str]) -> None:
    """Send until killed, the URLs in turn."""
    seen: Counter[str] = Counter()
    reporting = asyncio.ensure_future(_report(seen))
    loop = asyncio.get_running_loop()
    begun, number = loop.time(), 0
    under_way: set[asyncio.Task[None]] = {reporting}
    while True:
        task = asyncio.ensure_future(_request(urls[number % len(urls)], seen))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        number += 1
        await asyncio.sleep(max(0.0, begun + number / rate - loop.time()))


async def _report(seen: Counter[str]) -> None:
    while True:
        await asyncio.sleep(REPORT_SECONDS)
        print(json.dumps(seen), flush=True)
        seen.clear()


async def _request(url: str, seen: Counter[str]) -> None:
    try:
        seen[await asyncio.wait_for(_served_by(url), TIMEOUT_SECONDS)] += 1
    except (OSError, ValueError, KeyError, TimeoutError, asyncio.IncompleteReadError):
        seen["failed"] += 1


async def _served_by(url: str) -> str:
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        writer.write(f"GET / HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        if head.split(b" ", 2)[1] != b"200":
            raise ValueError(head.split(b"\r\n", 1)[0].decode(errors="replace"))
        answer = json.loads(body)
        return f"{answer['component']} {answer['version']}"
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), sys.argv[2:]))
