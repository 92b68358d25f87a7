"""The public names for a package that adds an executor; see docs/how-to/write-an-executor.md."""

from release_management.adapters.executors.base.claims import Claims
from release_management.adapters.executors.base.executor import FencedExecutor, StepResult, Trouble
from release_management.adapters.executors.base.folder import Kept, TargetFolder, TargetState
from release_management.adapters.executors.base.look import Look
from release_management.adapters.executors.base.variables import SecretMissing, resolve
from release_management.adapters.executors.catalog import ExecutorDeclaration, RunningExecutor
from release_management.domain.condition import Observation, SeenSlot
from release_management.domain.orders import Order, Report
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots
from release_management.kernel.record import timestamp
from release_management.services.ports import Clock, Executor

__all__ = [
    "AwaitSlotHealthy",
    "Claims",
    "Clock",
    "Executor",
    "ExecutorDeclaration",
    "FencedExecutor",
    "Kept",
    "Look",
    "Observation",
    "Order",
    "ProvisionSlot",
    "Report",
    "RetireSlot",
    "RouteSlots",
    "RunningExecutor",
    "SecretMissing",
    "SeenSlot",
    "StepResult",
    "TargetFolder",
    "TargetState",
    "Trouble",
    "resolve",
    "timestamp",
]
