"""Folded states as bytes, so that a long stream need not be folded from its beginning."""

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from pydantic import TypeAdapter

from release_management.domain.aggregates import AGGREGATES
from release_management.kernel.aggregate import aggregate_of
from release_management.services.ports import Snapshot

FOLDING = ("release_management.kernel", "release_management.domain")


@cache
def shape() -> str:
    """Return the SHA-256 of the domain's source files, which fold. Any change there voids earlier snapshots."""
    digest = hashlib.sha256()
    for name, content in (source for package in FOLDING for source in _sources(files(package), "")):
        digest.update(f"{name}\n{len(content)}\n".encode() + content)
    return digest.hexdigest()


def _sources(folder: Traversable, where: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            found += _sources(entry, f"{where}{entry.name}/")
        elif entry.name.endswith(".py"):
            found.append((where + entry.name, entry.read_bytes()))
    return found


def take(stream: str, version: int, state: Any, record: bytes) -> Snapshot:
    """Make the snapshot of a stream's state at `version`; `record` is the record there."""
    return Snapshot(version, shape(), hashlib.sha256(record).hexdigest(), _adapter(stream).dump_json(state))


def restore(stream: str, snapshot: Snapshot) -> Any:
    """Return the state of a snapshot, the same in every part. Raises `ValueError` if it cannot be read."""
    return _adapter(stream).validate_json(snapshot.state)


def _adapter(stream: str) -> TypeAdapter[Any]:
    return _adapter_of(aggregate_of(stream))


@cache
def _adapter_of(aggregate: str) -> TypeAdapter[Any]:
    return TypeAdapter(type(AGGREGATES[aggregate].initial))
