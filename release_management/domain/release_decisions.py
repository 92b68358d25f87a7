"""The decisions on a release."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from release_management.domain import versions
from release_management.domain.component import Component
from release_management.domain.pipeline import Stage
from release_management.domain.release import (
    MAX_CHANGES,
    MAX_GATES,
    Change,
    Release,
    ReleaseAttested,
    ReleaseBlocked,
    ReleaseCanaryConfigured,
    ReleaseChangesAdded,
    ReleaseCreated,
    ReleaseDeploymentPlanned,
    ReleaseEvent,
    ReleasePublished,
    ReleaseSucceeded,
    ReleaseUnblocked,
    ReleaseWithdrawn,
    unknown_release,
)
from release_management.domain.release_commands import (
    AddChanges,
    AttestRelease,
    BlockRelease,
    ChangeInput,
    ComponentInput,
    ConfigureCanary,
    CreateRelease,
    PublishRelease,
    UnblockRelease,
)
from release_management.domain.versions import DEFAULT, Scheme
from release_management.kernel.digest import digest_of
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Refused, Unsealed

# Commands, given by the decisions on deployments only


@dataclass(frozen=True, slots=True)
class NoteDeployment:
    """Record that a deployment of the release is planned; `reverts`: it is a rollback of that deployment."""

    environment: str
    deployment: str
    reverts: str | None = None


@dataclass(frozen=True, slots=True)
class NoteSuccess:
    """Record that the release has succeeded in an environment."""

    environment: str
    deployment: str


@dataclass(frozen=True, slots=True)
class WithdrawReleaseSuccess:
    """Withdraw its success in an environment, since `deployment` rolled it back."""

    environment: str
    deployment: str


ReleaseCommand = (
    CreateRelease
    | AddChanges
    | PublishRelease
    | AttestRelease
    | BlockRelease
    | UnblockRelease
    | ConfigureCanary
    | NoteDeployment
    | NoteSuccess
    | WithdrawReleaseSuccess
)


# Decisions


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A deployment of the release that has begun, or waits to, and has not ended."""

    deployment: str
    environment: str
    phase: str


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """The further input of a decision on a release.

    `authors` maps the names of the changes' authors to their ids. `content` is a keyed digest of `content_of` a release
    that is created; `pipeline`, `stages` and `versions` are its application's. `twin` is a release that exists under
    the same version, written otherwise. `under_way` are its deployments that are past planning.
    """

    actor: str
    authors: Mapping[str, str] = field(default_factory=dict)
    content: str = ""
    pipeline: str | None = None
    stages: tuple[Stage, ...] = ()
    versions: Scheme = DEFAULT
    twin: str | None = None
    under_way: tuple[UnderWay, ...] = ()


def decide(command: ReleaseCommand, state: Release, facts: ReleaseFacts) -> list[ReleaseEvent]:
    """Decide on one release."""
    match command:
        case CreateRelease():
            return _create(command, state, facts)
        case AddChanges():
            _check_exists(command.release, state)
            return _add_changes(command, state, facts)
        case PublishRelease():
            _check_exists(command.release, state)
            return [] if state.published else [ReleasePublished()]
        case AttestRelease():
            _check_exists(command.release, state)
            return _attest(command, state, facts.actor)
        case BlockRelease(reason=reason):
            _check_exists(command.release, state)
            return [ReleaseBlocked(reason=Unsealed(subject=facts.actor, text=reason))]
        case UnblockRelease():
            _check_exists(command.release, state)
            return [ReleaseUnblocked()] if state.blocked else []
        case ConfigureCanary():
            _check_exists(command.release, state)
            return _configure_canary(command, state, facts)
        case NoteDeployment(environment=environment, deployment=deployment, reverts=reverts):
            return [ReleaseDeploymentPlanned(environment=environment, deployment=deployment, reverts=reverts)]
        case NoteSuccess(environment=environment, deployment=deployment):
            return [ReleaseSucceeded(environment=environment, deployment=deployment)]
        case WithdrawReleaseSuccess(environment=environment, deployment=deployment):
            return [ReleaseWithdrawn(environment=environment, deployment=deployment)]
        case _:
            assert_never(command)


def content_of(command: CreateRelease) -> dict[str, Any]:
    """Return the content that identifies a release: the same again is the same release, other content is refused."""
    spelling: Any = {"draft": True, "label": True, "components": {"__all__": {"label"}}}
    return command.model_dump(mode="json", exclude=spelling if command.partial else spelling | {"partial": True})


def authors_of(command: CreateRelease | AddChanges) -> list[str]:
    """Return the authors of the changes, each once."""
    return list(dict.fromkeys(change.author for change in command.changes if change.author))


def _check_exists(ref: str, state: Release) -> None:
    if not state.version:
        raise Refused(unknown_release(ref), code=ErrorCode.NOT_FOUND)


