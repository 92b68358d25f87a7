"""Texts that are longer than a message, in parts."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from release_management.kernel.errors import ErrorCode
from release_management.services.ports.bus import BusError

PART = 60_000
"""Characters of one part; with what JSON adds they fit into a message."""
TRIES = 5


def part(text: str, offset: int) -> bytes:
    """An answer with the part of a text that begins at `offset`.

    `{"part": …, "of": …, "next": …}`: `of` is the SHA-256 of the whole text, `next` the offset of the part after this
    one, if there is one.
    """
    end = offset + PART
    document: dict[str, Any] = {"part": text[offset:end], "of": hashlib.sha256(text.encode()).hexdigest()}
    if end < len(text):
        document["next"] = end
    return json.dumps(document, ensure_ascii=False).encode()


async def whole(ask: Callable[[int], Awaitable[dict[str, Any]]], first: dict[str, Any] | None = None) -> str:
    """The text whose parts `ask` gives by their offsets; `first` is the one at 0 where it is known.

    Raises `BusError` where the text is another one each time that it is read.
    """
    for _ in range(TRIES):
        answer = first or await ask(0)
        first, parts, of = None, [answer["part"]], answer["of"]
        while (offset := answer.get("next")) is not None and answer["of"] == of:
            answer = await ask(offset)
            parts.append(answer["part"])
        if answer["of"] == of:
            return "".join(parts)
    reason = f"the answer changed each of {TRIES} times while its parts were read; ask again"
    raise BusError(reason, code=ErrorCode.BUSY)
