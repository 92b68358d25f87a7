"""The applications of which anything is known."""

from typing import Any

from sqlalchemy import Select, select, union

from release_management.projections.incidents import incidents
from release_management.projections.policies import policies
from release_management.projections.releases import releases


def every() -> Select[Any]:
    """Their names, sorted."""
    names = union(*(select(table.c.application.label("name")) for table in (releases, policies, incidents))).subquery()
    return select(names.c.name).order_by(names.c.name)
