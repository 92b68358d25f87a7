"""Gather the facts of a window from the read models, for the metrics' formulas."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator
from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, or_, select

from release_management.domain.deployment.state import DeploymentPhase
from release_management.domain.tiers import Tier
from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.kernel.names import GivenName
from release_management.kernel.suggestions import does_not_exist
from release_management.kernel.timestamps import Moment, Zone
from release_management.kernel.types import Value
from release_management.projections.dora import rows
from release_management.projections.dora.arriving import TooManyChangesError, arrivals
from release_management.projections.dora.blaming import suspected
from release_management.projections.dora.delivery import PROJECTION as DELIVERY
from release_management.projections.dora.delivery_tables import (
    deliveries,
    made,
    releases,
)
from release_management.projections.dora.formulas import (
    AttributedIncident,
    Delivery,
    Metric,
    Window,
    WindowFacts,
)
from release_management.projections.dora.rows import drill, measure
from release_management.projections.environments import PROJECTION as ENVIRONMENTS
from release_management.projections.environments import environments, every
from release_management.projections.incidents import PROJECTION as INCIDENTS
from release_management.projections.incidents import incidents
from release_management.projections.kit.paging import Paged
from release_management.projections.kit.projection import Ask, Row
from release_management.projections.kit.query import (
    AnyQuery,
    Calculation,
)
from release_management.projections.kit.status import every_build

NEEDED = (DELIVERY, INCIDENTS, ENVIRONMENTS)
"""The projections that an answer needs."""
MAX_DAYS = 400
LAST_YEAR = 2200
"""The last year of a window, since days and zones are computed somewhat beyond it."""
MAX_DEPLOYMENTS = 20_000
MAX_CHANGES = 200_000
_NEVER = "9"
"""Later than every time: a deployment in progress may still cause incidents."""
_DELIVERY = [column for column in deliveries.c if column.name in {*Delivery.__dataclass_fields__, "place_time"}]


class UnanswerableError(RelmanError):
    """The query covers more than can be answered at once, or names something that does not exist."""

    code = ErrorCode.INVALID


class WindowParams(Value):
    """Selects deployments that finished from `since` to just before `until`. Without `environment`: of a tier."""

    since: Moment = Field(description="the window's beginning")
    until: Moment = Field(description="the window's end, which is not in it; at most 400 days later")
    application: GivenName | None = Field(None, description="only this application")
    environment: GivenName | None = Field(None, description="only this environment")
    tier: Tier = Field("production", description="of environments of this tier, where no environment is given")
    time_zone: Zone = Field("UTC", description="whose days and weeks")
    by: Literal["day", "week"] = Field("day", description="what the frequency is counted by")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        window = self.window
        if window.until <= window.since:
            raise ValueError(f"until ({self.until}) must be later than since ({self.since})")
        if window.until.year > LAST_YEAR:
            raise ValueError(f"until ({self.until}) lies after the year {LAST_YEAR}")
        if window.until - window.since > timedelta(days=MAX_DAYS):
            raise ValueError(f"from since to until are more than {MAX_DAYS} days; ask for less at once")
        return self

    @property
    def window(self) -> Window:
        """The window for the formulas."""
        since, until = datetime.fromisoformat(self.since), datetime.fromisoformat(self.until)
        return Window(since, until, ZoneInfo(self.time_zone), self.by)


class DrillParams(WindowParams, Paged):
    """Selects the items of one metric."""

    metric: Metric = Field(description="the metric")


def metrics(params: WindowParams, ask: Ask) -> list[dict[str, Any]]:
    """Return one row per metric, with the position of the projections, and the number of blocked streams."""
    names = {projection.name for projection in NEEDED}
    builds = [row for row in ask(every_build()) if row["live"] and row["projection"] in names]
    state = {"position": min(row["position"] for row in builds), "parked": sum(row["streams"] for row in builds)}
    return [row | state for row in measure(gather(params, ask))]


def drilled(params: DrillParams, ask: Ask) -> list[dict[str, Any]]:
    """Return the items behind one metric's numbers, in the order in which they finished."""
    return drill(gather(params, ask), params.metric)


