"""Every query that the read models answer, by name: those in `QUERIES` of the modules of this folder."""

from collections.abc import Mapping

from release_management.kernel.gathering import gathered, modules_of
from release_management.projections.kit.query import AnyQuery

MODULES = [module for module in modules_of("release_management.projections") if hasattr(module, "QUERIES")]
"""The modules that declare queries."""
QUERIES: Mapping[str, AnyQuery] = gathered((query.name, query) for module in MODULES for query in module.QUERIES)
