"""Blocks of headers before a message, including those that a library refuses to write."""

import random
from collections.abc import Callable, Mapping

from chaos.hostile.values import LETTERS, text

END = b"\r\n"
PLAIN = b"NATS/1.0\r\n"
STATUSES = (100, 101, 200, 400, 403, 404, 408, 409, 412, 423, 500, 503, 504, 999, 0, -1)
DESCRIPTIONS = (
    b"",
    b"No Messages",
    b"Request Timeout",
    b"Consumer Deleted",
    b"Message Size Exceeds MaxBytes",
    b"Leadership Change",
    b"Idle Heartbeat",
    b"FlowControl Request",
    b"Exceeded MaxAckPending",
    b"Server Shutdown",
    b"\xff\xfe",
)
FIRST_LINES = (
    b"",
    b"\r\n",
    b"NATS/1.0",
    b"NATS/1.0 ",
    b"NATS/1.0\n",
    b"NATS/1.0 \xff\r\n",
    b"NATS/1.0\xff\r\n",
    b"NATS/1.0 409\xff\r\n",
    b"NATS/1.0 \x00\r\n",
    b"NATS/1.0 4\r\n",
    b"NATS/1.0 40a Gone\r\n",
    b"NATS/1.0409 Consumer Deleted\r\n",
    b"NATS/1.0 503\r\n",
    b"NATS/1.0 100 FlowControl Request\r\n",
    b"NATS/1.0 100 Idle Heartbeat\r\n",
    b"NATS/1.0 408 Request Timeout\r\n",
    b"NATS/2.0\r\n",
    b"nats/1.0\r\n",
    b"HTTP/1.1 409 Conflict\r\n",
    b"\xef\xbb\xbfNATS/1.0\r\n",
    b"\xff" * 64 + b"\r\n",
)
MEANT = (
    "Status",
    "status",
    "STATUS",
    "Description",
    "Nats-Msg-Id",
    "Nats-Expected-Stream",
    "Nats-Expected-Last-Sequence",
    "Nats-Expected-Last-Subject-Sequence",
    "Nats-Expected-Last-Subject-Sequence-Subject",
    "Nats-Expected-Last-Msg-Id",
    "Nats-Rollup",
    "Nats-TTL",
    "Nats-Marker-Reason",
    "Nats-Incr",
    "Nats-Counter-Sources",
    "Nats-Batch-Id",
    "Nats-Batch-Sequence",
    "Nats-Batch-Commit",
    "Nats-Schedule",
    "Nats-Schedule-Target",
    "Nats-Schedule-TTL",
    "Nats-Trace-Dest",
    "Nats-Trace-Only",
    "Nats-Request-Info",
    "Nats-Required-Api-Level",
    "Nats-Service-Error",
    "Nats-Service-Error-Code",
    "Nats-Last-Consumer",
    "Nats-Last-Stream",
    "Nats-Consumer-Stalled",
    "Nats-Pending-Messages",
    "Nats-Pending-Bytes",
    "Nats-Response-Type",
    "Nats-Stream",
    "Nats-Subject",
    "Nats-Sequence",
    "Nats-Time-Stamp",
    "Nats-Num-Pending",
    "Nats-Stream-Source",
    "Nats-Msg-Size",
    "KV-Operation",
    "Relman-Actor",
    "relman-actor",
    "Relman-Reply-To",
    "Relman-Position",
    "Relman-Client",
    "Relman-Sender",
    "content-type",
    "Content-Type",
    "ce-id",
    "ce-source",
    "ce-type",
    "ce-specversion",
    "traceparent",
)
"""Names with a meaning for us, the server or a client library."""
VALUES = (
    "",
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "18446744073709551616",
    "all",
    "sub",
    "never",
    "1ns",
    "409",
    "408",
    "404",
    "100",
    "503",
    "RELMAN_COMMANDS",
    "RELMAN_EVENTS",
    "RELMAN_DEAD",
    "relman.commands.release.create",
    "relman.reports.local",
    "relman.events.deployment.started",
    "relman.dead.letter",
    "relman.ask.command.release.create",
    "$JS.API.STREAM.DELETE.RELMAN_COMMANDS",
    "$JS.ACK.RELMAN_COMMANDS.gateway.1.1.1.1.0",
    "_INBOX.>",
    "_INBOX_gateway.1.1",
    "_INBOX_client.a.b",
    "somebody.answers",
    "*.answers",
    ">",
    "@every 1s",
    "system:orchestrator",
    "executor:local",
    "application/json",
    "application/cloudevents+json",
    "application/cloudevents+json; charset=utf-16",
)


