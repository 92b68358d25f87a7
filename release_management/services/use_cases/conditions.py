"""Handle executors' observations between and during deployments.

A candidate that is not well goes back: that is decided with the look that says so, in one append (docs/adr/0003).
"""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain.deployment import decide
from release_management.domain.observation import (
    ReportCondition,
    counts,
    report_condition,
)
from release_management.domain.place import PLACE
from release_management.kernel.types import Command
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases.consequences import record


def report(command: ReportCondition, uow: UnitOfWork) -> None:
    """Take an executor's look at a component."""
    place = uow.place(command.environment, command.application, command.target)
    uow.write(PLACE.stream(command.environment, command.application, command.target), report_condition(place, command))
    if place.lock is not None and counts(place, command):
        state = uow.deployment(place.lock)
        record(uow, state.id, decide.notice(state, command.target, command.component, command.slots, uow.now))


HANDLERS: Mapping[type[Command], Callable[[Any, UnitOfWork], None]] = {ReportCondition: report}
