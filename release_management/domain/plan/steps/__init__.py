"""Every kind of step: a file here for each, and a line in these lists.

The unions are written out, since types are checked before the program runs; a test holds them to the files.
"""

from collections.abc import Mapping
from typing import Annotated, get_args

from pydantic import Field

from release_management.domain.plan.step import (
    Step,
    StepAction,
    verb_of,
)
from release_management.domain.plan.steps.await_healthy import AwaitHealthy, AwaitSlotHealthy
from release_management.domain.plan.steps.pause import Pause
from release_management.domain.plan.steps.promote import Promote
from release_management.domain.plan.steps.provision import Provision, ProvisionSlot
from release_management.domain.plan.steps.retire import Retire, RetireSlot
from release_management.domain.plan.steps.route import Route, RouteSlots
from release_management.kernel.gathering import gathered

AnyStep = Annotated[
    Provision | AwaitHealthy | Route | Pause | Promote | Retire,
    Field(discriminator="verb"),
]
Action = Annotated[ProvisionSlot | AwaitSlotHealthy | RouteSlots | RetireSlot, Field(discriminator="verb")]

STEPS: Mapping[str, type[Step]] = gathered((verb_of(step), step) for step in get_args(get_args(AnyStep)[0]))
"""Every kind of step by its verb."""
ACTIONS: Mapping[str, type[StepAction]] = gathered(
    (verb_of(action), action) for action in get_args(get_args(Action)[0])
)
"""The executor's actions by verb."""