def _create(command: CreateRelease, state: Release, facts: ReleaseFacts) -> list[ReleaseEvent]:
    """Create the release; the same content again records nothing, other content under the same version is refused."""
    ref = f"{command.application}@{command.version}"
    if not state.version:
        _check_version(command, ref, facts)
    names = [component.name for component in command.components]
    if len(set(names)) != len(names):
        raise Refused(f"release {ref}: a component stands twice; name each once", code=ErrorCode.INVALID)
    if state.version:
        if state.content != facts.content:
            raise Refused(
                f"release {state.ref} exists with other content; a version is never reused: create a new version",
                code=ErrorCode.CONFLICT,
            )
        return []
    created = _created(command, facts)
    return [created] if command.draft else [created, ReleasePublished()]


def _check_version(command: CreateRelease, ref: str, facts: ReleaseFacts) -> None:
    """Refuse a version that does not fit the application's scheme, or that exists in another spelling."""
    try:
        for version in (
            command.version,
            *(component.version for component in command.components if component.version is not None),
        ):
            versions.check(facts.versions, version)
    except ValueError as error:
        raise Refused(f"release {ref}: {error}", code=ErrorCode.INVALID) from None
    if facts.twin is not None:
        raise Refused(
            f"release {ref} would be the same version as {facts.twin}, which exists: a leading v makes no other "
            "version; create a new one",
            code=ErrorCode.CONFLICT,
        )


def _created(command: CreateRelease, facts: ReleaseFacts) -> ReleaseCreated:
    labels = {component.name: component.label for component in command.components if component.label is not None}
    return ReleaseCreated(
        application=command.application,
        version=command.version,
        author=facts.actor,
        components=tuple(_component(component, command.version) for component in command.components),
        changes=tuple(_change(change, facts) for change in command.changes),
        changelog=tuple(Unsealed(subject=facts.actor, text=line) for line in command.changelog),
        pipeline=facts.pipeline,
        stages=facts.stages,
        content=facts.content,
        complete=None if command.partial else True,
        versions=None if facts.versions == DEFAULT else facts.versions,
        label=command.label,
        component_labels=labels or None,
    )


def _component(component: ComponentInput, version: str) -> Component:
    version = component.version or version
    return Component(
        name=component.name,
        version=version,
        artifact=component.artifact,
        artifact_digest=component.digest or digest_of([component.name, version, component.artifact]),
        config=component.config,
        config_digest=digest_of(component.config),
    )


def _change(change: ChangeInput, facts: ReleaseFacts) -> Change:
    author = Unsealed(subject=facts.authors[change.author], text=change.author) if change.author else None
    message = None if change.message is None else Unsealed(subject=facts.actor, text=change.message)
    return Change(commit=change.commit, committed_at=change.committed_at, author=author, message=message)


def _add_changes(command: AddChanges, state: Release, facts: ReleaseFacts) -> list[ReleaseEvent]:
    """Add the changes that the release does not have yet, each once."""
    fresh: dict[str, ChangeInput] = {}
    for change in command.changes:
        if change.commit not in state.commits:
            fresh.setdefault(change.commit, change)
    _check_size(len(state.commits) + len(fresh), state)
    changes = tuple(_change(change, facts) for change in fresh.values())
    return [ReleaseChangesAdded(changes=changes, by=facts.actor)] if changes else []


def _check_size(total: int, state: Release) -> None:
    if total > MAX_CHANGES:
        raise Refused(
            f"release {state.ref} would have {total:,} changes and may have {MAX_CHANGES:,}; "
            "sum some up in its changelog",
            code=ErrorCode.INVALID,
        )


def _attest(command: AttestRelease, state: Release, actor: str) -> list[ReleaseEvent]:
    gate, result, note = command.gate, command.result, command.note
    if state.attestations.get(gate) == result and note is None:
        return []
    if gate not in state.attestations and len(state.attestations) >= MAX_GATES:
        raise Refused(
            f"release {state.ref} has {MAX_GATES} attested gates already; {gate!r} would be one more",
            code=ErrorCode.CONFLICT,
        )
    text = None if note is None else Unsealed(subject=actor, text=note)
    return [ReleaseAttested(gate=gate, result=result, by=actor, note=text)]


def _configure_canary(command: ConfigureCanary, state: Release, facts: ReleaseFacts) -> list[ReleaseEvent]:
    """Set the release's own initial traffic, unless a deployment of it is past planning."""
    if state.initial_traffic == command.traffic_percentage:
        return []
    if facts.under_way:
        first = facts.under_way[0]
        raise Refused(
            f"deployment {first.deployment} of {state.ref} to {first.environment} is {first.phase}; "
            "its traffic can be changed only while it is Planned",
            code=ErrorCode.CONFLICT,
        )
    return [ReleaseCanaryConfigured(initial_traffic=command.traffic_percentage)]
