"""Every question that can be asked by name, with its parameters."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field
from sqlalchemy import ColumnElement, Select, func

from release_management.domain.deployment.state import DeploymentPhase
from release_management.domain.plan import Leg
from release_management.kernel.gathering import gathered
from release_management.kernel.names import GivenName, GivenRef
from release_management.kernel.types import (
    ActorId,
    Line,
    Value,
)
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
    steps,
)
from release_management.projections.dora import query, rows
from release_management.projections.kit import status
from release_management.projections.kit.paging import (
    Continued,
    CursorError,
    Group,
    Paged,
    Sort,
    Start,
    fits,
    listed,
    selected,
)
from release_management.projections.kit.projection import (
    Ask,
    Projection,
    Row,
)

Position = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Nothing(Value):
    """The question takes no parameters."""


class EveryParams(Paged):
    """All of them."""


class RunningParams(Paged):
    """Selects places."""

    environment: GivenName | None = Field(None, description="only this environment")
    application: GivenName | None = Field(None, description="only this application")


class EnvironmentParams(Continued):
    """Selects an environment."""

    name: GivenName = Field(description="the environment")


class ReleasesParams(Paged):
    """Selects releases."""

    application: GivenName | None = Field(None, description="only this application")


class ReleaseParams(Continued):
    """Selects a release: `application@version`."""

    ref: GivenRef = Field(description="`application@version`")


class DeploymentsParams(Paged):
    """Selects deployments. `active`: only those that have not ended (true), or only those that have (false)."""

    model_config = ConfigDict(use_enum_values=True)

    environment: GivenName | None = Field(None, description="only this environment")
    application: GivenName | None = Field(None, description="only this application")
    release: GivenRef | None = Field(None, description="only this release, `application@version`")
    phase: DeploymentPhase | None = Field(None, description="only deployments in this phase")
    active: bool | None = Field(None, description="true: only those that have not ended; false: only those that have")


class DeploymentParams(Continued):
    """Selects a deployment. `steps` False: without its plan and its steps, which may be thousands."""

    id: Line = Field(description="the deployment's id")
    steps: bool = Field(True, description="false: without its plan and its steps, which may be thousands")


class StepsParams(Paged):
    """Selects steps of a deployment: of one leg or both, after the step `after`, or those changed since.

    `changed_after`: only those that a record after this position has changed, in that order.
    """

    deployment: Line = Field(description="the deployment's id")
    leg: Leg | None = Field(None, description="only the way forward, or only the way back")
    after: Annotated[int, Field(ge=-1)] = Field(-1, description="only steps behind this one")
    changed_after: Position | None = Field(
        None, description="only steps that a record after this position has moved, in the order in which they have"
    )


class ApprovalsParams(Paged):
    """Selects approvals. `waiting`: only those that still wait."""

    waiting: bool = Field(False, description="true: only those that still wait")
    deployment: Line | None = Field(None, description="only this deployment, by its id")


class IncidentsParams(Paged):
    """Selects incidents. `open`: only those that are not over (true), or only those that are (false)."""

    application: GivenName | None = Field(None, description="only this application")
    environment: GivenName | None = Field(None, description="only this environment")
    open: bool | None = Field(None, description="true: only those that are not over; false: only those that are")


class IncidentParams(Continued):
    """Selects an incident."""

    id: Line = Field(description="the incident's id")


class TrailParams(Paged):
    """Selects a part of the trail. `type` is an event's name, such as `deployment.started`, or just `deployment`."""

    environment: GivenName | None = Field(None, description="only this environment")
    application: GivenName | None = Field(None, description="only this application")
    release: GivenRef | None = Field(None, description="only this release, `application@version`")
    deployment: Line | None = Field(None, description="only this deployment, by its id")
    actor: ActorId | None = Field(None, description="only what this actor did, by the opaque id")
    requested_by: ActorId | None = Field(
        None, description="only on behalf of this person, who asked for the deployment, by the opaque id"
    )
    type: Line | None = Field(
        None, description="only this event, such as `deployment.started`, or a group, such as `deployment`"
    )
    refused: bool | None = Field(None, description="true: only refusals; false: none of them")
    after: Position = Field(0, description="only positions above this one")
    before: Position | None = Field(None, description="only positions below this one")
    order: Literal["newest", "oldest"] = Field("newest", description="which come first")


