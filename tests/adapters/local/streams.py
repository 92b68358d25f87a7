"""A component that streams, and clients that keep their connections open."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import JsonValue

from release_management.adapters.executors.local import haproxy
from release_management.domain.plan.steps.provision import ProvisionSlot
from tests.adapters.local.harness import ExecutorHarness

STREAM = "Accept: text/event-stream\r\n"
TUNNEL = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
SILENCE = 1.5
"""Longer than `answer_timeout` here."""


class Streaming(ExecutorHarness):
    """A component that streams. Where its default is five minutes, it is half a second here."""

    def command(self) -> list[JsonValue]:
        return ["{python}", str(Path(__file__).with_name("streaming.py")), "{port}", str(self.journal), self.component]

    def fall_ill(self, slot: str, how: str = "") -> None:
        """Make the slot's instances unhealthy; with `hang` they do not even answer."""
        Path(f"{self.journal}.{slot}.ill").write_text(how)

    def status_of(self, server: str) -> str:
        """Return HAProxy's status of an instance."""
        return haproxy.table(self.socket())[server].status

    def sessions_of(self, server: str) -> int:
        """Return the number of connections from HAProxy to an instance."""
        return haproxy.table(self.socket())[server].sessions

    def leaving(self) -> list[int | None]:
        """The HAProxies that were replaced and may still have connections."""
        return [each.pid for each in self.state().leaving]


@contextmanager
def asked(harness: ExecutorHarness, path: str, headers: str = "", verb: str = "GET") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", harness.port), timeout=10) as line:
        line.sendall(f"{verb} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        yield line


def events(line: socket.socket, wanted: int) -> int:
    """Count the events, until there are enough or the stream ends."""
    got = b""
    while got.count(b"data: here") < wanted and (chunk := line.recv(1000)):
        got += chunk
    return got.count(b"data: here")


def is_closed(line: socket.socket) -> bool:
    try:
        return line.recv(1000) == b""
    except ConnectionError:
        return True


@contextmanager
def open_tunnel(harness: ExecutorHarness) -> Iterator[socket.socket]:
    with asked(harness, "/socket", TUNNEL) as line:
        assert line.recv(1000).startswith(b"HTTP/1.1 101")
        yield line


def lives(line: socket.socket) -> bool:
    try:
        line.sendall(b"still there?")
        return line.recv(100) == b"still there?"
    except OSError:
        return False


def status(line: socket.socket) -> int:
    """The status of the answer that comes; 0 where the connection is closed without one."""
    head = line.recv(1000).split(b" ")
    return int(head[1]) if len(head) > 1 else 0


def change(harness: ExecutorHarness, slot: str = "blue", version: str = "1.0.0", **balancer: JsonValue) -> None:
    """Deploy the same again with other settings of the balancer."""
    harness.settings["balancer"] = balancer
    harness.do(ProvisionSlot(slot=slot, version=version, replicas=1))
