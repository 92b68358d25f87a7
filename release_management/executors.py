"""What a package needs that adds an executor; see docs/how-to/write-an-executor.md."""

from release_management.adapters.executors.base.executor import (
    FencedExecutor,
    Trouble,
)
from release_management.adapters.executors.base.folder import (
    Kept,
    TargetFolder,
    TargetState,
)
from release_management.adapters.executors.base.look import Look
from release_management.adapters.executors.base.variables import SecretMissing, resolve
from release_management.adapters.executors.catalog import ExecutorDeclaration, RunningExecutor
from release_management.domain.condition import Observation, SeenSlot
from release_management.domain.orders import (
    AwaitSlotHealthy,
    Order,
    ProvisionSlot,
    Report,
    RetireSlot,
    RouteSlots,
)
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
    "TargetFolder",
    "TargetState",
    "Trouble",
    "Verdict",
    "resolve",
    "timestamp",
]
