"""A tiny HTTP component, for `relman init`, demos and tests.

Every GET is answered with `{"component", "version", "pid"}`, or 503 with `--errors`; `/health` with 200, or 503 with
`--fail`. With `--journal` it appends a line when it starts and when it stops: `start <component> <version> <pid>
<instance>`.

On SIGTERM it finishes the requests in flight, then ends.
"""

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

_REASONS = {200: "OK", 405: "Method Not Allowed", 503: "Service Unavailable"}
_MAX_HEAD = 65_536


class Sample(asyncio.Protocol):
    """One client's connection: requests without a body, one after the other."""

    busy: ClassVar[set["Sample"]] = set()
    stopping = False

    def __init__(self, answer: bytes, delay: float, fail: bool, errors: bool = False) -> None:
        self.answer = answer
        self.delay = delay
        self.fail = fail
        self.errors = errors
        self.received = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of a new client. asyncio sets TCP_NODELAY."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect bytes, and answer when the request is complete."""
        self.received += data
        if len(self.received) > _MAX_HEAD and self.transport is not None:
            self.transport.abort()
        elif self not in self.busy:
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self.transport = None
        self.busy.discard(self)

    def _next(self) -> None:
        head, end, rest = self.received.partition(b"\r\n\r\n")
        if end:
            self.received = rest
            self.busy.add(self)
            if self.delay:
                asyncio.get_running_loop().call_later(self.delay, self._respond, head)
            else:
                self._respond(head)

    def _respond(self, head: bytes) -> None:
        self.busy.discard(self)
        if self.transport is None:
            return
        line, *headers = head.split(b"\r\n")
        method, path, protocol = [*line.split(b" "), b"", b""][:3]
        failing = self.fail if path.partition(b"?")[0] == b"/health" else self.errors
        status = 405 if method not in (b"GET", b"HEAD") else 503 if failing else 200
        close = self.stopping or protocol != b"HTTP/1.1" or any(_closes(each) for each in headers)
        start = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(self.answer)}\r\nconnection: {'close' if close else 'keep-alive'}\r\n\r\n"
        )
        # One write: a header that is sent alone makes the body wait for the client's delayed acknowledgement.
        self.transport.write(start.encode() + (b"" if method == b"HEAD" else self.answer))
        if close:
            self.transport.close()
        else:
            self._next()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="release_management.sample", description="A tiny HTTP component.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--component", default="sample")
    parser.add_argument("--journal", help="append a line to this file at start and stop")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--fail", action="store_true", help="answer /health with 503")
    parser.add_argument("--errors", action="store_true", help="answer everything but /health with 503")
    asyncio.run(_serve(parser.parse_args(arguments)))


async def _serve(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    answer = json.dumps({"component": options.component, "version": options.version, "pid": os.getpid()}).encode()
    make = partial(Sample, answer, options.delay, options.fail, options.errors)
    server = await loop.create_server(make, "127.0.0.1", options.port, backlog=1024)
    _note(options, "start")
    await stopped.wait()
    Sample.stopping = True
    server.close()
    while Sample.busy:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    _note(options, "stop")


def _note(options: argparse.Namespace, event: str) -> None:
    if options.journal is None:
        return
    instance = os.environ.get("RELMAN_INSTANCE", "-")
    line = f"{event} {options.component} {options.version} {os.getpid()} {instance}\n"
    file = os.open(options.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def _closes(header: bytes) -> bool:
    name, _, value = header.lower().partition(b":")
    return name.strip() == b"connection" and b"close" in value


if __name__ == "__main__":
    main()
