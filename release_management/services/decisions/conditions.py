"""What executors see between and during deployments."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain.place import stream
from release_management.domain.seeing import ReportCondition, report_condition
from release_management.domain.words import Command
from release_management.services.desk import Desk


def report(command: ReportCondition, desk: Desk) -> None:
    """Take an executor's look at a component."""
    place = desk.place(command.environment, command.application, command.target)
    desk.write(stream(command.environment, command.application, command.target), report_condition(place, command))


HANDLERS: Mapping[type[Command], Callable[[Any, Desk], None]] = {ReportCondition: report}
