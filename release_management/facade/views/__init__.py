"""The views that `ReleaseManager` returns: typed, immutable, and printed for people."""

from release_management.facade.views.approvals import Approval
from release_management.facade.views.base import View, called, rendered, short_age, short_time, span, table
from release_management.facade.views.deployments import CanaryPlan, Deployment, Plan, step_text
from release_management.facade.views.environments import (
    ComponentCondition,
    Environment,
    Running,
    running_summary,
    running_table,
    tier_text,
)
from release_management.facade.views.history import Entry, History
from release_management.facade.views.incidents import Incident
from release_management.facade.views.metrics import Measured, Metric, Metrics
from release_management.facade.views.policies import Pipeline, Policy
from release_management.facade.views.releases import Release

__all__ = [
    "Approval",
    "CanaryPlan",
    "ComponentCondition",
    "Deployment",
    "Entry",
    "Environment",
    "History",
    "Incident",
    "Measured",
    "Metric",
    "Metrics",
    "Pipeline",
    "Plan",
    "Policy",
    "Release",
    "Running",
    "View",
    "called",
    "rendered",
    "running_summary",
    "running_table",
    "short_age",
    "short_time",
    "span",
    "step_text",
    "table",
    "tier_text",
]
