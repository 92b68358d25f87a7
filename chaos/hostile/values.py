"""Values that nobody might have thought of: texts, numbers, documents."""

import json
import random
from collections.abc import Sequence
from typing import Any

DEPTHS = (
    2,
    31,
    32,
    33,
    63,
    64,
    65,
    99,
    100,
    101,
    127,
    128,
    129,
    199,
    200,
    201,
    255,
    256,
    257,
    499,
    500,
    511,
    512,
    1000,
)
"""Around the depth limits of JSON parsers, ours among them."""
SIZES = (199, 200, 201, 499, 500, 501, 3_999, 4_001, 65_535, 65_536, 131_072, 250_000, 262_143, 262_144, 262_145)
"""Around our limits for words, lines, notes, records and messages."""
LETTERS = (
    "\x00",
    "\x01",
    "\x07",
    "\x1b[2J\x1b[1;1H",
    "\x1b]0;owned\x07",
    "\x7f",
    "\x80",
    "\x85",
    "\x9b31m",
    "\u200b",
    "\u202e",
    "\u2066",
    "\u2028",
    "\ufeff",
    "\ufffe",
    "\uffff",
    "\U0001f4a9",
    "\U0010ffff",
    "é",
    "e\u0301",
    "İ",
    "ß",
    "'",
    '"',
    "\\",
    "%s%n",
    "{0}",
    "${RELMAN_STORE}",
    "$(id)",
    "`id`",
    "; DROP TABLE events; --",
    "../../../etc/passwd",
    "/dev/zero",
    "\r\n",
    "\n+ACK\n",
    "*",
    ">",
    ".",
    " ",
    "",
)
NUMBERS = (
    "0",
    "-0",
    "-0.0",
    "-1",
    "1",
    "1.0",
    "1e0",
    "255",
    "256",
    "2147483647",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "1e19",
    "1e308",
    "1e309",
    "1e999",
    "-1e999",
    "1e-999",
    "5e-324",
    "0.1",
    "NaN",
    "Infinity",
    "-Infinity",
    "1" + "0" * 400,
    "1" * 5_000,
    "0." + "1" * 5_000,
    "01",
    "+1",
    "0x10",
    "1_000",
    "٣",
)
HALVES = ('"\\ud800"', '"\\udfff x"', '"\\ud83d"', '"\\udc00\\ud800"')
OTHERS = ("null", "true", "false", "[]", "{}", "[null]", '{"":""}', '""', '{"a":1,"a":2}', "undefined", "")


def text(chance: random.Random, longest: int = SIZES[-1]) -> str:
    """Return a text that nobody would send."""
    kind = chance.random()
    if kind < 0.5:
        return chance.choice(LETTERS)
    if kind < 0.8:
        return "".join(chance.choices(LETTERS, k=chance.randint(2, 12)))
    size = min(chance.choice(SIZES if kind > 0.99 else SIZES[:8]), longest)
    return (chance.choice(("a", "\x00", "\x1f", "é", "\U0001f4a9", '"', "\\", "/", "9")) * size)[:size]


def written(chance: random.Random) -> str:
    """Return a value as it stands in a document, which need not be JSON."""
    kind = chance.random()
    if kind < 0.35:
        return json.dumps(text(chance), ensure_ascii=chance.random() < 0.5)
    if kind < 0.65:
        return chance.choice(NUMBERS)
    if kind < 0.75:
        return chance.choice(HALVES)
    if kind < 0.9:
        return chance.choice(OTHERS)
    return nested(chance)


def nested(chance: random.Random, depths: Sequence[int] = DEPTHS) -> str:
    """Return a deeply nested value, at which a parser may give up."""
    depth = chance.choice(depths)
    opening, inner, closing = chance.choice(
        (("[", "", "]"), ("[", "1", "]"), ('{"a":', "1", "}"), ('[{"a":', '"x"', "}]"), ('{"a":[', "", "]}"))
    )
    return opening * depth + inner + closing * (depth if chance.random() < 0.9 else depth - 1)


def members(document: dict[str, Any], replaced: dict[str, str], more: Sequence[str] = ()) -> bytes:
    """Return a document as JSON, with some members replaced by given text, and others added."""
    parts = [f"{json.dumps(name)}:{replaced.get(name, json.dumps(value))}" for name, value in document.items()]
    return ("{" + ",".join([*parts, *more]) + "}").encode("utf-8", "surrogatepass")