def gather(params: WindowParams, ask: Ask) -> WindowFacts:
    """Return the window's facts, at most 20,000 deployments and 200,000 changes. Raises `UnanswerableError`."""
    _refuse_unknown(params, ask)
    scope = _Scope(params, ask)
    rows = scope.limited(scope.deliveries(), "deployments", MAX_DEPLOYMENTS)
    try:
        changes = arrivals(rows, ask, MAX_CHANGES)
    except TooManyChangesError:
        raise _too_much("changes", MAX_CHANGES) from None
    return WindowFacts(
        window=params.window,
        deliveries=[_delivery(row) for row in rows],
        changes=changes,
        incidents=[AttributedIncident(**row) for row in scope.limited(scope.incidents(), "incidents", MAX_DEPLOYMENTS)],
        rollbacks={str(row["reverts"]): row["succeeded"] for row in ask(scope.rollbacks())},
        successors={str(row["id"]): str(row["successor"]) for row in ask(scope.successors()) if row["successor"]},
        returns=_grouped((str(row["restores"]), str(row["id"])) for row in ask(scope.returns())),
    )


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def _too_much(subject: str, limit: int) -> UnanswerableError:
    return UnanswerableError(
        f"there are more than {limit:,} {subject} in the window; ask for a shorter one, or for one application"
    )


def _refuse_unknown(params: WindowParams, ask: Ask) -> None:
    """Raise `UnanswerableError` for an environment that does not exist, or an application that has no release.

    If no application has one, none is refused.
    """
    if params.environment is not None:
        names = [str(row["name"]) for row in ask(every())]
        if params.environment not in names:
            raise UnanswerableError(does_not_exist("environment", params.environment, names), code=ErrorCode.NOT_FOUND)
    if params.application is not None:
        columns = releases.c
        first = select(columns.release).where(
            columns.made >= made(params.application, 0), columns.made < f"{params.application}0"
        )
        if not ask(first.limit(1)):
            known = ask(select(columns.application).distinct().order_by(columns.application))
            names = [str(row["application"]) for row in known]
            if names:
                raise UnanswerableError(
                    does_not_exist("application", params.application, names), code=ErrorCode.NOT_FOUND
                )


