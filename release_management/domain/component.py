"""Component: a deployable part of an application, as a release fixes it and a slot runs it."""

from pydantic import Field

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
    """A component: its version, its artifact's reference, its settings, and the digests of both.

    `artifact_digest` is SHA-256 of the artifact's bytes where the caller gave it, else of its reference;
    `config_digest` is SHA-256 of the canonical JSON of `config`.
    """

    name: Name = Field(description="its name")
    version: Version = Field(description="the version")
    artifact: Line | None = Field(
        None, description="where the artifact is; free text that the command of a component can use"
    )
    artifact_digest: Digest = Field(
        description="SHA-256 of the artifact where the caller gave it, else of its reference"
    )
    config: dict[str, str] = Field({}, description="environment variables of the component's processes")
    config_digest: Digest = Field(description="SHA-256 of the canonical JSON of `config`")
