"""Check that the things which a query names exist, since an empty answer does not tell."""

from typing import Any

from sqlalchemy import Select, select

from release_management.domain.deployment.state import DEPLOYMENT
from release_management.domain.registry import FACTS
from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.kernel.suggestions import does_not_exist
from release_management.kernel.types import Value
from release_management.projections import (
    applications,
    audit_trail,
    deployments,
    environments,
    incidents,
    policies,
    releases,
)
from release_management.projections.kit.projection import Ask

NAMED = ("environment", "application", "release", "deployment", "type", "actor", "requested_by")
"""The parameters that must name existing things."""
NEEDED = (
    environments.PROJECTION,
    releases.PROJECTION,
    policies.PROJECTION,
    incidents.PROJECTION,
    deployments.PROJECTION,
    audit_trail.PROJECTION,
)
SHOWN_RELEASES = 1000


class UnknownNameError(RelmanError):
    """A query names something that does not exist. The text suggests what may have been meant."""

    code = ErrorCode.NOT_FOUND


def refuse_unknown(params: Value, ask: Ask) -> None:
    """Raise `UnknownNameError` for the first unknown name. If no application is known, none is refused.

    A further page is not checked.
    """
    further = getattr(params, "cursor", None) is not None or getattr(params, "before", None) is not None
    if further or getattr(params, "after", 0) > 0:
        return
    environment, application, release, deployment, kind, actor, requested_by = (
        getattr(params, name, None) for name in NAMED
    )
    if environment is not None and not ask(environments.every(environment)):  # even if it is retired
        _check("environment", environment, [str(row["name"]) for row in ask(environments.every())])
    if application is not None:
        _check_application(application, ask)
    if release is not None and not ask(select(releases.releases.c.ref).where(releases.releases.c.ref == release)):
        owner = release.partition("@")[0]
        _check_application(owner, ask)
        _check("release", release, [str(row["ref"]) for row in ask(_newest_releases(owner))])
    if deployment is not None:
        table = deployments.deployments
        if not ask(select(table.c.id).where(table.c.id == deployment)):
            raise UnknownNameError(DEPLOYMENT.does_not_exist(deployment))
    if kind is not None:
        _check("event", kind, sorted({*FACTS, *(name.partition(".")[0] for name in FACTS)}))
    if actor is not None and not ask(audit_trail.found(actor=actor).limit(1)):
        raise UnknownNameError(f"nobody of the id {actor!r} has done anything")
    if requested_by is not None and not ask(audit_trail.found(requested_by=requested_by).limit(1)):
        raise UnknownNameError(f"nothing was done on behalf of anybody of the id {requested_by!r}")


def _newest_releases(application: str) -> Select[Any]:
    table = releases.releases
    query = select(table.c.ref).where(table.c.application == application)
    return query.order_by(table.c.position.desc()).limit(SHOWN_RELEASES)


def _check_application(name: str, ask: Ask) -> None:
    if known := [str(row["name"]) for row in ask(applications.every())]:
        _check("application", name, known)


def _check(kind: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise UnknownNameError(does_not_exist(kind, name, known))
