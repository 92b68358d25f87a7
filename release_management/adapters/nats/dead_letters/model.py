"""Dead letters as callers see them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from release_management.kernel.errors import known_code
from release_management.kernel.types import KnownCode


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that nobody will act on, with the reason and its beginning. `size` is in bytes.

    `code` is the kind of the reason; letters from before there were codes have none.
    """

    id: int
    time: str
    subject: str
    reason: str
    code: KnownCode
    size: int
    excerpt: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "DeadLetter":
        """Return a letter from its JSON on the bus."""
        return cls(**{**row, "code": known_code(row.get("code"))})


@dataclass(frozen=True, slots=True)
class OpenedLetter:
    """A dead letter with all that was kept of its message.

    `payload` is text, or base64 if `encoding` says so. `obstacle` says why it cannot be replayed; None if it can.
    """

    id: int
    time: str
    subject: str
    reason: str
    code: KnownCode
    size: int
    headers: Mapping[str, str]
    payload: str
    encoding: Literal["text", "base64"]
    obstacle: str | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "OpenedLetter":
        """Return a letter from its JSON on the bus."""
        return cls(**{**row, "code": known_code(row.get("code"))})


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of replaying one letter: sent again to `subject`, or not, for a `reason`."""

    id: int
    subject: str | None = None
    reason: str | None = None
