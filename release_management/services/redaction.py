"""Passwords in addresses never reach a screen, a log, a probe or the list of processes: what leaves us passes here."""

import re
from typing import Any

HIDDEN = "***"
PLACEHOLDER = "PASSWORD"
"""How our own sentences say where a password is to be written."""
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
_ADDRESS = re.compile(rf"({_SCHEME})((?:(?![,;]?{_SCHEME})\S)*)@")
"""Up to the last @ of what is written in one piece: a password may have one, too."""
_HOST_FIRST = re.compile(r"[^:/@]*(:[0-9]+)?[/?#]")
_PARAMETER = re.compile(r"\b((?:ssl)?password=)('[^']*'|[^\s&'\"]+)", re.IGNORECASE)
_TOKENS = ("nats://", "tls://")
"""Where a user without a password is a token, which is as secret."""


def redacted(text: str) -> str:
    """A text without the passwords of the addresses in it."""
    if "://" in text:
        text = _ADDRESS.sub(_without_password, text)
    return _PARAMETER.sub(rf"\1{HIDDEN}", text) if "assword=" in text else text


def redacted_data(data: Any) -> Any:
    """JSON without the passwords of the addresses in its texts."""
    if isinstance(data, str):
        return redacted(data)
    if isinstance(data, dict):
        return {key: redacted_data(value) for key, value in data.items()}
    return [redacted_data(item) for item in data] if isinstance(data, list) else data


def redacted_address(address: str) -> str:
    """One address, or several with commas between them, without whatever stands before the hosts."""
    shown = []
    for piece in re.split(rf",(?=\s*{_SCHEME})", address):
        scheme, found, rest = piece.partition("://")
        before, at, host = rest.rpartition("@")
        shown.append(f"{scheme}{found}{HIDDEN if before else ''}{at}{host}")
    return ",".join(shown)


def is_secret(text: str) -> bool:
    """Whether there is a password in it."""
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
