"""What executors see between and during deployments.

A candidate that is not well goes back: that is decided with the look that says so, in one append (docs/adr/0003).
"""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain.deployment import decide
from release_management.domain.place import PLACE
from release_management.domain.seeing import ReportCondition, counts, report_condition
from release_management.domain.words import Command
from release_management.services.decisions.consequences import record
from release_management.services.desk import Desk


def report(command: ReportCondition, desk: Desk) -> None:
    """Take an executor's look at a component."""
    place = desk.place(command.environment, command.application, command.target)
    desk.write(PLACE.stream(command.environment, command.application, command.target), report_condition(place, command))
    if place.lock is not None and counts(place, command):
        state = desk.deployment(place.lock)
        record(desk, state.id, decide.notice(state, command.target, command.component, command.slots, desk.now))


HANDLERS: Mapping[type[Command], Callable[[Any, Desk], None]] = {ReportCondition: report}