class _Scope:
    """The selects of one query."""

    def __init__(self, params: WindowParams, ask: Ask) -> None:
        self._ask = ask
        self._params = params
        columns = deliveries.c
        self.finished: tuple[ColumnElement[bool], ...] = (
            columns.started.is_not(None),
            columns.finished >= params.since,
            columns.finished < params.until,
            *self._in_scope(columns.application, columns.environment),
        )
        self.ids = select(columns.id).where(*self.finished)
        self.reverted = select(columns.reverts).where(*self.finished, columns.reverts.is_not(None))
        self.returned = select(columns.id).where(
            columns.restores.in_(self.ids), columns.outcome == DeploymentPhase.SUCCEEDED.value
        )

    def deliveries(self) -> Select[Any]:
        """Select the deployments that finished in the window."""
        return select(*_DELIVERY).where(*self.finished).order_by(deliveries.c.finished, deliveries.c.position)

    def limited(self, query: Select[Any], subject: str, limit: int) -> Sequence[Row]:
        """Return all rows. Raises `UnanswerableError` if there are too many."""
        rows = self._ask(query.limit(limit + 1))
        if len(rows) > limit:
            raise _too_much(subject, limit)
        return rows

    def incidents(self) -> Select[Any]:
        """Select the incidents that the window's deployments may have caused or have ended.

        The deployments that they revert count too, and the rollbacks that restored what they had brought.
        """
        columns, concerned = incidents.c, deliveries.alias("concerned")
        ids = or_(*(concerned.c.id.in_(some) for some in (self.ids, self.reverted, self.returned)))
        until = func.coalesce(concerned.c.suspect_until, _NEVER)
        ends = select(func.min(concerned.c.reached).label("since"), func.max(until).label("until"))
        [resolved] = self._ask(ends.where(ids))
        concerns = exists(
            select(literal(1))
            .select_from(concerned)
            .where(
                ids,
                concerned.c.environment == columns.environment,
                concerned.c.application == columns.application,
                concerned.c.reached <= columns.detected_at,
                until >= columns.detected_at,
            )
        )
        inferred = and_(
            columns.detected_at >= (resolved["since"] or ""), columns.detected_at <= (resolved["until"] or ""), concerns
        )
        explicit = columns.cause.in_(select(concerned.c.id).where(ids))
        cause = case((columns.attribution == "explicit", columns.cause), else_=suspected())
        return (
            select(
                columns.id, columns.attribution, columns.detected_at, columns.position, columns.event, columns.remedy
            )
            .add_columns(columns.resolved_at, columns.resolved_event, cause.label("deployment"))
            .where(
                *self._in_scope(columns.application, columns.environment),
                or_(inferred, explicit, columns.remedy.in_(self.ids)),
            )
            .order_by(columns.position)
        )

    def returns(self) -> Select[Any]:
        """Select the rollbacks that successfully restored what deployments of the window had brought."""
        columns = deliveries.c
        return select(columns.id, columns.restores).where(columns.id.in_(self.returned)).order_by(columns.position)

    def rollbacks(self) -> Select[Any]:
        """Select the deployments that a rollback began to revert, and when the first one succeeded."""
        columns = deliveries.c
        done = case((columns.outcome == DeploymentPhase.SUCCEEDED.value, columns.finished))
        began = select(columns.reverts, func.min(done).label("succeeded")).where(columns.started.is_not(None))
        return began.where(or_(columns.reverts.in_(self.ids), columns.reverts.in_(self.returned))).group_by(
            columns.reverts
        )

    def successors(self) -> Select[Any]:
        """Select when the next deployment succeeded at the place of one that got stuck, or that was to be reverted."""
        columns, later, back = deliveries.c, deliveries.alias("later"), deliveries.alias("back")
        following = (
            select(later.c.finished)
            .where(
                later.c.outcome == DeploymentPhase.SUCCEEDED.value,
                later.c.environment == columns.environment,
                later.c.application == columns.application,
                later.c.place_time > columns.place_time,
                later.c.place_time
                < columns.environment + "/" + columns.application + "0",  # "0" is what comes after "/"
            )
            .order_by(later.c.place_time)
            .limit(1)
            .scalar_subquery()
        )
        stuck = columns.outcome.in_([DeploymentPhase.ROLLBACK_FAILED.value, DeploymentPhase.HALTED.value])
        taken_back = exists(select(literal(1)).select_from(back).where(back.c.reverts == columns.id))
        return select(columns.id, following.label("successor")).where(*self.finished, or_(stuck, taken_back))

    def _in_scope(
        self, application: ColumnElement[str], environment: ColumnElement[str]
    ) -> Iterable[ColumnElement[bool]]:
        if self._params.application is not None:
            yield application == self._params.application
        if self._params.environment is not None:
            yield environment == self._params.environment
        else:
            yield environment.in_(select(environments.c.name).where(environments.c.tier == self._params.tier))


def _delivery(row: Row) -> Delivery:
    return Delivery(**{name: value for name, value in row.items() if name != "place_time"})


QUERIES: tuple[AnyQuery, ...] = (
    Calculation(
        "metrics_dora",
        "The DORA five of a window, and the deployment success rate: one row each. `position` is how far the log "
        "was taken in, `parked` how many streams of events were set aside and are missing.",
        WindowParams,
        NEEDED,
        metrics,
        (*rows.COLUMNS, "position", "parked"),
        ("metric",),
    ),
    Calculation(
        "metrics_dora_drill",
        "What stands behind one of these metrics: one row per deployment, or per change, counted or not.",
        DrillParams,
        NEEDED,
        drilled,
        rows.DRILL_COLUMNS,
        ("deployment", "commit", "stated_by"),
    ),
)
