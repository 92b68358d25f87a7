"""One difference between a file and the recorded state, with the commands that remove it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from release_management.domain.configuration_difference import discreet
from release_management.domain.environment import ConfigureEnvironment

Row = Mapping[str, Any]
Sent = tuple[str, dict[str, Any]]
SHOWN = 6
LONG = 60


class Asks(Protocol):
    """Answers queries."""

    def __call__(self, name: str, **params: Any) -> list[dict[str, Any]]:
        """Return a query's rows."""
        ...


@dataclass(frozen=True, slots=True)
class ManifestChange:
    """A thing that is new (`+`) or differs (`~`)."""

    sign: Literal["+", "~"]
    kind: str
    name: str
    details: tuple[str, ...]
    commands: tuple[Sent, ...]

    def __str__(self) -> str:
        shown = self.details[:SHOWN]
        more = f"; and {len(self.details) - SHOWN} more" if len(self.details) > SHOWN else ""
        return f"{self.sign} {self.kind} {self.name}" + (f": {'; '.join(shown)}{more}" if shown else "")

    def document(self) -> dict[str, Any]:
        """Return the change as JSON."""
        return {"sign": self.sign, "kind": self.kind, "name": self.name, "details": list(self.details)}


def after(row: Row, changes: Iterable[ManifestChange]) -> Row:
    """Return an environment's row as it will be after the changes."""
    row = dict(row)
    for name, data in (command for change in changes for command in change.commands):
        if name == ConfigureEnvironment.NAME and data["name"] == row["name"]:
            targets = {target["name"]: target for target in [*row["targets"], *data.get("targets", ())]}
            row |= {"variables": data.get("variables", row["variables"]), "targets": list(targets.values())}
    return row


def differences(before: Any, after: Any, path: str = "") -> tuple[str, ...]:
    """Return `path old → new` for every differing value, and `path new` for every new one, without secrets."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = dict.fromkeys([*after, *before])
        inner = {key: f"{path}.{key}" if path else str(key) for key in keys}
        return tuple(said for key in keys for said in differences(before.get(key), after.get(key), inner[key]))
    if before == after:
        return ()
    new = _short(path, after)
    return (f"{path} {new}" if before is None else f"{path} {_short(path, before)} → {new}",)


def _short(path: str, value: object) -> str:
    text = "none" if value is None else json.dumps(_discreet(path, value), ensure_ascii=False)
    return text if len(text) <= LONG else text[: LONG - 1] + "…"


def _discreet(path: str, value: object) -> object:
    """Return a value without possible secrets, at every depth."""
    if isinstance(value, Mapping):
        return {key: _discreet(f"{path}.{key}", item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_discreet(path, item) for item in value]
    return discreet(path, value, value) if isinstance(value, str) else value
