"""Attacks that take more than one message: floods, crowds of consumers, hanging connections, and listeners."""

import random
import socket
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from chaos.hostile import jetstream, questions
from chaos.hostile.mail import INBOX
from chaos.hostile.wire import HungUp, Message, Wire
from release_management.adapters.nats.access.permissions import CLIENT, USERS

CONSUMERS = 1_000
MOST_HELD = 200
QUESTIONS = 1_500
HALVES = (
    b"HPUB relman.commands.release.create 100 5000000\r\nNATS/1.0\r\n",
    b"PUB relman.commands.release.create 262144\r\n{",
    b"PUB relman.commands.release.create -1\r\n\r\n",
    b"PUB relman.commands.release.create 99999999999999999999\r\n",
    b"HPUB relman.commands.release.create 30 12\r\nNATS/1.0\r\n\r\n\r\n",
    b"PUB " + b"a" * 5_000,
    b"SUB _INBOX.> 1\r\nSUB _INBOX.> 1\r\nUNSUB 1 -1\r\nUNSUB 99999999999999999999\r\n",
    b"CONNECT {\r\n",
    b"INFO {}\r\n+OK\r\n-ERR 'x'\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    b"\x00" * 4_096,
)
LISTENED = ("_INBOX.>", "_INBOX.*.*", "_INBOX.*", "_INBOX_client.>", "_INBOX_*.>", "*.answers.>", "*.>", ">")
"""Subjects of an eavesdropper; a server permits some of them."""
PROBES = (
    b"",
    b"GET",
    b"GET /health HTTP/1.1\r\n",
    b"GET /metrics HTTP/1.0\r\n\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    b"POST /health HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n",
    b"GET /health HTTP/1.1\r\n" + b"".join(b"h%d: 1\r\n" % n for n in range(300)) + b"\r\n",
    b"\xff\xfe\x00\x00\r\n\r\n",
)


class Attack:
    """The attacker: the bus's address, and that of each role's probe, which other programs of the machine can find.

    Whatever a listener overhears is passed to `overheard`.
    """

    def __init__(self, url: str, probes: tuple[str, ...]) -> None:
        self.url = url
        self.probes = probes
        self.overheard: list[bytes] = []
        self.held: list[socket.socket | Wire] = []

    def flood(self, chance: random.Random) -> int:
        """Send many small queries with large answers, which are not read for a while."""
        asked = [
            Message("", subject.encode(), payload, None, f"{INBOX}.{n}".encode())
            for n, (subject, payload) in enumerate(questions.flood(chance, QUESTIONS))
        ]
        with Wire(self.url) as wire:
            wire.subscribe(f"{INBOX}.*", 1)
            wire.publish(asked)
        return len(asked)

    def crowd(self, chance: random.Random) -> int:
        """Create many durable consumers of the events, which stay."""
        names = [f"crowd-{chance.getrandbits(40):x}-{n}" for n in range(CONSUMERS)]
        with Wire(self.url) as wire:
            wire.publish(Message("", *_encoded(jetstream.consumer(name))) for name in names)
        return len(names)

    def hang_up(self, chance: random.Random) -> int:
        """Open connections that end, or hang, in the middle of a message."""
        known = urlsplit(self.url)
        for half in chance.sample(HALVES, 6):
            try:
                if chance.random() < 0.5:
                    with socket.create_connection((known.hostname, known.port or 4222), timeout=5) as connection:
                        connection.sendall(half)
                else:
                    wire = Wire(self.url)
                    wire.write(half)
                    self._hold(wire)
            except (OSError, HungUp):
                continue
        return 6

    def read_slowly(self, chance: random.Random) -> int:
        """Follow everything, and read nothing of it."""
        wire = Wire(self.url)
        for sid, subject in enumerate(USERS[CLIENT].subscribe, 1):
            wire.subscribe(subject, sid)
        wire.sync()
        self._hold(wire)
        return 1

    def listen(self, chance: random.Random) -> int:
        """Listen on the subjects of others' answers, and publish there too."""
        heard: list[bytes] = []

        def take(subject: bytes, payload: bytes) -> None:
            self.overheard.append(payload)
            heard.append(subject)

        with Wire(self.url, take) as wire:
            for sid, subject in enumerate(
                ("_INBOX.>", "_INBOX.*.*", "_INBOX_client.>", "_INBOX_*.>", "*.answers.>", ">")
            ):
                wire.subscribe(subject, sid + 1)
            wire.sync()
            wire.listen(0.5)
            for inbox in heard[-20:]:
                wire.publish([Message("", b"relman.ask.query.position", b"{}", None, inbox)])
                wire.publish([Message("", inbox, b'{"status":"accepted"}')])
        return 1

    def probe(self, chance: random.Random) -> int:
        """Request the roles' health without waiting for the answer, or connect without a request."""
        for address in self.probes:
            host, _, port = address.rpartition(":")
            for request in chance.sample(PROBES, 4):
                try:
                    connection = socket.create_connection((host, int(port)), timeout=5)
                    connection.sendall(request)
                    if chance.random() < 0.7:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                        connection.close()
                    else:
                        self._hold(connection)
                except OSError:
                    continue
        return 4 * len(self.probes)

    def close(self) -> None:
        """Close what is open."""
        for each in self.held:
            each.close()
        self.held.clear()

    def _hold(self, connection: socket.socket | Wire) -> None:
        self.held.append(connection)
        while len(self.held) > MOST_HELD:
            self.held.pop(0).close()


ACTS: Mapping[str, Callable[[Attack, random.Random], int]] = {
    "flood of questions": Attack.flood,
    "crowd of consumers": Attack.crowd,
    "hang up": Attack.hang_up,
    "slow reader": Attack.read_slowly,
    "eavesdropper": Attack.listen,
    "probe": Attack.probe,
}


def _encoded(asked: tuple[str, bytes]) -> tuple[bytes, bytes]:
    return asked[0].encode(), asked[1]
