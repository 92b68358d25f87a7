"""Plan, schedule, approve, deploy, watch, roll back and prove software releases."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from release_management.adapters.nats.client import NotReachableError
    from release_management.domain.errors import ErrorCode, RelmanError
    from release_management.domain.words import Refused, Verdict
    from release_management.manager import NotFinishedError, ReleaseManager
    from release_management.views import (
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

_HOMES = {
    "NotFinishedError": "manager",
    "NotReachableError": "adapters.nats.client",
    "Refused": "domain.words",
    "ErrorCode": "domain.errors",
    "ReleaseManager": "manager",
    "RelmanError": "domain.errors",
    "Verdict": "domain.words",
}


def __getattr__(name: str) -> Any:
    """Load a public name at its first use: a part of the program starts without the rest of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'views')}"), name)
