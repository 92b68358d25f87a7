"""Mutated `relman.yaml` files, as nobody would write them."""

import random

from chaos.hostile import values

GOOD = """\
environments:
  hostile:
    name: Hostile
    tier: testing
    order: 7
    variables: {MODE: test}
    targets:
      main:
        executor: command
        components:
          web:
            commands: {provision: ["true"], await_healthy: ["true"], retire: ["true"], route: ["true"]}
            timeout: 1m
pipelines:
  Hostile pipeline: {application: hostile, stages: [hostile]}
policies:
  hostile:
    strategy: canary
    options: {initial_traffic: 5, increment: 10}
    gates: {scan: {required: true}}
releases:
  - {application: hostile, version: 1.0.0, components: [web], changelog: [one]}
"""
WRITTEN = (
    "~",
    "!!python/object/apply:os.system [id]",
    "!!binary aGVsbG8=",
    "&a [*a]",
    "*nobody",
    "<<: *nobody",
    "? [1, 2]\n: 3",
    "{{{{",
    "[[[[",
    "- - - - -",
    "|\n  a\n\tb",
    ">-\n",
    "%YAML 9.9\n---",
    "--- a\n--- b",
    "0o17",
    "1:30",
    ".inf",
    ".nan",
    "1" * 5_000,
    "2001-12-14t21:59:43.10-05:00",
    "'",
    '"\\x00"',
    '"\\uD800"',
    "\x00",
    "\ufeff",
    "\x85",
    "\u2028",
    "a: b: c",
    "@",
    "`",
)
PIECES = 3


def manifest(seed: int, number: int) -> bytes:
    """Return the file of this number."""
    chance = random.Random(f"{seed}/manifests/{number}")
    match chance.randrange(12):
        case 0:
            depth = chance.choice((50, 60, 61, 1_000, 30_000))
            return b"a: " + b"[" * depth + b"]" * depth
        case 1:
            return "".join(f"k{n}: [{'*a, ' * 9}*a]\n" if n else "k0: &a [1]\n" for n in range(9)).encode()
        case 2:
            return (GOOD + "x: |\n" + " y\n" * chance.choice((10, 40_000))).encode()
        case 3:
            return chance.randbytes(chance.choice((0, 1, 100, 5_000)))
        case 4:
            return b"a:\n" + b"".join(b"  k%d: {a: [1, 2, {b: c}]}\n" % n for n in range(chance.choice((100, 4_000))))
        case _:
            return _mutated(chance).encode("utf-8", "surrogatepass")


def _mutated(chance: random.Random) -> str:
    lines = GOOD.splitlines(keepends=True)
    for _ in range(chance.randint(1, PIECES)):
        at = chance.randrange(len(lines))
        line = lines[at].rstrip("\n")
        key, colon, _value = line.partition(":")
        match chance.randrange(6):
            case 0:
                lines[at] = f"{key}{colon} {_written(chance)}\n"
            case 1:
                lines.insert(at, lines[at])
            case 2 if len(lines) > 1:
                del lines[at]
            case 3:
                lines[at] = line[: chance.randint(0, len(line))] + _written(chance) + "\n"
            case 4:
                indent = " " * (len(line) - len(line.lstrip()))
                lines[at] = f"{indent}{_written(chance)}: {_value.strip()}\n"
            case _:
                lines[at] = chance.choice((" ", "\t", "  ", "- ")) + lines[at]
    return "".join(lines)


def _written(chance: random.Random) -> str:
    if chance.random() < 0.5:
        return chance.choice(WRITTEN)
    return values.text(chance, 5_000) if chance.random() < 0.5 else values.written(chance)[:5_000]
