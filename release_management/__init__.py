"""Plan, schedule, approve, deploy, watch, roll back and prove software releases."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from release_management.adapters.nats.client import NotReachableError
    from release_management.facade.deployments import NotFinishedError
    from release_management.facade.manager import ReleaseManager
    from release_management.facade.views import (
        Approval,
        CanaryPlan,
        ComponentCondition,
        Deployment,
        Entry,
        Environment,
        History,
        Incident,
        Measured,
        Metric,
        Metrics,
        Pipeline,
        Plan,
        Policy,
        Release,
        Running,
    )
    from release_management.kernel.errors import ErrorCode, RelmanError
    from release_management.kernel.types import Refused, Verdict

__all__ = [
    "Approval",
    "CanaryPlan",
    "ComponentCondition",
    "Deployment",
    "Entry",
    "Environment",
    "ErrorCode",
    "History",
    "Incident",
    "Measured",
    "Metric",
    "Metrics",
    "NotFinishedError",
    "NotReachableError",
    "Pipeline",
    "Plan",
    "Policy",
    "Refused",
    "Release",
    "ReleaseManager",
    "RelmanError",
    "Running",
    "Verdict",
]

_MODULES = {
    "NotFinishedError": "facade.deployments",
    "NotReachableError": "adapters.nats.client",
    "Refused": "kernel.types",
    "ErrorCode": "kernel.errors",
    "ReleaseManager": "facade.manager",
    "RelmanError": "kernel.errors",
    "Verdict": "kernel.types",
}


def __getattr__(name: str) -> Any:
    """Load a public name at its first use: a part of the program starts without the rest of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'facade.views')}"), name)
