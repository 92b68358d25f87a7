"""Command lines that nobody would type, made from the existing commands."""

import random
from collections.abc import Iterator, Mapping
from typing import Any

import typer

from chaos.hostile import values
from chaos.hostile.commands import NAMES, identity
from release_management.cli.app import build

STAYS = frozenset({"init", "up", "down", "serve", "tail"})
"""Commands that start or end something, write files, or never end: not typed."""
UNTYPED = frozenset({"--wait", "--ready-fd", "--output", "--data"})
"""Options that wait, or write files."""
LONGEST = 20_000
PLAUSIBLE = (
    *NAMES,
    "hostile@1.0.0",
    "hostile@",
    "@1.0.0",
    "hostile@1.0.0@1.0.0",
    "hostile/web",
    "0",
    "-1",
    "1",
    "1000",
    "1001",
    "99999999999999999999",
    "1e9",
    "nan",
    "1970-01-01",
    "9999-12-31T23:59:59.999999Z",
    "0000-00-00",
    "99999999999d",
    "-5m",
    "a=b",
    "=",
    "a=",
    "[]",
    '{"a":1}',
    "/dev/zero",
    "/proc/self/mem",
    ".",
    "-",
    "--",
    "--json",
    "UTC",
    "../../etc/passwd",
    "127.0.0.1:1",
    "nats://127.0.0.1:1",
)


def command_line(seed: int, number: int) -> list[str]:
    """Return the command line of this number."""
    chance = random.Random(f"{seed}/arguments/{number}")
    names, command = chance.choice(COMMANDS)
    words = list(names)
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            words += [_word(chance) for _ in range(chance.choice((1, 1, 1, 1, 0, 2)))]
        elif UNTYPED.isdisjoint(parameter.opts) and (parameter.required or chance.random() < 0.25):
            words += [parameter.opts[0], *([] if parameter.is_flag else [_word(chance)])]
    if chance.random() < 0.1:
        words.insert(chance.randint(0, len(words)), _word(chance))
    return [word for word in words if word != "--wait"]


def _word(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.1:
        return identity(chance)
    if kind < 0.6:
        return chance.choice(PLAUSIBLE)
    # A shell hands over no NUL, and half a character as Python reads it from bytes that are none.
    made = values.text(chance, LONGEST).replace("\x00", "")[:LONGEST]
    return made if chance.random() < 0.9 else made + "\udcff"


def _leaves(command: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    inner: Mapping[str, Any] = getattr(command, "commands", {})
    for name, each in inner.items():
        if name not in STAYS:
            yield from _leaves(each, (*names, name))
    if not inner:
        yield names, command


COMMANDS = tuple(_leaves(typer.main.get_command(build())))
