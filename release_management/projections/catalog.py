"""Every projection that there is."""

from release_management.projections import (
    approvals,
    delivery,
    deployments,
    environments,
    incidents,
    policies,
    releases,
    running,
    trail,
)
from release_management.projections.projection import Projection

PROJECTIONS: tuple[Projection, ...] = (
    running.PROJECTION,
    environments.PROJECTION,
    policies.PROJECTION,
    releases.PROJECTION,
    deployments.PROJECTION,
    approvals.PROJECTION,
    incidents.PROJECTION,
    delivery.PROJECTION,
    trail.PROJECTION,
)
