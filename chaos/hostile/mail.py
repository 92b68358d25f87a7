"""Number the messages: message `n` of a seed is always the same one, and can be made alone."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from chaos.hostile import commands, headers, jetstream, questions, subjects, values
from chaos.hostile.wire import Message

INBOX = "_INBOX.hostile"
MOST_BYTES = 1024 * 1024
"""The server accepts no more, and closes the connection of a sender who tries, which would cost the attacker time."""
Make = Callable[[random.Random], Message]


def message(seed: int, number: int) -> Message:
    """Return the message of this number."""
    chance = random.Random(f"{seed}/{number}")
    [kind] = chance.choices(NAMES, WEIGHTS)
    if kind == REPLAYED and number:
        return replace(message(seed, chance.randrange(number)), kind=REPLAYED)
    made = replace(MAKERS[kind](chance), kind=kind)
    return made if len(made.payload) + len(made.headers or b"") <= MOST_BYTES else replace(made, payload=b"")


def _with_block(block: Callable[[random.Random], bytes]) -> Make:
    def make(chance: random.Random) -> Message:
        name, event = commands.command(chance)
        payload = values.members(event, {}) if chance.random() < 0.9 else commands.documents(chance)
        subject = subjects.command(chance, name) if chance.random() < 0.8 else subjects.known(chance)
        return Message("", subject, payload, block(chance), _inbox(chance))

    return make


def _command(written: Callable[[random.Random], tuple[str, bytes]]) -> Make:
    def make(chance: random.Random) -> Message:
        name, payload = written(chance)
        return Message("", subjects.command(chance, name), payload, None, _inbox(chance))

    return make


def _request(written: Callable[[random.Random], tuple[str, bytes]]) -> Make:
    def make(chance: random.Random) -> Message:
        subject, payload = written(chance)
        wire = subject.encode().translate(None, b" \t\r\n")
        return Message("", wire, payload, None, _inbox(chance))

    return make


def _document(chance: random.Random) -> Message:
    return Message("", subjects.known(chance), commands.documents(chance), None, _inbox(chance))


def _reply(chance: random.Random) -> Message:
    if chance.random() < 0.5:
        subject, payload = questions.question(chance)
        return Message("", subject.encode(), payload, None, subjects.reply(chance))
    name, event = commands.command(chance)
    return Message("", subjects.command(chance, name), values.members(event, {}), None, subjects.reply(chance))


def _reply_to(chance: random.Random) -> Message:
    name, event = commands.command(chance)
    where = subjects.reply(chance)
    block = b"NATS/1.0\r\nRelman-Reply-To: " + where + b"\r\n\r\n"
    return Message("", f"relman.commands.{name}".encode(), values.members(event, {}), block)


def _subject(chance: random.Random) -> Message:
    payload = values.members(commands.command(chance)[1], {}) if chance.random() < 0.8 else commands.documents(chance)
    return Message("", subjects.hostile(chance), payload, None, _inbox(chance))


def _binary(chance: random.Random) -> Message:
    name, block, content = commands.binary(chance)
    return Message("", subjects.command(chance, name), content, block, _inbox(chance))


def _size(chance: random.Random) -> Message:
    name, event = commands.command(chance)
    size = chance.choice((262_143, 262_144, 262_145, 500_000, MOST_BYTES - 1))
    payload = values.members(event, {}).ljust(size, chance.choice((b" ", b"\x00", b"\x01")))
    return Message("", subjects.command(chance, name), payload, None, _inbox(chance))


def _letter(chance: random.Random) -> Message:
    """Return a message that we quote in the reason why we do not understand it."""
    field = chance.choice(("specversion", "type", "source", "id"))
    letter = chance.choice(("\\u0001", "\\u009b", "\\\\", "\U0001f4a9"))
    quoted = letter * chance.choice((300, 5_000, 43_000, 60_000))
    payload = values.members(commands.document("release.create", {}, "a"), {field: f'"{quoted}"'})
    return Message("", subjects.command(chance, "release.create"), payload, None, _inbox(chance))


def _inbox(chance: random.Random) -> bytes:
    return f"{INBOX}.{chance.randrange(1_000_000)}".encode() if chance.random() < 0.7 else b""


REPLAYED = "replay"
KINDS: Mapping[str, tuple[int, Make]] = {
    **{name: (8, _with_block(block)) for name, block in headers.BLOCKS.items()},
    "attribute": (10, _command(commands.mutated_attribute)),
    "data": (10, _command(commands.mutated_data)),
    "id or source": (6, _command(commands.identities)),
    "binary mode": (3, _binary),
    "document": (5, _document),
    "size": (1, _size),
    "long quotation": (1, _letter),
    "subject": (6, _subject),
    "reply subject": (5, _reply),
    "Relman-Reply-To": (3, _reply_to),
    "question": (8, _request(questions.question)),
    "no question": (5, _request(questions.none)),
    "JetStream": (4, _request(jetstream.asked)),
    REPLAYED: (5, _document),
}
"""The kinds of messages, with their relative frequencies and makers."""
NAMES = tuple(KINDS)
WEIGHTS = tuple(weight for weight, _ in KINDS.values())
MAKERS = {name: make for name, (_, make) in KINDS.items()}
