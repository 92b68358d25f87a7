"""The ids and keys of people and services that a batch of commands names first.

They become durable in one commit, before the batch's records, and only those that a record needs: a command that leaves
no record leaves no name and no key either, whatever names stand in it.
"""

from collections.abc import Iterable
from typing import Any

from release_management.services.ports import Keyring


class NewActors:
    """The actors and subjects that one batch has met first."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._actors: dict[tuple[str, str], str] = {}
        self._keys: dict[str, bytes] = {}

    def keep(self, decisions: Iterable["Names"]) -> bool:
        """Store the ids and keys that these decisions need, in one commit.

        Returns False if another process has stored another id or key meanwhile: nothing is stored, and all of the batch
        is to be decided again.
        """
        actors: dict[tuple[str, str], str] = {}
        keys: dict[str, bytes] = {}
        for names in decisions:
            actors |= names.actors
            keys |= names.keys
        return not (actors or keys) or self._keyring.keep(actors, keys)

    def identify(self, name: str, kind: str) -> tuple[str, bool]:
        """Return the id of a person or a service, and True if the batch has made it."""
        fresh = self._actors.get((name, kind))
        if fresh is None:
            found = self._keyring.find_actor(name, kind)
            if found is not None:
                return found, False
            fresh = self._actors[name, kind] = self._keyring.new_actor(kind)
        return fresh, True

    def seal(self, subject: str, text: str) -> tuple[str, bytes | None]:
        """Encrypt under the subject's key; return that key too if the batch has made it."""
        return self._keyring.seal(subject, text, self._keys), self._keys.get(subject)


class Names:
    """The actors that one decision names, and the texts that it seals. `actors` and `keys` are the batch's new ones."""

    def __init__(self, newcomers: NewActors) -> None:
        self._newcomers = newcomers
        self.actors: dict[tuple[str, str], str] = {}
        self.keys: dict[str, bytes] = {}

    def identify(self, name: str, kind: str = "person") -> str:
        """Return the id of a person or a service; a new one if there is none."""
        id, fresh = self._newcomers.identify(name, kind)
        if fresh:
            self.actors[name, kind] = id
        return id

    def seal(self, subject: str, text: str) -> str:
        """Encrypt under the subject's key; a new one if there is none."""
        sealed, key = self._newcomers.seal(subject, text)
        if key is not None:
            self.keys[subject] = key
        return sealed

    def in_words(self, value: Any) -> Any:
        """Return JSON with names in place of the new ids, which cannot be looked up before they are stored."""
        if not self.actors:
            return value
        if isinstance(value, dict):
            return {key: self.in_words(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.in_words(item) for item in value]
        if isinstance(value, str):
            for (name, _), fresh in self.actors.items():
                value = value.replace(fresh, name)
        return value
