"""The names of applications that have a release, a policy or an incident."""

from typing import Any

from sqlalchemy import Select, select, union

from release_management.projections.incidents import PROJECTION as INCIDENTS
from release_management.projections.incidents import incidents
from release_management.projections.kit.paging import Sort
from release_management.projections.kit.query import (
    AnyQuery,
    EveryParams,
    Query,
    by,
)
from release_management.projections.policies import PROJECTION as POLICIES
from release_management.projections.policies import policies
from release_management.projections.releases import PROJECTION as RELEASES
from release_management.projections.releases import releases

_NAMES = union(*(select(table.c.application.label("name")) for table in (releases, policies, incidents))).subquery()
NAME = _NAMES.c.name


def every() -> Select[Any]:
    """Select the names."""
    return select(NAME)


QUERIES: tuple[AnyQuery, ...] = (
    Query(
        "applications",
        "The applications of which anything is known, by name.",
        EveryParams,
        (RELEASES, POLICIES, INCIDENTS),
        lambda asked: every(),
        order=by(Sort(NAME, str)),
    ),
)
