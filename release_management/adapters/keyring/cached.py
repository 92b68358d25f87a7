"""The `Keyring` port with a cache over a vault, which stores names and keys."""

import base64
import hmac
import re
import secrets
import threading
from collections.abc import Mapping
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from release_management.adapters.keyring.sealing import (
    seal,
    unpack,
    unseal,
)

_PREFIXES = {"person": "usr_", "service": "svc_"}
_SYSTEM = re.compile(r"system:[a-z-]{1,40}")


Actor = tuple[str, str]
"""Name and kind."""


class Vault(Protocol):
    """The storage of names and keys. Used by one thread at a time; what it returns is durable."""

    @property
    def secret(self) -> bytes:
        """The key of fingerprints, made with the vault."""
        ...

    def has_changed(self, *, soon: bool) -> bool:
        """Return True if another process may have erased something since the last call.

        With `soon`, an answer up to `LOOK_SECONDS` old suffices if a fresh one takes time.
        """
        ...

    def keep(self, actors: Mapping[Actor, str], keys: Mapping[str, bytes]) -> bool:
        """Store ids by name and kind, and keys by subject, in one commit; return False if one exists already."""
        ...

    def find(self, name: str, kind: str) -> str | None:
        """Return the id of a name, or None."""
        ...

    def name(self, actor: str) -> str | None:
        """Return the name behind an id, or None."""
        ...

    def key(self, subject: str) -> bytes | None:
        """Return a subject's key, or None."""
        ...

    def erase(self, subject: str) -> None:
        """Destroy the subject's key and forget its name."""
        ...

    def close(self) -> None:
        """Release open resources."""
        ...


LOOK_SECONDS = 0.5
"""Seconds for which a key or an id that another process erased may still be used for writing."""


class CachedKeyring:
    """Caches names and keys until the vault says that something may have been erased. Thread-safe.

    Whatever a method returns rests on keys and names that are already durable, unless the caller is to `keep` them.
    Data that another process erased is no longer readable as soon as the vault notices; for sealing and ids the vault
    is asked at most every `LOOK_SECONDS`, since a text that was sealed with a destroyed key is as good as erased. Every
    method raises `KeyringUnavailableError` if the vault cannot be used now.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._secret = vault.secret
        self._lock = threading.Lock()
        self._keys: dict[str, AESGCM] = {}
        self._actors: dict[Actor, str] = {}
        self._names: dict[str, str] = {}

    def actor_id(self, name: str, kind: str = "person") -> str:
        """Return the opaque id of an actor (`usr_…`, or `svc_…` for kind "service"), creating it at first sight.

        `system:…` names are their own ids. Raises ValueError for an unknown kind or a malformed system name.
        """
        while (found := self.find_actor(name, kind)) is None:
            self.keep({(name, kind): self.new_actor(kind)}, {})
        return found

    def find_actor(self, name: str, kind: str) -> str | None:
        """Return the id of an actor, or None if it has none yet. Raises as `actor_id`."""
        if name.startswith("system:"):
            if not _SYSTEM.fullmatch(name):
                raise ValueError(f"{name!r} is no system actor; write system: and 1 to 40 of a-z and '-'")
            return name
        if kind not in _PREFIXES:
            raise ValueError(f"{kind!r} is no kind of a named actor; {name!r} is a person or a service")
        with self._lock:
            self._notice_others(soon=True)
            if (name, kind) not in self._actors:
                found = self._vault.find(name, kind)
                if found is None:
                    return None
                self._actors[name, kind] = found
            return self._actors[name, kind]

    def new_actor(self, kind: str) -> str:
        """Return a new random id."""
        return _PREFIXES[kind] + base64.b32encode(secrets.token_bytes(16)).decode().lower().rstrip("=")

    def actor_name(self, actor: str) -> str | None:
        """Return the name behind an id; None if it was erased or never known."""
        if _SYSTEM.fullmatch(actor):
            return actor
        with self._lock:
            self._notice_others()
            if actor not in self._names:
                name = self._vault.name(actor)
                if name is None:
                    return None
                self._names[actor] = name
            return self._names[actor]

    def keep(self, actors: Mapping[Actor, str], keys: Mapping[str, bytes]) -> bool:
        """Store ids and keys in one commit; store nothing and return False if one of them has another already."""
        with self._lock:
            if not self._vault.keep(actors, keys):
                return False
            self._actors.update(actors)
            self._keys.update({subject: AESGCM(key) for subject, key in keys.items()})
            return True

    def seal(self, subject: str, text: str, fresh: dict[str, bytes] | None = None) -> str:
        """Encrypt under the subject's key: AES-256-GCM, bound to the subject.

        A subject without a key gets one now. It is put into `fresh`, for `keep` to store before the text is; without
        `fresh` it is stored at once.
        """
        while True:
            own: dict[str, bytes] = {} if fresh is None else fresh
            with self._lock:
                self._notice_others(soon=True)
                key = self._key(subject) or AESGCM(own.setdefault(subject, AESGCM.generate_key(256)))
            if fresh is not None or not own or self.keep({}, own):
                return seal(key, subject, text)

    def open(self, subject: str, sealed: str) -> str | None:
        """Decrypt; None if the key was destroyed, or is another than the text was sealed with.

        Raises ValueError for a text that was never sealed.
        """
        sealed_bytes = unpack(sealed)
        with self._lock:
            self._notice_others()
            key = self._key(subject)
        return unseal(key, subject, sealed_bytes) if key is not None else None

    def fingerprint(self, content: bytes) -> bytes:
        """Return a keyed HMAC-SHA-256 of a command's content."""
        return hmac.digest(self._secret, content, "sha256")

    def erase(self, subject: str) -> None:
        """Destroy the subject's key and forget its name."""
        with self._lock:
            self._forget()
            self._vault.erase(subject)

    def close(self) -> None:
        """Release open resources."""
        with self._lock:
            self._vault.close()

    def _key(self, subject: str) -> AESGCM | None:
        if subject not in self._keys:
            key = self._vault.key(subject)
            if key is None:
                return None
            self._keys[subject] = AESGCM(key)
        return self._keys[subject]

    def _notice_others(self, *, soon: bool = False) -> None:
        if self._vault.has_changed(soon=soon):
            self._forget()

    def _forget(self) -> None:
        self._keys.clear()
        self._actors.clear()
        self._names.clear()
