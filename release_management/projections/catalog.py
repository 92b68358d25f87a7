"""The list of all projections."""

from release_management.projections import (
    approvals,
    audit_trail,
    deployments,
    environments,
    incidents,
    policies,
    releases,
    running,
)
from release_management.projections.dora import delivery
from release_management.projections.kit.projection import Projection

PROJECTIONS: tuple[Projection, ...] = (
    running.PROJECTION,
    environments.PROJECTION,
    policies.PROJECTION,
    releases.PROJECTION,
    deployments.PROJECTION,
    approvals.PROJECTION,
    incidents.PROJECTION,
    delivery.PROJECTION,
    audit_trail.PROJECTION,
)
