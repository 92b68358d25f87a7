"""Handle reports of executors and commands of timers about a running deployment."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from release_management.domain.deployment import decide
from release_management.domain.deployment.commands import (
    Expire,
    ExpireStep,
    ReportStep,
    Resume,
    RetryStep,
)
from release_management.domain.deployment.events import DeploymentEvent
from release_management.kernel.types import Command
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases.consequences import record


def report(command: ReportStep, uow: UnitOfWork) -> None:
    """Take an executor's report."""
    state = uow.deployment(command.deployment)
    _record(uow, state.id, decide.report(state, command, uow.now), command.fence)


def resume(command: Resume, uow: UnitOfWork) -> None:
    """A timed pause is over."""
    state = uow.deployment(command.deployment)
    _record(uow, state.id, decide.resume(state, command.leg, command.step, uow.now))


def retry_step(command: RetryStep, uow: UnitOfWork) -> None:
    """Try a step again."""
    state = uow.deployment(command.deployment)
    _record(uow, state.id, decide.retry_step(state, command.leg, command.step, command.attempt, uow.now))


def expire_step(command: ExpireStep, uow: UnitOfWork) -> None:
    """A step's deadline has passed."""
    state = uow.deployment(command.deployment)
    _record(uow, state.id, decide.expire_step(state, command.leg, command.step, command.attempt, uow.now))


def expire(command: Expire, uow: UnitOfWork) -> None:
    """A waiting phase's deadline has passed."""
    state = uow.deployment(command.deployment)
    _record(uow, state.id, decide.expire(state, uow.now))


def _record(uow: UnitOfWork, id: str, facts: Sequence[DeploymentEvent], fence: int | None = None) -> None:
    record(uow, id, facts, fence)
    uow.result.update(deployment=id, phase=str(uow.deployment(id).phase))


HANDLERS: Mapping[type[Command], Callable[[Any, UnitOfWork], None]] = {
    ReportStep: report,
    Resume: resume,
    RetryStep: retry_step,
    ExpireStep: expire_step,
    Expire: expire,
}
