"""Release: `application@version`, a snapshot of components, changes and pipeline. Stream `release:<app>@<version>`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal, assert_never

from pydantic import Field, StringConstraints

from release_management.domain.component import Component
from release_management.domain.pipeline import Stage
from release_management.domain.versions import Scheme, twin
from release_management.kernel.aggregate import Aggregate, itself
from release_management.kernel.digest import digest_of
from release_management.kernel.types import (
    ActorId,
    Digest,
    Fact,
    Line,
    Name,
    Percent,
    Personal,
    Value,
    Version,
)

Commit = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._/-]{4,80}$")]
Timestamp = Annotated[
    str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$")
]


class Change(Value):
    """A commit that the release brings. `committed_at` is RFC 3339."""

    commit: Commit = Field(description="the commit")
    committed_at: Timestamp = Field(description="when it was committed")
    author: Personal | None = Field(None, description="who wrote the commit, sealed")
    message: Personal | None = Field(None, description="the commit's message, sealed")


MAX_GATES = 200
"""The maximum number of gates that can be attested for one release."""
MAX_COMPONENTS = 1_000
"""The maximum number of components of one release."""
MAX_CHANGES = 10_000
"""The maximum number of changes of one release."""
COMPONENTS_NAMED = 20
"""The number of components that a summary names."""

# Events


class ReleaseCreated(Fact):
    """The release exists. `content` is a keyed digest of the content of its creation.

    `complete`: it names every component of the application, and components that it does not name are given up. Older
    records do not state it, and a partial release does not either: there, components that are not named stay as they
    are. `versions` is the application's numbering scheme then, if not semantic.
    """

    NAME: ClassVar[str] = "release.created"
    application: Name = Field(description="the application")
    version: Version = Field(description="the version")
    author: ActorId = Field(description="who created the release")
    components: Annotated[tuple[Component, ...], Field(min_length=1)] = Field(description="the components")
    changes: tuple[Change, ...] = Field((), description="the commits that the release brings")
    changelog: tuple[Personal, ...] = Field((), description="what is new, one text per line")
    pipeline: Name | None = Field(None, description="the pipeline's name")
    stages: tuple[Stage, ...] = Field((), description="the environments in their order, with what each requires")
    content: Digest = Field(description="a keyed digest of everything that the creation said")
    complete: Literal[True] | None = Field(
        None, description="the release names every component, and what it does not name is given up"
    )
    versions: Scheme | None = Field(
        None, description="how the application numbered its releases then, where not semantically"
    )
    label: Line | None = Field(None, description="the application as its creator wrote it; absent: its id")
    component_labels: dict[Name, Line] | None = Field(
        None, description="the components as their creator wrote them, by id"
    )

    def _summary(self) -> str:
        first = ", ".join(f"{component.name} {component.version}" for component in self.components[:COMPONENTS_NAMED])
        more = len(self.components) - COMPONENTS_NAMED
        parts = f"{first} and {more:,} more" if more > 0 else first
        return f"created {self.application}@{self.version}: {parts}; {len(self.changes)} changes"


class ReleaseChangesAdded(Fact):
    """The release brings these changes too, in this order behind its earlier ones."""

    NAME: ClassVar[str] = "release.changes_added"
    changes: Annotated[tuple[Change, ...], Field(min_length=1)] = Field(
        description="the changes that are new, in their order"
    )
    by: ActorId = Field(description="who added them")

    def _summary(self) -> str:
        return f"{len(self.changes):,} changes added by {self.by}"


class ReleasePublished(Fact):
    """The release may be deployed from now on."""

    NAME: ClassVar[str] = "release.published"

    def _summary(self) -> str:
        return "published"


class ReleaseAttested(Fact):
    """A person attested a gate's result. It is shown as a manual attestation."""

    NAME: ClassVar[str] = "release.attested"
    gate: Name = Field(description="the gate's name")
    result: Literal["passed", "failed"] = Field(description="how the gate went")
    by: ActorId = Field(description="who did it")
    note: Personal | None = Field(None, description="a remark, sealed")

    def _summary(self) -> str:
        return f"gate {self.gate} {self.result}, attested by {self.by}"


class ReleaseBlocked(Fact):
    """The release must not be deployed any more."""

    NAME: ClassVar[str] = "release.blocked"
    reason: Personal = Field(description="why, in a sentence")

    def _summary(self) -> str:
        return "blocked"


class ReleaseUnblocked(Fact):
    """The block is lifted."""

    NAME: ClassVar[str] = "release.unblocked"

    def _summary(self) -> str:
        return "unblocked"


class ReleaseCanaryConfigured(Fact):
    """This release begins its canaries with this share of the traffic."""

    NAME: ClassVar[str] = "release.canary_configured"
    initial_traffic: Percent = Field(description="the candidate's first share of the traffic, in percent")

    def _summary(self) -> str:
        return f"canaries begin with {self.initial_traffic} % of the traffic"


