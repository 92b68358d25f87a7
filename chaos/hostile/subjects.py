"""Subjects on which a client may publish, and reply subjects."""

import random

from release_management.adapters.nats.access.permissions import CLIENT, USERS
from release_management.adapters.nats.queues import streams
from release_management.domain.registry import FACTS
from release_management.services.queries import QUERIES
from release_management.services.use_cases import COMMANDS

ALLOWED = USERS[CLIENT].publish
"""The subjects on which the server lets a client publish, with its wildcards."""
REPLIES = (
    "$JS.ACK.RELMAN_COMMANDS.gateway.1.1.1.1764500000000000000.0",
    "$JS.ACK.RELMAN_COMMANDS.gateway.999999.1.1.1764500000000000000.64",
    "$JS.ACK.RELMAN_COMMANDS.gateway.x.y.z.a.b",
    "$JS.ACK.RELMAN_ORDERS.local.1.1.1.1764500000000000000.0",
    "$JS.ACK._.hash.RELMAN_COMMANDS.gateway.1.1.1.1764500000000000000.0.token",
    "$JS.ACK",
    "$JS.ACK.",
    "$JS.FC.RELMAN_COMMANDS.gateway.x",
    "$JS.API.STREAM.DELETE.RELMAN_COMMANDS",
    "$JS.API.STREAM.PURGE.RELMAN_DEAD",
    "$JS.API.CONSUMER.DELETE.RELMAN_COMMANDS.gateway",
    "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.RELMAN_COMMANDS.gateway",
    "$SYS.REQ.SERVER.PING.HEALTHZ",
    "_R_.abc.def",
    "_INBOX_gateway.a.1",
    "_INBOX_projector.a.1",
    "_INBOX_orchestrator.a.1",
    "_INBOX_executor-local.a.1",
    "_INBOX_client.somebody.1",
    "_INBOX.somebody.1",
    "_INBOX",
    "_INBOX.",
    "_INBOX..a",
    "_INBOX.*",
    "_INBOX.>",
    "*.answers",
    "somebody.answers",
    "somebody.answers.x.y",
    "relman.answers",
    "relman.commands.release.create",
    "relman.reports.local",
    "relman.looks.local",
    "relman.orders.local.production",
    "relman.events.deployment.started",
    "relman.dead.letter",
    "relman.system.deployment.proceed",
    "relman.ask.command.release.create",
    "relman.ask.query.trail",
    "relman.from.honest.commands.release.create",
    "relman.to.honest._INBOX.a.b",
    ">",
    "*",
    "a" * 4_000,
    ".".join("a" * 1_000),
    "\xff.\xfe",
    "\x7f",
)
TOKENS = (
    "release.create",
    "deployment.deploy",
    "deployment.report_step",
    "deployment.proceed",
    "place.report_condition",
    "replay",
    "trail",
    "metrics_dora",
    "",
    ".",
    "..",
    "a..b",
    "*",
    ">",
    "$JS",
    "$JS.API",
    "\x00",
    "\x01\x1b[31m",
    "\x7f\x80",
    "\xff\xfe",
    "é" * 20,
    "\u202e",
    "a" * 250,
    "a" * 3_500,
    ".".join("b" * 500),
    "RELEASE.CREATE",
    "release.create.x",
    "release_create",
    "../release.create",
    "{sender}",
    "%2e",
)
SENT = (
    (f"{streams.ASK_COMMAND}.", tuple(COMMANDS)),
    (f"{streams.COMMAND_SUBJECTS}.", tuple(COMMANDS)),
    (f"{streams.ASK_QUERY}.", tuple(QUERIES)),
    (f"{streams.EVENT_SUBJECTS}.", tuple(FACTS)),
    (f"{streams.ASK_OUTCOME}", ("",)),
    (f"{streams.ASK_CONTENT}", ("",)),
    (f"{streams.ASK_DEAD_LETTERS}", ("",)),
    (f"{streams.REPLAY_DEAD_LETTERS}", ("",)),
)


def hostile(chance: random.Random) -> bytes:
    """Return a subject, below one on which a client may publish, that perhaps nobody listens to."""
    pattern = chance.choice(ALLOWED)
    filled = [chance.choice(TOKENS) if part in ("*", ">") else part for part in pattern.split(".")]
    if chance.random() < 0.2:
        filled.append(chance.choice(TOKENS))
    return _wire(".".join(filled))


def known(chance: random.Random) -> bytes:
    """Return a subject that somebody listens to, or might."""
    prefix, ends = chance.choice(SENT)
    return _wire(prefix + chance.choice(ends))


def command(chance: random.Random, name: str) -> bytes:
    """Return a command's subject: with an answer, or queued."""
    return _wire(f"{chance.choice((streams.ASK_COMMAND, streams.COMMAND_SUBJECTS))}.{name}")


def reply(chance: random.Random) -> bytes:
    """Return a reply subject where an answer should never go."""
    return _wire(chance.choice(REPLIES))


def _wire(subject: str) -> bytes:
    """Return a subject as bytes, with bytes that would end it replaced."""
    return subject.encode("utf-8", "surrogatepass").translate(None, b" \t\r\n")
