"""Every query that the read models answer, by name."""

from collections.abc import Mapping

from release_management.kernel.gathering import gathered
from release_management.projections import (
    applications,
    approvals,
    audit_trail,
    deployments,
    environments,
    incidents,
    policies,
    releases,
    running,
)
from release_management.projections.dora import query as dora
from release_management.projections.kit import status
from release_management.projections.kit.query import AnyQuery

MODULES = (
    running,
    environments,
    policies,
    releases,
    deployments,
    approvals,
    incidents,
    applications,
    dora,
    audit_trail,
    status,
)
"""The modules that declare queries."""
QUERIES: Mapping[str, AnyQuery] = gathered((query.name, query) for module in MODULES for query in module.QUERIES)
