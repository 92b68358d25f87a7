"""Releases."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain.deployment.state import DeploymentPhase
from release_management.domain.release import RELEASE, same_version
from release_management.domain.release_commands import (
    AddChanges,
    AttestRelease,
    BlockRelease,
    ConfigureCanary,
    CreateRelease,
    PublishRelease,
    UnblockRelease,
)
from release_management.domain.release_decisions import (
    ReleaseFacts,
    UnderWay,
    authors_of,
    content_of,
    decide,
)
from release_management.kernel.types import Command
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases.consequences import stop_where_blocked
from release_management.services.use_cases.planning import replan


def create(command: CreateRelease, uow: UnitOfWork) -> None:
    """Create a release with a snapshot of the application's pipeline."""
    [policy] = uow.policies(command.application)
    ref = f"{command.application}@{command.version}"
    state = uow.state(RELEASE, ref)
    facts = ReleaseFacts(
        actor=uow.actor,
        authors=_authors(command, uow),
        content=uow.keyed_digest(content_of(command)),
        pipeline=policy.pipeline,
        stages=uow.pipeline(policy.pipeline).stages if policy.pipeline else (),
        versions=policy.versions,
        twin=None if state.version else _twin(command, uow),
    )
    uow.write(RELEASE.stream(ref), decide(command, state, facts))
    uow.result["release"] = ref


def _twin(command: CreateRelease, uow: UnitOfWork) -> str | None:
    """Return the release with the same version in another spelling."""
    other = same_version(command.application, command.version)
    return other if other is not None and uow.state(RELEASE, other).version else None


def _authors(command: CreateRelease | AddChanges, uow: UnitOfWork) -> dict[str, str]:
    return {name: uow.identify(name) for name in authors_of(command)}


def add_changes(command: AddChanges, uow: UnitOfWork) -> None:
    """Add changes that the release does not have yet."""
    facts = ReleaseFacts(uow.actor, _authors(command, uow))
    uow.write(RELEASE.stream(command.release), decide(command, uow.state(RELEASE, command.release), facts))
    uow.result["release"] = command.release


def change(command: PublishRelease | AttestRelease | BlockRelease | UnblockRelease, uow: UnitOfWork) -> None:
    """Publish, attest, block or unblock.

    A block rolls back deployments that are in a pause at once, and others at their next pause.
    """
    state = uow.state(RELEASE, command.release)
    uow.write(RELEASE.stream(command.release), decide(command, state, ReleaseFacts(uow.actor)))
    if isinstance(command, BlockRelease):
        for id in uow.release(command.release).planned.values():
            stop_where_blocked(uow, id)
    uow.result["release"] = command.release


def configure_canary(command: ConfigureCanary, uow: UnitOfWork) -> None:
    """Set the release's own initial traffic and compile its planned deployments again."""
    release = uow.release(command.release)
    deployments = [uow.deployment(id) for id in release.planned.values()]
    under_way = tuple(
        UnderWay(deployment.id, deployment.environment, deployment.phase)
        for deployment in deployments
        if not deployment.ended and deployment.phase is not DeploymentPhase.PLANNED
    )
    facts = ReleaseFacts(uow.actor, under_way=under_way)
    uow.write(RELEASE.stream(release.ref), decide(command, release, facts))
    recompiled = [
        replan(uow, deployment.id, f"{release.ref} begins its canary with {command.traffic_percentage} %")
        for deployment in deployments
        if deployment.phase is DeploymentPhase.PLANNED
    ]
    uow.result.update(release=release.ref, deployments=recompiled)


HANDLERS: Mapping[type[Command], Callable[[Any, UnitOfWork], None]] = {
    CreateRelease: create,
    AddChanges: add_changes,
    PublishRelease: change,
    AttestRelease: change,
    BlockRelease: change,
    UnblockRelease: change,
    ConfigureCanary: configure_canary,
}
