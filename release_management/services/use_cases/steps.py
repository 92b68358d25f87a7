"""Handle reports of executors and commands of timers about a running deployment."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain.deployment.commands import (
    Expire,
    ExpireStep,
    ReportStep,
    Resume,
    RetryStep,
)
from release_management.kernel.types import Command
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases.consequences import decide_deployment

TimeCommand = Resume | RetryStep | ExpireStep | Expire


def report(command: ReportStep, uow: UnitOfWork) -> None:
    """Handle an executor's report."""
    _decide(uow, command, command.fence)


def let_time_pass(command: TimeCommand, uow: UnitOfWork) -> None:
    """Handle the end of a pause, a retry delay, a step's deadline or a waiting phase."""
    _decide(uow, command)


def _decide(uow: UnitOfWork, command: ReportStep | TimeCommand, fence: int | None = None) -> None:
    id = uow.deployment(command.deployment).id
    decide_deployment(uow, id, command, fence)
    uow.result.update(deployment=id, phase=str(uow.deployment(id).phase))


HANDLERS: Mapping[type[Command], Callable[[Any, UnitOfWork], None]] = {
    ReportStep: report,
    Resume: let_time_pass,
    RetryStep: let_time_pass,
    ExpireStep: let_time_pass,
    Expire: let_time_pass,
}