P = TypeVar("P", bound=Value)


def _as_they_are(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [dict(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Query(Generic[P]):
    """`select` asks the tables of `projections`; `shape` makes the answer of each row.

    `order` is what the answer is sorted by, for a list in pages; without it the answer comes whole. `stable`: what of a
    long row must keep the same while its pages are read; None: all that was given of it.
    """

    name: str
    params: type[P]
    projections: tuple[Projection, ...]
    select: Callable[[P], Select[Any]]
    shape: Callable[[Sequence[Row]], list[dict[str, Any]]] = _as_they_are
    order: Callable[[P], tuple[Sort, ...]] = lambda _: ()
    stable: Callable[[dict[str, Any]], Any] | None = None

    def groups(self, asked: P, ask: Ask, start: Start | None) -> Iterator[Group]:
        """The rows from a place on, as `ask` finds them. Raises `CursorError` for a place that no row can have."""
        order = self.order(asked)
        if not order:
            yield from (Group((), self.shape([row])) for row in ask(self.select(asked)))
            return
        if start is not None and not fits(start, [sort.kind for sort in order]):
            raise CursorError(f"cursor: it names no place in the answer of {self.name}; begin without one")
        for key, row in selected(self.select(asked), order, ask, start):
            yield Group(key, self.shape([row]))


@dataclass(frozen=True, slots=True)
class Calculation(Generic[P]):
    """`answer` computes rows with `columns` from several selects of the tables of `projections`.

    The columns `key` tell the rows apart. `stable` is as in `Query`.
    """

    name: str
    params: type[P]
    projections: tuple[Projection, ...]
    answer: Callable[[P, Ask], list[dict[str, Any]]]
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    stable: Callable[[dict[str, Any]], Any] | None = None

    def groups(self, asked: P, ask: Ask, start: Start | None) -> Iterator[Group]:
        """The rows from a place on. Raises `CursorError` where it is gone."""
        yield from listed(self.answer(asked, ask), self.key, start)


AnyQuery = Query[Any] | Calculation[Any]


def _by(*sorts: Sort) -> Callable[[Any], tuple[Sort, ...]]:
    return lambda _: sorts


def _newest(column: ColumnElement[Any]) -> Callable[[Any], tuple[Sort, ...]]:
    return _by(Sort(column, int, descending=True))


def _steps(asked: StepsParams) -> tuple[Sort, ...]:
    at = steps.steps.c
    moved = () if asked.changed_after is None else (Sort(at.position, int),)
    return *moved, Sort(at.leg, str), Sort(at.step, int)


def _content(release: dict[str, Any]) -> Any:
    """A release never changes what it has, and gets more behind it."""
    return release["content"]


_PLACED = _by(*(Sort(running.running.c[name], str) for name in ("environment", "application", "target", "component")))
_ENVIRONMENTS = _by(
    Sort(func.coalesce(environments.environments.c.order, 0), int), Sort(environments.environments.c.name, str)
)

_ALL: tuple[AnyQuery, ...] = (
    Query(
        "running",
        RunningParams,
        (running.PROJECTION,),
        lambda asked: running.components(asked.environment, asked.application),
        running.slots,
        _PLACED,
    ),
    Query(
        "conditions",
        RunningParams,
        (running.PROJECTION,),
        lambda asked: running.components(asked.environment, asked.application),
        running.slots,
        _PLACED,
    ),
    Query(
        "environments",
        EveryParams,
        (environments.PROJECTION,),
        lambda asked: environments.every(),
        order=_ENVIRONMENTS,
    ),
    Query(
        "environment",
        EnvironmentParams,
        (environments.PROJECTION,),
        lambda asked: environments.every(asked.name),
        order=_ENVIRONMENTS,
    ),
    Query(
        "policies",
        EveryParams,
        (policies.PROJECTION,),
        lambda asked: policies.every(),
        order=_by(Sort(policies.policies.c.scope, str)),
    ),
    Query(
        "pipelines",
        EveryParams,
        (policies.PROJECTION,),
        lambda asked: policies.every_pipeline(),
        order=_by(Sort(policies.pipelines.c.name, str)),
    ),
    Query(
        "releases",
        ReleasesParams,
        (releases.PROJECTION,),
        lambda asked: releases.every(asked.application),
        order=_newest(releases.releases.c.position),
        stable=_content,
    ),
    Calculation(
        "release",
        ReleaseParams,
        (releases.PROJECTION,),
        lambda asked, ask: releases.one(asked.ref, ask),
        releases.COLUMNS,
        stable=_content,
    ),
    Query(
        "deployments",
        DeploymentsParams,
        (deployments.PROJECTION,),
        lambda asked: deployments.every(**_filters(asked)),
        order=_newest(deployments.deployments.c.position),
    ),
    Calculation(
        "deployment",
        DeploymentParams,
        (deployments.PROJECTION,),
        lambda asked, ask: deployments.one(asked.id, ask, with_steps=asked.steps),
        deployments.COLUMNS,
        stable=lambda row: row["digest"],
    ),
    Query(
        "steps",
        StepsParams,
        (deployments.PROJECTION,),
        lambda asked: deployments.some_steps(
            asked.deployment, leg=asked.leg, after=asked.after, changed_after=asked.changed_after
        ),
        deployments.shown_steps,
        _steps,
    ),
    Query(
        "approvals",
        ApprovalsParams,
        (approvals.PROJECTION,),
        lambda asked: approvals.every(**_filters(asked)),
        order=_newest(approvals.approvals.c.position),
    ),
    Query(
        "incidents",
        IncidentsParams,
        (incidents.PROJECTION,),
        lambda asked: incidents.every(**_filters(asked)),
        order=_newest(incidents.incidents.c.position),
    ),
    Query(
        "applications",
        EveryParams,
        (releases.PROJECTION, policies.PROJECTION, incidents.PROJECTION),
        lambda asked: applications.every(),
        order=_by(Sort(applications.NAME, str)),
    ),
    Query(
        "incident",
        IncidentParams,
        (incidents.PROJECTION,),
        lambda asked: incidents.one(asked.id),
        order=_newest(incidents.incidents.c.position),
    ),
    Calculation(
        "metrics_dora",
        query.WindowParams,
        query.NEEDED,
        query.metrics,
        (*rows.COLUMNS, "position", "parked"),
        ("metric",),
    ),
    Calculation(
        "metrics_dora_drill",
        query.DrillParams,
        query.NEEDED,
        query.drilled,
        rows.DRILL_COLUMNS,
        ("deployment", "commit", "stated_by"),
    ),
    Query(
        "trail",
        TrailParams,
        (audit_trail.PROJECTION,),
        lambda asked: audit_trail.found(**_filters(asked)),
        order=lambda asked: (Sort(audit_trail.trail.c.position, int, descending=asked.order == "newest"),),
    ),
    Query("position", Nothing, (), lambda asked: status.standing()),
    Calculation(
        "projections",
        Nothing,
        (),
        lambda asked, ask: status.as_rows(ask(status.every_build())),
        (*status.STANDING_COLUMNS, "lag"),
        ("name",),
    ),
    Query(
        "parked",
        EveryParams,
        (),
        lambda asked: status.set_aside(),
        order=_by(Sort(status.parked.c.projection, str), Sort(status.parked.c.position, int)),
    ),
)
QUERIES: Mapping[str, AnyQuery] = gathered((query.name, query) for query in _ALL)


def _filters(asked: Paged) -> dict[str, Any]:
    """The parameters that say which rows, without those that say which page."""
    return {name: value for name, value in dict(asked).items() if name not in ("cursor", "limit", "order")}
