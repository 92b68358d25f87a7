"""Send texts that are longer than a message in parts."""

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
    """Return an answer with the part of a text that begins at `offset`.

    `{"part": …, "of": …, "next": …}`: `of` is the SHA-256 of the whole text, `next` the offset of the next part, if
    there is one.
    """
    end = offset + PART
    document: dict[str, Any] = {"part": text[offset:end], "of": hashlib.sha256(text.encode()).hexdigest()}
    if end < len(text):
        document["next"] = end
    return json.dumps(document, ensure_ascii=False).encode()


async def whole(ask: Callable[[int], Awaitable[dict[str, Any]]], first: dict[str, Any] | None = None) -> str:
    """Return the text whose parts `ask` returns by their offsets; `first` is the part at 0 if it is known.

    Raises `BusError` if the text is another one each time that it is read.
    """
    for _ in range(TRIES):
        answer = first or await ask(0)
        first, parts, digest = None, [answer["part"]], answer["of"]
        while (offset := answer.get("next")) is not None and answer["of"] == digest:
            answer = await ask(offset)
            parts.append(answer["part"])
        if answer["of"] == digest:
            return "".join(parts)
    reason = f"the answer changed each of {TRIES} times while its parts were read; ask again"
    raise BusError(reason, code=ErrorCode.BUSY)
