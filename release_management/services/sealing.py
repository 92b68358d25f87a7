"""Seal personal texts after the decision and before the record; show people's ids as names again."""

import re
from functools import cache
from typing import Any, Protocol, TypeVar, get_args

from pydantic import BaseModel

from release_management.kernel.types import Personal, Unsealed
from release_management.services.ports import Keyring

T = TypeVar("T")
ERASED = "(erased)"
_ACTOR = re.compile(r"\b(?:usr|svc)_[0-9a-z]{8,40}\b")


class Sealer(Protocol):
    """Encrypts texts with the keys of subjects."""

    def seal(self, subject: str, text: str) -> str:
        """Encrypt under the subject's key."""
        ...


def seal(value: T, sealer: Sealer) -> T:
    """Return the value with every open personal text in it sealed under its subject's key; itself if there is none."""
    sealed: Any = value
    if isinstance(value, Unsealed):
        sealed = Personal(subject=value.subject, sealed=sealer.seal(value.subject, value.text))
    elif isinstance(value, BaseModel):
        parts = {name: getattr(value, name) for name in _personal_fields(type(value))}
        changed = {name: new for name, part in parts.items() if (new := seal(part, sealer)) is not part}
        sealed = value.model_copy(update=changed) if changed else value
    elif isinstance(value, tuple | list):
        items = type(value)(seal(item, sealer) for item in value)
        sealed = items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    elif isinstance(value, dict):
        entries = {key: seal(entry, sealer) for key, entry in value.items()}
        sealed = entries if any(entries[key] is not entry for key, entry in value.items()) else value
    return sealed  # type: ignore[no-any-return] # of the value's own type in every branch


@cache
def _personal_fields(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the fields that can contain a personal text, at any depth."""
    return tuple(name for name, field in model.model_fields.items() if _can_be_personal(field.annotation))


def _can_be_personal(annotation: Any) -> bool:
    if annotation is Any:
        return True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation is Personal or bool(_personal_fields(annotation))
    return any(_can_be_personal(part) for part in get_args(annotation))


def reveal(value: Any, keyring: Keyring) -> Any:
    """Return JSON for people: actors' ids become their names, sealed texts are opened if their key still exists."""
    if isinstance(value, dict):
        if set(value) == {"subject", "sealed"} and all(isinstance(part, str) for part in value.values()):
            try:
                text = keyring.open(value["subject"], value["sealed"])
            except ValueError:
                return value  # somebody's own text, which only looks like ours
            return ERASED if text is None else reveal(text, keyring)
        return {key: reveal(item, keyring) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [reveal(item, keyring) for item in value]
    if isinstance(value, str):
        return _ACTOR.sub(lambda found: keyring.actor_name(found[0]) or found[0], value)
    return value
