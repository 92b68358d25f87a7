"""Record an executor's observation of a place if the condition changed."""

from typing import ClassVar

from pydantic import Field

from release_management.domain.condition import (
    Observation,
    SlotCondition,
    compare,
)
from release_management.domain.place import Place
from release_management.domain.place_component import ComponentStatus, Seen
from release_management.domain.place_events import PlaceConditionChanged
from release_management.kernel.types import (
    Command,
    Giver,
    Name,
)


class ReportCondition(Observation, Command):
    """Report an executor's observation of a component."""

    NAME: ClassVar[str] = "place.report_condition"
    GIVEN_BY: ClassVar[Giver] = Giver.EXECUTORS
    by: Name = Field(description="the executor that looked")


def counts(state: Place, report: ReportCondition) -> bool:
    """Return True if an observation came after the newest executed step, and after the recorded observation.

    A blind observation saw no step either, and counts by its time alone.
    """
    status = state.components.get(report.component)
    if status is None or (report.fence < status.fence and not report.is_blind):
        return False
    return status.seen is None or report.observedat > status.seen.observedat


def report_condition(state: Place, report: ReportCondition) -> list[PlaceConditionChanged]:
    """Record the condition if the observation counts and it differs from the one before.

    While a deployment holds the place the slots change, and are not compared with the record.
    """
    if not counts(state, report):
        return []
    status = state.components[report.component]
    if state.lock is None:
        recorded = {slot: each.content.version for slot, each in status.slots.items() if each.replicas}
        condition, reason = compare(recorded, report)
    else:
        condition, reason = report.condition, report.reason
    slots = tuple(_slot(status, each.model_dump()) for each in sorted(report.slots, key=lambda each: each.slot))
    seen = Seen(condition, reason, slots, report.fence, report.observedat)
    if status.seen is not None and _essence(status.seen) == _essence(seen):
        return []
    return [
        PlaceConditionChanged(
            component=report.component,
            condition=condition,
            reason=reason,
            slots=slots,
            by=report.by,
            fence=report.fence,
            observedat=report.observedat,
        )
    ]


def _slot(status: ComponentStatus, seen: dict[str, object]) -> SlotCondition:
    role = "stable" if seen["slot"] == status.stable else "candidate"
    return SlotCondition.model_validate({**seen, "role": role})


def _essence(seen: Seen) -> tuple[object, ...]:
    """Return the parts whose change makes a new condition. Reasons and counts vary, and roles follow decisions."""
    return seen.condition, tuple((each.slot, each.version, each.condition) for each in seen.slots)
