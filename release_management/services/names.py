"""The ids of those whom one decision names. Who has none yet gets one that is stored only if the decision is.

So a command that leaves no record leaves no name and no key either, whatever names stand in it.
"""

from typing import Any

from release_management.services.ports import Keyring


class Names:
    """The names of one decision."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._fresh: dict[tuple[str, str], str] = {}

    def identify(self, name: str, kind: str = "person") -> str:
        """The id of a person or a service; a fresh one where there is none."""
        return self._keyring.find_actor(name, kind) or self._fresh.setdefault(
            (name, kind), self._keyring.new_actor(kind)
        )

    def keep(self) -> bool:
        """Store the fresh ids; False where another process has stored another one meanwhile: decide again."""
        kept = [self._keyring.actor_id(*actor, fresh) == fresh for actor, fresh in self._fresh.items()]
        return all(kept)

    def in_words(self, value: Any) -> Any:
        """JSON with names in place of the fresh ids, which nobody can look up as long as they are not stored."""
        if not self._fresh:
            return value
        if isinstance(value, dict):
            return {key: self.in_words(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.in_words(item) for item in value]
        if isinstance(value, str):
            for (name, _), fresh in self._fresh.items():
                value = value.replace(fresh, name)
        return value
