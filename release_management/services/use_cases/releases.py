"""Releases."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain import release as releases
from release_management.domain import versions
from release_management.domain.component import Component
from release_management.domain.deployment.state import DeploymentPhase
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
from release_management.kernel.digest import digest_of
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import (
    Command,
    Refused,
    Unsealed,
)
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases.consequences import stop_where_blocked
from release_management.services.use_cases.planning import replan


def create(command: CreateRelease, uow: UnitOfWork) -> None:
    """Create with a snapshot of the application's pipeline."""
    [policy] = uow.policies(command.application)
    stages = uow.pipeline(policy.pipeline).stages if policy.pipeline else ()
    labels = {envelope.name: envelope.label for envelope in command.components if envelope.label is not None}
    spelling: Any = {"draft": True, "label": True, "components": {"__all__": {"label"}}}
    said = command.model_dump(mode="json", exclude=spelling if command.partial else spelling | {"partial": True})
    created = ReleaseCreated(
        application=command.application,
        version=command.version,
        author=uow.actor,
        components=tuple(_component(envelope, command.version) for envelope in command.components),
        changes=tuple(_change(envelope, uow) for envelope in command.changes),
        changelog=tuple(Unsealed(subject=uow.actor, text=line) for line in command.changelog),
        pipeline=policy.pipeline,
        stages=stages,
        content=uow.keyed_digest(said),
        complete=None if command.partial else True,
        versions=None if policy.versions == DEFAULT else policy.versions,
        label=command.label,
        component_labels=labels or None,
    )
    ref = f"{command.application}@{command.version}"
    state = uow.state(RELEASE, ref)
    if not state.version:
        _check_version(command, policy.versions, uow)
    uow.write(RELEASE.stream(ref), releases.create(created, command.draft, state))
    uow.result["release"] = ref


def _check_version(command: CreateRelease, scheme: Scheme, uow: UnitOfWork) -> None:
    """Refuse a version that is none of the application's scheme, or that is there already in another spelling."""
    ref = f"{command.application}@{command.version}"
    try:
        for version in (
            command.version,
            *(envelope.version for envelope in command.components if envelope.version is not None),
        ):
            versions.check(scheme, version)
    except ValueError as error:
        raise Refused(f"release {ref}: {error}", code=ErrorCode.INVALID) from None
    other = releases.same_version(command.application, command.version)
    if other is not None and uow.state(RELEASE, other).version:
        raise Refused(
            f"release {ref} would be the same version as {other}, which exists: a leading v makes no other version; "
            "create a new one",
            code=ErrorCode.CONFLICT,
        )


def _component(envelope: ComponentWish, version: str) -> Component:
    version = envelope.version or version
    return Component(
        name=envelope.name,
        version=version,
        artifact=envelope.artifact,
        artifact_digest=envelope.digest or digest_of([envelope.name, version, envelope.artifact]),
        config=envelope.config,
        config_digest=digest_of(envelope.config),
    )


def _change(envelope: ChangeWish, uow: UnitOfWork) -> Change:
    author = envelope.author and Unsealed(subject=uow.identify(envelope.author), text=envelope.author)
    message = None if envelope.message is None else Unsealed(subject=uow.actor, text=envelope.message)
    return Change(commit=envelope.commit, committed_at=envelope.committed_at, author=author or None, message=message)


def add_changes(command: AddChanges, uow: UnitOfWork) -> None:
    """Add changes that are not there yet."""
    changes = [_change(envelope, uow) for envelope in command.changes]
    state = uow.state(RELEASE, command.release)
    uow.write(RELEASE.stream(command.release), releases.add_changes(command.release, changes, state, uow.actor))
    uow.result["release"] = command.release


def decide(command: ReleaseCommand, uow: UnitOfWork) -> None:
    """Publish, attest, block, unblock. A block stops what waits in a pause at once, and the rest at its next pause."""
    state = uow.state(RELEASE, command.release)
    uow.write(RELEASE.stream(command.release), releases.decide(command, state, uow.actor))
    if isinstance(command, BlockRelease):
        for id in uow.release(command.release).planned.values():
            stop_where_blocked(uow, id)
    uow.result["release"] = command.release


def configure_canary(command: ConfigureCanary, uow: UnitOfWork) -> None:
    """Set the release's own initial traffic and compile its planned deployments again."""
    release = uow.release(command.release)
    deployments = [uow.deployment(id) for id in release.planned.values()]
    if release.initial_traffic != command.traffic_percentage:
        for deployment in deployments:
            if not deployment.ended and deployment.phase is not DeploymentPhase.PLANNED:
                raise Refused(
                    f"deployment {deployment.id} of {release.ref} to {deployment.environment} is {deployment.phase}; "
                    "its traffic can be changed only while it is Planned",
                    code=ErrorCode.CONFLICT,
                )
        event = ReleaseCanaryConfigured(initial_traffic=command.traffic_percentage)
        uow.write(RELEASE.stream(release.ref), [event])
    recompiled = [
        replan(uow, deployment.id, f"{release.ref} begins its canary with {command.traffic_percentage} %")
        for deployment in deployments
        if deployment.phase is DeploymentPhase.PLANNED
    ]
    uow.result.update(release=release.ref, deployments=recompiled)


HANDLERS: Mapping[type[Command], Callable[[Any, UnitOfWork], None]] = {
    CreateRelease: create,
    AddChanges: add_changes,
    PublishRelease: decide,
    AttestRelease: decide,
    BlockRelease: decide,
    UnblockRelease: decide,
    ConfigureCanary: configure_canary,
}
