"""Answers about errors: a sentence for people, a code for programs."""

import json
from collections.abc import Mapping
from typing import Any

from release_management.kernel.errors import ErrorCode, known_code


def error_reply(reason: str, code: ErrorCode, *, retry: bool = False) -> bytes:
    """Return an error answer. With `retry` the request is valid, and the same one will be answered later."""
    return json.dumps({"error": reason, "code": code} | ({"retry": True} if retry else {})).encode()


def not_understood(reason: str, code: ErrorCode = ErrorCode.INVALID) -> bytes:
    """Return the answer to a message that is neither a command nor a request."""
    return json.dumps({"status": "not_understood", "reason": reason, "code": code}).encode()


def code_in(reply: Mapping[str, Any]) -> ErrorCode | None:
    """Return the code of an answer; None if it came from an older version, which gives none."""
    return known_code(reply.get("code"))
