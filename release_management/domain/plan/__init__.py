"""Plans, to which strategies compile. `steps` has a file for each kind of step, `strategies` one for each strategy."""

from release_management.domain.plan.binding import Binding
from release_management.domain.plan.plan import (
    Plan,
    PlannedChange,
    bounded,
)
from release_management.domain.plan.roles import Leg, Role
from release_management.domain.plan.step import (
    OrderedStep,
    PlaceStep,
    Step,
)
from release_management.domain.plan.steps import (
    ACTIONS,
    STEPS,
    Action,
    AnyStep,
)

__all__ = [
    "ACTIONS",
    "STEPS",
    "Action",
    "AnyStep",
    "Binding",
    "Leg",
    "OrderedStep",
    "PlaceStep",
    "Plan",
    "PlannedChange",
    "Role",
    "Step",
    "bounded",
]
