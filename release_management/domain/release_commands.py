"""The commands on a release, and how people write a release, a component and a change in them."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from release_management.domain.release import MAX_CHANGES, MAX_COMPONENTS, Commit, Timestamp
from release_management.domain.variables import Variables
from release_management.kernel.names import (
    GivenName,
    Labelled,
    Written,
    id_of,
    identified,
)
from release_management.kernel.types import (
    Command,
    Digest,
    Line,
    Note,
    Value,
    Version,
    plain_version,
)


class ComponentInput(Labelled):
    """A component as people write it; the version is the release's unless given."""

    version: Version | None = Field(None, description="absent: the release's")
    artifact: Line | None = Field(
        None, description="where the artifact is; free text that the command of a component can use"
    )
    digest: Digest | None = Field(None, description="SHA-256 of the artifact's bytes")
    config: Variables = Field({}, description="environment variables of the component's processes")


class ChangeInput(Value):
    """A commit as people write it."""

    commit: Commit = Field(description="the commit")
    committed_at: Timestamp = Field(description="when it was committed")
    author: Line | None = Field(None, description="who wrote the commit")
    message: Note | None = Field(None, description="the commit's message")


class CreateRelease(Command):
    """Create a release, published unless `draft`. The same content again returns the same release.

    It names every component of the application, and a deployment stops components that it does not name; a `partial`
    release brings only the components that it names, and leaves the others as they are.
    """

    NAME: ClassVar[str] = "release.create"
    application: Written = Field("default", description="the application that the release belongs to")
    label: Line | None = Field(None, description="the application's name for people; absent: as it was written")
    version: Version = Field(description="the version")
    components: Annotated[tuple[ComponentInput, ...], Field(min_length=1, max_length=MAX_COMPONENTS)] = Field(
        description="the components"
    )
    changes: Annotated[tuple[ChangeInput, ...], Field(max_length=MAX_CHANGES)] = Field(
        (), description="the commits that the release brings"
    )
    changelog: Annotated[tuple[Note, ...], Field(max_length=100)] = Field(
        (), description="what is new, one text per line"
    )
    draft: bool = Field(False, description="a draft cannot be deployed until it is published")
    partial: bool = Field(False, description="it brings only what it names, and the rest stays as it is")

    @model_validator(mode="after")
    def _identify(self) -> Self:
        return identified(self, "application")


def _release_ref(value: str) -> str:
    application, separator, version = value.partition("@")
    if not separator:
        raise ValueError(f"{value!r} names no release; write APPLICATION@VERSION, such as shop@1.4.0")
    return f"{id_of(application)}@{plain_version(version)}"


ReleaseRef = Annotated[str, StringConstraints(max_length=200), AfterValidator(_release_ref)]


class AddChanges(Command):
    """Add changes to a release, at any time; changes that it has already stay as they are."""

    NAME: ClassVar[str] = "release.add_changes"
    release: ReleaseRef = Field(description="the release")
    changes: Annotated[tuple[ChangeInput, ...], Field(min_length=1, max_length=MAX_CHANGES)] = Field(
        description="the changes to add, in their order"
    )


class PublishRelease(Command):
    """Let a draft be deployed."""

    NAME: ClassVar[str] = "release.publish"
    release: ReleaseRef = Field(description="the release")


class AttestRelease(Command):
    """State a gate's result by hand."""

    NAME: ClassVar[str] = "release.attest"
    release: ReleaseRef = Field(description="the release")
    gate: GivenName = Field(description="the gate's name")
    result: Literal["passed", "failed"] = Field(description="how the gate went")
    note: Note | None = Field(None, description="a remark; it is sealed before it is recorded")


class BlockRelease(Command):
    """Forbid further deployments of a release."""

    NAME: ClassVar[str] = "release.block"
    release: ReleaseRef = Field(description="the release")
    reason: Note = Field(description="why; it is sealed before it is recorded")


class UnblockRelease(Command):
    """Lift the block."""

    NAME: ClassVar[str] = "release.unblock"
    release: ReleaseRef = Field(description="the release")


class ConfigureCanary(Command):
    """Give a release its own initial canary traffic; its planned deployments are compiled again."""

    NAME: ClassVar[str] = "release.configure_canary"
    release: ReleaseRef = Field(description="the release")
    traffic_percentage: Annotated[int, Field(ge=1, le=100)] = Field(
        description="the candidate's first share of the traffic"
    )