class ReleaseDeploymentPlanned(Fact):
    """A deployment of this release to the environment was planned; an earlier plan for it is superseded.

    `reverts`: it is a rollback from that deployment to this release, and supersedes nothing.
    """

    NAME: ClassVar[str] = "release.deployment_planned"
    environment: Name = Field(description="the environment")
    deployment: str = Field(description="the deployment's id")
    reverts: str | None = Field(None, description="the deployment that it goes back from; absent: it is no rollback")

    def _summary(self) -> str:
        back = "" if self.reverts is None else f", which goes back from {self.reverts}"
        return f"planned for {self.environment} by {self.deployment}{back}"


class ReleaseSucceeded(Fact):
    """The release succeeded in the environment."""

    NAME: ClassVar[str] = "release.succeeded"
    environment: Name = Field(description="the environment")
    deployment: str = Field(description="the deployment's id")

    def _summary(self) -> str:
        return f"succeeded in {self.environment}"


class ReleaseWithdrawn(Fact):
    """The release was rolled back in the environment; its success there no longer counts."""

    NAME: ClassVar[str] = "release.withdrawn"
    environment: Name = Field(description="the environment")
    deployment: str = Field(description="the deployment's id")

    def _summary(self) -> str:
        return f"rolled back in {self.environment}"


ReleaseEvent = (
    ReleaseCreated
    | ReleaseChangesAdded
    | ReleasePublished
    | ReleaseAttested
    | ReleaseBlocked
    | ReleaseUnblocked
    | ReleaseCanaryConfigured
    | ReleaseDeploymentPlanned
    | ReleaseSucceeded
    | ReleaseWithdrawn
)


# State


@dataclass(frozen=True, slots=True)
class Release:
    """The state of a release; `version` is empty while it does not exist.

    `commits` are those of its changes, and `added` is a digest of the changes that came after it was created.
    `planned` and `succeeded` map environments to deployments; `returning` has the rollbacks that go back to it.
    """

    application: str = ""
    version: str = ""
    author: str = ""
    content: str = ""
    components: tuple[Component, ...] = ()
    pipeline: str | None = None
    stages: tuple[Stage, ...] = ()
    complete: bool = False
    commits: frozenset[str] = frozenset()
    added: str = ""
    published: bool = False
    blocked: bool = False
    initial_traffic: int | None = None
    attestations: Mapping[str, str] = field(default_factory=dict)
    planned: Mapping[str, str] = field(default_factory=dict)
    returning: Mapping[str, str] = field(default_factory=dict)
    succeeded: Mapping[str, str] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """`application@version`."""
        return f"{self.application}@{self.version}"


def evolve(state: Release, event: ReleaseEvent) -> Release:
    """Apply one fact."""
    match event:
        case ReleaseCreated():
            return Release(
                application=event.application,
                version=event.version,
                author=event.author,
                content=event.content,
                components=event.components,
                pipeline=event.pipeline,
                stages=event.stages,
                complete=event.complete is True,
                commits=frozenset(change.commit for change in event.changes),
            )
        case ReleaseChangesAdded(changes=changes):
            commits = [change.commit for change in changes]
            added = digest_of([state.added, *commits])
            return replace(state, commits=state.commits.union(commits), added=added)
        case ReleasePublished():
            return replace(state, published=True)
        case ReleaseAttested(gate=gate, result=result):
            return replace(state, attestations={**state.attestations, gate: result})
        case ReleaseBlocked():
            return replace(state, blocked=True)
        case ReleaseUnblocked():
            return replace(state, blocked=False)
        case ReleaseCanaryConfigured(initial_traffic=share):
            return replace(state, initial_traffic=share)
        case ReleaseDeploymentPlanned(environment=environment, deployment=deployment, reverts=reverts):
            if reverts is not None:
                return replace(state, returning={**state.returning, environment: deployment})
            return replace(state, planned={**state.planned, environment: deployment})
        case ReleaseSucceeded(environment=environment, deployment=deployment):
            return replace(state, succeeded={**state.succeeded, environment: deployment})
        case ReleaseWithdrawn(environment=environment):
            remaining = {name: succeeded for name, succeeded in state.succeeded.items() if name != environment}
            return replace(state, succeeded=remaining)
        case _:
            assert_never(event)


# What is said of a release


def same_version(application: str, version: str) -> str | None:
    """Return the release whose version is the same in another spelling: `shop@v1.0.0` for `shop@1.0.0`; else None."""
    other = twin(version)
    return None if other is None else f"{application}@{other}"


def unknown_release(ref: str) -> str:
    """Return the sentence for a release that does not exist."""
    return f"release {ref} does not exist; create it with: relman release create {ref} --component NAME"


# Declaration


RELEASE = Aggregate("release", Release(), ReleaseEvent, evolve, itself, unknown_release)
