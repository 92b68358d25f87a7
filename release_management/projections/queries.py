"""Every question that can be asked by name, with its parameters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field
from sqlalchemy import Select

from release_management.domain.deployment.state import Phase
from release_management.domain.names import GivenName, GivenRef
from release_management.domain.orders import Leg
from release_management.domain.words import ActorId, Line, Value
from release_management.projections import (
    applications,
    approvals,
    bookkeeping,
    deployments,
    dora_rows,
    environments,
    incidents,
    measuring,
    policies,
    releases,
    running,
    trail,
)
from release_management.projections.projection import Ask, Projection, Row

Limit = Annotated[int, Field(ge=1, le=1000)]
Position = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Nothing(Value):
    """The question takes no parameters."""


class RunningParams(Value):
    """Which places."""

    environment: GivenName | None = None
    application: GivenName | None = None


class EnvironmentParams(Value):
    """Which environment."""

    name: GivenName


class ReleasesParams(Value):
    """Which releases."""

    application: GivenName | None = None
    limit: Limit = 100


class ReleaseParams(Value):
    """Which release: `application@version`."""

    ref: GivenRef


class DeploymentsParams(Value):
    """Which deployments. `active`: only those that have not ended (true), or only those that have (false)."""

    model_config = ConfigDict(use_enum_values=True)

    environment: GivenName | None = None
    application: GivenName | None = None
    release: GivenRef | None = None
    phase: Phase | None = None
    active: bool | None = None
    limit: Limit = 100


class DeploymentParams(Value):
    """Which deployment. `steps` False: without its plan and its steps, which may be thousands."""

    id: Line
    steps: bool = True


class StepsParams(Value):
    """Which steps of a deployment: of one leg or both, those behind the step `after`, those that have moved since.

    `changed_after`: only those that a record after this position has moved.
    """

    deployment: Line
    leg: Leg | None = None
    after: Annotated[int, Field(ge=-1)] = -1
    changed_after: Position | None = None
    limit: Annotated[int, Field(ge=1, le=5000)] = 1000


class ApprovalsParams(Value):
    """Which approvals. `waiting`: only those that still wait."""

    waiting: bool = False
    deployment: Line | None = None
    limit: Limit = 100


class IncidentsParams(Value):
    """Which incidents. `open`: only those that are not over (true), or only those that are (false)."""

    application: GivenName | None = None
    environment: GivenName | None = None
    open: bool | None = None
    limit: Limit = 100


class IncidentParams(Value):
    """Which incident."""

    id: Line


class TrailParams(Value):
    """Which part of the trail. `type` is an event's name, such as `deployment.started`, or just `deployment`.

    Page with `after` (oldest first) or `before` (newest first): the last position of the page before.
    """

    environment: GivenName | None = None
    application: GivenName | None = None
    release: GivenRef | None = None
    deployment: Line | None = None
    actor: ActorId | None = None
    requested_by: ActorId | None = None
    type: Line | None = None
    refused: bool | None = None
    after: Position = 0
    before: Position | None = None
    order: Literal["newest", "oldest"] = "newest"
    limit: Limit = 100


P = TypeVar("P", bound=Value)


def _as_they_are(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [dict(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Query(Generic[P]):
    """`select` asks the tables of `projections`; `shape` makes the answer of the rows."""

    name: str
    params: type[P]
    projections: tuple[Projection, ...]
    select: Callable[[P], Select[Any]]
    shape: Callable[[Sequence[Row]], list[dict[str, Any]]] = _as_they_are

    def answer(self, asked: P, ask: Ask) -> list[dict[str, Any]]:
        """The rows, as `ask` finds them."""
        return self.shape(ask(self.select(asked)))


@dataclass(frozen=True, slots=True)
class Calculation(Generic[P]):
    """`answer` computes rows with `columns` from several selects of the tables of `projections`."""

    name: str
    params: type[P]
    projections: tuple[Projection, ...]
    answer: Callable[[P, Ask], list[dict[str, Any]]]
    columns: tuple[str, ...]


AnyQuery = Query[Any] | Calculation[Any]


_ALL: tuple[AnyQuery, ...] = (
    Query(
        "running",
        RunningParams,
        (running.PROJECTION,),
        lambda asked: running.components(asked.environment, asked.application),
        running.slots,
    ),
    Query(
        "conditions",
        RunningParams,
        (running.PROJECTION,),
        lambda asked: running.components(asked.environment, asked.application),
        running.slots,
    ),
    Query("environments", Nothing, (environments.PROJECTION,), lambda asked: environments.every()),
    Query("environment", EnvironmentParams, (environments.PROJECTION,), lambda asked: environments.every(asked.name)),
    Query("policies", Nothing, (policies.PROJECTION,), lambda asked: policies.every()),
    Query("pipelines", Nothing, (policies.PROJECTION,), lambda asked: policies.every_pipeline()),
    Query(
        "releases",
        ReleasesParams,
        (releases.PROJECTION,),
        lambda asked: releases.newest(asked.application, asked.limit),
    ),
    Calculation(
        "release",
        ReleaseParams,
        (releases.PROJECTION,),
        lambda asked, ask: releases.one(asked.ref, ask),
        releases.COLUMNS,
    ),
    Query("deployments", DeploymentsParams, (deployments.PROJECTION,), lambda asked: deployments.newest(**dict(asked))),
    Calculation(
        "deployment",
        DeploymentParams,
        (deployments.PROJECTION,),
        lambda asked, ask: deployments.one(asked.id, ask, with_steps=asked.steps),
        deployments.COLUMNS,
    ),
    Calculation(
        "steps",
        StepsParams,
        (deployments.PROJECTION,),
        lambda asked, ask: deployments.some_steps(
            asked.deployment,
            ask,
            leg=asked.leg,
            after=asked.after,
            changed_after=asked.changed_after,
            limit=asked.limit,
        ),
        deployments.STEP_COLUMNS,
    ),
    Query("approvals", ApprovalsParams, (approvals.PROJECTION,), lambda asked: approvals.newest(**dict(asked))),
    Query("incidents", IncidentsParams, (incidents.PROJECTION,), lambda asked: incidents.newest(**dict(asked))),
    Query(
        "applications",
        Nothing,
        (releases.PROJECTION, policies.PROJECTION, incidents.PROJECTION),
        lambda asked: applications.every(),
    ),
    Query("incident", IncidentParams, (incidents.PROJECTION,), lambda asked: incidents.one(asked.id)),
    Calculation(
        "metrics_dora",
        measuring.WindowParams,
        measuring.NEEDED,
        measuring.metrics,
        (*dora_rows.COLUMNS, "position", "parked"),
    ),
    Calculation(
        "metrics_dora_drill", measuring.DrillParams, measuring.NEEDED, measuring.drilled, dora_rows.DRILL_COLUMNS
    ),
    Query("trail", TrailParams, (trail.PROJECTION,), lambda asked: trail.found(**dict(asked))),
    Query("position", Nothing, (), lambda asked: bookkeeping.standing()),
    Calculation(
        "projections",
        Nothing,
        (),
        lambda asked, ask: bookkeeping.as_rows(ask(bookkeeping.every_build())),
        (*bookkeeping.STANDING_COLUMNS, "lag"),
    ),
    Query("parked", Nothing, (), lambda asked: bookkeeping.set_aside()),
)
QUERIES: Mapping[str, AnyQuery] = {query.name: query for query in _ALL}
