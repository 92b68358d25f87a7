"""Component: a deployable part of an application, as a release fixes it and a slot runs it."""

from release_management.kernel.types import (
    Digest,
    Line,
    Name,
    Value,
    Version,
)

Slot = Name
"""A slot of a place, in which a version of a component runs: blue, green."""


class Component(Value):
    """Its version, where the artifact is, its settings, and the digests of both.

    `artifact_digest` is SHA-256 of the artifact's bytes where the caller gave it, else of its reference;
    `config_digest` is SHA-256 of the canonical JSON of `config`.
    """

    name: Name
    version: Version
    artifact: Line | None = None
    artifact_digest: Digest
    config: dict[str, str] = {}
    config_digest: Digest
