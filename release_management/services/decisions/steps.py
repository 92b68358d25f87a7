"""What executors and timers say about a running deployment."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from release_management.domain.deployment import decide
from release_management.domain.deployment.commands import Expire, ExpireStep, ReportStep, Resume, RetryStep
from release_management.domain.deployment.events import DeploymentEvent
from release_management.domain.words import Command
from release_management.services.decisions.consequences import record
from release_management.services.desk import Desk


def report(command: ReportStep, desk: Desk) -> None:
    """Take an executor's report."""
    state = desk.deployment(command.deployment)
    _record(desk, state.id, decide.report(state, command, desk.now), command.fence)


def resume(command: Resume, desk: Desk) -> None:
    """A timed pause is over."""
    state = desk.deployment(command.deployment)
    _record(desk, state.id, decide.resume(state, command.leg, command.step, desk.now))


def retry_step(command: RetryStep, desk: Desk) -> None:
    """Try a step again."""
    state = desk.deployment(command.deployment)
    _record(desk, state.id, decide.retry_step(state, command.leg, command.step, command.attempt, desk.now))


def expire_step(command: ExpireStep, desk: Desk) -> None:
    """A step's deadline has passed."""
    state = desk.deployment(command.deployment)
    _record(desk, state.id, decide.expire_step(state, command.leg, command.step, command.attempt, desk.now))


def expire(command: Expire, desk: Desk) -> None:
    """A waiting phase's deadline has passed."""
    state = desk.deployment(command.deployment)
    _record(desk, state.id, decide.expire(state, desk.now))


def _record(desk: Desk, id: str, facts: Sequence[DeploymentEvent], fence: int | None = None) -> None:
    record(desk, id, facts, fence)
    desk.result.update(deployment=id, phase=str(desk.deployment(id).phase))


HANDLERS: Mapping[type[Command], Callable[[Any, Desk], None]] = {
    ReportStep: report,
    Resume: resume,
    RetryStep: retry_step,
    ExpireStep: expire_step,
    Expire: expire,
}
