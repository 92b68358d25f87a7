"""Releases."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain import release as releases
from release_management.domain import versions
from release_management.domain.component import Component
from release_management.domain.deployment.state import Phase
from release_management.domain.errors import ErrorCode
from release_management.domain.plan import digest_of
from release_management.domain.release import (
    RELEASE,
    AddChanges,
    AttestRelease,
    BlockRelease,
    Change,
    ChangeWish,
    ComponentWish,
    ConfigureCanary,
    CreateRelease,
    PublishRelease,
    ReleaseCanaryConfigured,
    ReleaseCommand,
    ReleaseCreated,
    UnblockRelease,
)
from release_management.domain.versions import DEFAULT, Scheme
from release_management.domain.words import Command, Refused, Unsealed
from release_management.services.decisions.consequences import stop_where_blocked
from release_management.services.decisions.planning import replan
from release_management.services.desk import Desk


def create(command: CreateRelease, desk: Desk) -> None:
    """Create with a snapshot of the application's pipeline."""
    [policy] = desk.policies(command.application)
    stages = desk.pipeline(policy.pipeline).stages if policy.pipeline else ()
    labels = {wish.name: wish.label for wish in command.components if wish.label is not None}
    spelling: Any = {"draft": True, "label": True, "components": {"__all__": {"label"}}}
    said = command.model_dump(mode="json", exclude=spelling if command.partial else spelling | {"partial": True})
    created = ReleaseCreated(
        application=command.application,
        version=command.version,
        author=desk.actor,
        components=tuple(_component(wish, command.version) for wish in command.components),
        changes=tuple(_change(wish, desk) for wish in command.changes),
        changelog=tuple(Unsealed(subject=desk.actor, text=line) for line in command.changelog),
        pipeline=policy.pipeline,
        stages=stages,
        content=desk.keyed_digest(said),
        complete=None if command.partial else True,
        versions=None if policy.versions == DEFAULT else policy.versions,
        label=command.label,
        component_labels=labels or None,
    )
    ref = f"{command.application}@{command.version}"
    state = desk.state(RELEASE, ref)
    if not state.version:
        _check_version(command, policy.versions, desk)
    desk.write(RELEASE.stream(ref), releases.create(created, command.draft, state))
    desk.result["release"] = ref


def _check_version(command: CreateRelease, scheme: Scheme, desk: Desk) -> None:
    """Refuse a version that is none of the application's scheme, or that is there already in another spelling."""
    ref = f"{command.application}@{command.version}"
    try:
        for version in (command.version, *(wish.version for wish in command.components if wish.version is not None)):
            versions.check(scheme, version)
    except ValueError as error:
        raise Refused(f"release {ref}: {error}", code=ErrorCode.INVALID) from None
    other = releases.same_version(command.application, command.version)
    if other is not None and desk.state(RELEASE, other).version:
        raise Refused(
            f"release {ref} would be the same version as {other}, which exists: a leading v makes no other version; "
            "create a new one",
            code=ErrorCode.CONFLICT,
        )


def _component(wish: ComponentWish, version: str) -> Component:
    version = wish.version or version
    return Component(
        name=wish.name,
        version=version,
        artifact=wish.artifact,
        artifact_digest=wish.digest or digest_of([wish.name, version, wish.artifact]),
        config=wish.config,
        config_digest=digest_of(wish.config),
    )


def _change(wish: ChangeWish, desk: Desk) -> Change:
    author = wish.author and Unsealed(subject=desk.identify(wish.author), text=wish.author)
    message = None if wish.message is None else Unsealed(subject=desk.actor, text=wish.message)
    return Change(commit=wish.commit, committed_at=wish.committed_at, author=author or None, message=message)


def add_changes(command: AddChanges, desk: Desk) -> None:
    """Add changes that are not there yet."""
    changes = [_change(wish, desk) for wish in command.changes]
    state = desk.state(RELEASE, command.release)
    desk.write(RELEASE.stream(command.release), releases.add_changes(command.release, changes, state, desk.actor))
    desk.result["release"] = command.release


def decide(command: ReleaseCommand, desk: Desk) -> None:
    """Publish, attest, block, unblock. A block stops what waits in a pause at once, and the rest at its next pause."""
    state = desk.state(RELEASE, command.release)
    desk.write(RELEASE.stream(command.release), releases.decide(command, state, desk.actor))
    if isinstance(command, BlockRelease):
        for id in desk.release(command.release).planned.values():
            stop_where_blocked(desk, id)
    desk.result["release"] = command.release


def configure_canary(command: ConfigureCanary, desk: Desk) -> None:
    """Set the release's own initial traffic and compile its planned deployments again."""
    release = desk.release(command.release)
    deployments = [desk.deployment(id) for id in release.planned.values()]
    if release.initial_traffic != command.traffic_percentage:
        for deployment in deployments:
            if not deployment.ended and deployment.phase is not Phase.PLANNED:
                raise Refused(
                    f"deployment {deployment.id} of {release.ref} to {deployment.environment} is {deployment.phase}; "
                    "its traffic can be changed only while it is Planned",
                    code=ErrorCode.CONFLICT,
                )
        event = ReleaseCanaryConfigured(initial_traffic=command.traffic_percentage)
        desk.write(RELEASE.stream(release.ref), [event])
    recompiled = [
        replan(desk, deployment.id, f"{release.ref} begins its canary with {command.traffic_percentage} %")
        for deployment in deployments
        if deployment.phase is Phase.PLANNED
    ]
    desk.result.update(release=release.ref, deployments=recompiled)


HANDLERS: Mapping[type[Command], Callable[[Any, Desk], None]] = {
    CreateRelease: create,
    AddChanges: add_changes,
    PublishRelease: decide,
    AttestRelease: decide,
    BlockRelease: decide,
    UnblockRelease: decide,
    ConfigureCanary: configure_canary,
}
