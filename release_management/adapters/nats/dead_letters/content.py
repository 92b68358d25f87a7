"""The content of a dead letter, which never exceeds what the bus accepts."""

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from release_management.adapters.nats.wire.headers import Headers
from release_management.kernel.errors import ErrorCode
from release_management.kernel.record import timestamp
from release_management.services.envelope import MAX_MESSAGE_BYTES

MAX_REASON = 2_000
"""Characters. Quotations in a reason are cut where they are made; this bounds the rest."""
MAX_HEADER = 1_000
MAX_HEADERS = 16_000
"""Characters of one header's name and value, and of all headers together."""
HEADERS_CUT = "its headers are not all kept; they are longer than any that means something"
ONLY_DIGEST = "the message itself is not kept, only its size and SHA-256: with it the letter is too large for the bus"
_OWN_BYTES = 1024
"""Bytes around a letter on the wire: the protocol's line, and the headers of the bus."""


def envelope(subject: str, size: int, origin: str | None) -> dict[str, Any]:
    """Return the public part of a letter. `origin` is `<stream>:<sequence>` of the message."""
    letter: dict[str, Any] = {"time": timestamp(datetime.now(UTC)), "subject": subject, "size": size}
    return letter if origin is None else letter | {"origin": origin}


def contents(
    payload: bytes, headers: Mapping[str, str] | None, reason: str, code: ErrorCode
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the content of a letter, and a smaller one to use if the first is too large."""
    kept_headers = _kept_headers(headers or {})
    about: dict[str, Any] = {
        "reason": cut(reason, MAX_REASON),
        "code": code,
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    whole = about | {"headers": kept_headers, "payload": base64.b64encode(payload[:MAX_MESSAGE_BYTES]).decode()}
    fault = headers.fault if isinstance(headers, Headers) else None
    if fault is not None:
        whole["obstacle"] = f"it would be read as it was before: {fault}"
    elif kept_headers != dict(headers or {}):
        whole["obstacle"] = HEADERS_CUT
    return whole, about | {"headers": {}, "payload": "", "obstacle": ONLY_DIGEST}


def fits(letter: bytes, max_payload: int) -> bool:
    """Return True if the bus accepts a letter of this size."""
    return len(letter) + _OWN_BYTES <= max_payload


def cut(text: str, length: int) -> str:
    """Return the beginning of a text, with an ellipsis if it was cut."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    shortened: dict[str, str] = {}
    left = MAX_HEADERS
    for name, value in headers.items():
        size = len(name) + len(value)
        if size <= min(left, MAX_HEADER):
            shortened[name] = value
            left -= size
    return shortened
