"""The instances that must be healthy before a step is begun: by role in a plan, by slot in an order."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from release_management.domain.component import Slot
from release_management.domain.plan.binding import Binding
from release_management.domain.plan.roles import Role

_Count = Annotated[int, Field(ge=1, le=100)]
HealthyRoles = Annotated[dict[Role, _Count], Field(exclude_if=lambda roles: not roles)]
"""The instances per role that must be healthy before the step is begun; else the deployment rolls back."""
HealthySlots = Annotated[dict[Slot, _Count], Field(exclude_if=lambda slots: not slots)]
"""The instances per slot that must be healthy before the order is begun. Absent from JSON if none must."""


def slots_of(healthy: Mapping[Role, int], binding: Binding) -> dict[Slot, int]:
    """The same by slot."""
    return {binding.slot(role): count for role, count in healthy.items()}
