"""Remove passwords of addresses from everything that goes to a screen, a log, a probe or the list of processes."""

import re
from typing import Any

HIDDEN = "***"
PLACEHOLDER = "PASSWORD"
"""The placeholder for a password in our own sentences."""
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
_ADDRESS = re.compile(rf"({_SCHEME})((?:(?![,;]?{_SCHEME})\S)*)@")
"""Up to the last @ of a text without spaces: a password may have one, too."""
_HOST_FIRST = re.compile(r"[^:/@]*(:[0-9]+)?[/?#]")
_PARAMETER = re.compile(r"\b((?:ssl)?password=)('[^']*'|[^\s&'\"]+)", re.IGNORECASE)
_TOKENS = ("nats://", "tls://")
"""Schemes in which a user without a password is a token, which is as secret."""


def redacted(text: str) -> str:
    """Return a text with the passwords of its addresses redacted."""
    if "://" in text:
        text = _ADDRESS.sub(_without_password, text)
    return _PARAMETER.sub(rf"\1{HIDDEN}", text) if "assword=" in text else text


def redacted_data(data: Any) -> Any:
    """Return JSON with the passwords of addresses in its texts redacted."""
    if isinstance(data, str):
        return redacted(data)
    if isinstance(data, dict):
        return {key: redacted_data(value) for key, value in data.items()}
    return [redacted_data(item) for item in data] if isinstance(data, list) else data


def redacted_address(address: str) -> str:
    """Return one address, or several separated by commas, with everything before the hosts redacted."""
    shown = []
    for piece in re.split(rf",(?=\s*{_SCHEME})", address):
        scheme, found, rest = piece.partition("://")
        before, separator, host = rest.rpartition("@")
        shown.append(f"{scheme}{found}{HIDDEN if before else ''}{separator}{host}")
    return ",".join(shown)


def is_secret(text: str) -> bool:
    """Return True if a text contains a password."""
    return redacted(text) != text


def _without_password(found: re.Match[str]) -> str:
    scheme, user = found[1], found[2]
    name, colon, password = user.partition(":")
    if password == PLACEHOLDER:
        return found[0]
    if _HOST_FIRST.match(user) and not scheme.startswith(_TOKENS):
        return found[0]
    if colon:
        return f"{scheme}{name}:{HIDDEN}@"
    return f"{scheme}{HIDDEN}@" if scheme in _TOKENS and user else found[0]
