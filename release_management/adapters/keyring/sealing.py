"""Seal a text: AES-256-GCM under a subject's key, bound to the subject."""

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORMAT = "s1."
_NONCE_BYTES = 12
_TAG_BYTES = 16


def seal(key: AESGCM, subject: str, text: str) -> str:
    """Encrypt; the result differs each time."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = nonce + key.encrypt(nonce, text.encode(), subject.encode())
    return _FORMAT + base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def unseal(key: AESGCM, subject: str, sealed: bytes) -> str | None:
    """Decrypt the result of `unpack`; None if it was sealed with another key."""
    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return key.decrypt(nonce, ciphertext, subject.encode()).decode()
    except InvalidTag:
        return None


def unpack(sealed: str) -> bytes:
    """Return the bytes of a sealed text. Raises ValueError for a text that was never sealed."""
    try:
        if not sealed.startswith(_FORMAT):
            raise ValueError
        packed = sealed.removeprefix(_FORMAT)
        unpacked = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        if len(unpacked) < _NONCE_BYTES + _TAG_BYTES:
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{sealed[:20]!r} is no sealed text; one begins with {_FORMAT!r} and goes on in URL-safe base64"
        ) from None
    return unpacked