def status(chance: random.Random) -> bytes:
    """Return a header that claims to be a status of the server."""
    code = chance.choice(STATUSES)
    name = chance.choice((b"Status", b"status", b"STATUS", b"Status ", b" Status"))
    lines = [b"%b: %d" % (name, code)]
    if chance.random() < 0.5:
        lines.append(b"Description: " + chance.choice(DESCRIPTIONS))
    if chance.random() < 0.2:
        lines.insert(0, b"Status: 200")
    return PLAIN + END.join(lines) + END + END


def first_line(chance: random.Random) -> bytes:
    """Return a block with a wrong first line."""
    block = chance.choice(FIRST_LINES)
    if chance.random() < 0.3:
        block = b"NATS/1.0 %d %b\r\n" % (chance.choice(STATUSES), chance.choice(DESCRIPTIONS))
    if chance.random() < 0.4:
        block += b"Nats-Msg-Id: a\r\n"
    return block + (b"\r\n" if chance.random() < 0.7 else b"")


def meant(chance: random.Random) -> bytes:
    """Return headers that have a meaning."""
    lines = []
    for name in chance.sample(MEANT, chance.randint(1, 5)):
        value = chance.choice(VALUES) if chance.random() < 0.7 else text(chance, 4_000)
        lines.append(f"{name}: {value}".encode("utf-8", "surrogatepass"))
    return PLAIN + END.join(lines) + END + END


def twice(chance: random.Random) -> bytes:
    """Return the same header several times, in several spellings."""
    name = chance.choice(MEANT)
    spellings = (name, name.lower(), name.upper(), name + " ", "\t" + name)
    lines = [f"{chance.choice(spellings)}:{chance.choice(VALUES)}".encode() for _ in range(chance.randint(2, 40))]
    return PLAIN + END.join(lines) + END + END


def broken(chance: random.Random) -> bytes:
    """Return a block with a few of its bytes changed, inserted or left out."""
    block = bytearray(chance.choice((status, meant, twice))(chance))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(block))
        match chance.randrange(4):
            case 0:
                block[at] = chance.randrange(256)
            case 1:
                block.insert(at, chance.choice(b"\x00\r\n:\xff \t"))
            case 2 if len(block) > 1:
                del block[at]
            case _:
                block[at:at] = chance.choice(LETTERS).encode("utf-8", "surrogatepass")
    return bytes(block)


def enormous(chance: random.Random) -> bytes:
    """Return very many headers, a very long one, or none at all."""
    match chance.choices(range(4), (4, 1, 2, 8))[0]:
        case 0:
            return PLAIN + b"".join(b"h%d: %d\r\n" % (n, n) for n in range(chance.choice((100, 300, 4_000)))) + END
        case 1:
            size = chance.choice((4_096, 65_536, 250_000))
            return PLAIN + chance.choice(MEANT).encode() + b": " + b"\x01" * size + END + END
        case 2:
            return PLAIN + b"n" * chance.choice((4_096, 65_536)) + b": 1\r\n\r\n"
        case _:
            return chance.choice((PLAIN + END, PLAIN, b"\r\n\r\n", b" ", b"\x00"))


BLOCKS: Mapping[str, Callable[[random.Random], bytes]] = {
    "header status": status,
    "header first line": first_line,
    "header with a meaning": meant,
    "header twice": twice,
    "header bytes": broken,
    "header size": enormous,
}
