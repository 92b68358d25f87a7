"""Handle executors' observations between and during deployments.

An unhealthy candidate is rolled back in the append that records the observation (docs/adr/0003).
"""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain.deployment.decide import NoticeCondition
from release_management.domain.observation import ReportCondition, counts
from release_management.domain.place import PLACE
from release_management.domain.place_decisions import PlaceFacts, decide
from release_management.kernel.types import Command
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases.consequences import decide_deployment


def report(command: ReportCondition, uow: UnitOfWork) -> None:
    """Handle an executor's observation of a component."""
    key = command.environment, command.application, command.target
    place = uow.place(*key)
    uow.write(PLACE.stream(*key), decide(command, place, PlaceFacts(uow.now)))
    if place.lock is not None and counts(place, command):
        notice = NoticeCondition(command.target, command.component, command.slots)
        decide_deployment(uow, uow.deployment(place.lock).id, notice)


HANDLERS: Mapping[type[Command], Callable[[Any, UnitOfWork], None]] = {ReportCondition: report}
