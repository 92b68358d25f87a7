"""The facts of a window, gathered from the read models for the metrics' formulas."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import model_validator
from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, or_, select

from release_management.domain.deployment.state import DeploymentPhase
from release_management.domain.tiers import Tier
from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.kernel.names import GivenName
from release_management.kernel.suggestions import does_not_exist
from release_management.kernel.timestamps import Moment, Zone
from release_management.kernel.types import Value
from release_management.projections.dora.arriving import TooManyChangesError, arrivals
from release_management.projections.dora.blaming import suspected
from release_management.projections.dora.delivery import PROJECTION as DELIVERY
from release_management.projections.dora.delivery_tables import (
    deliveries,
    made,
    releases,
)
from release_management.projections.dora.formulas import (
    Delivery,
    Facts,
    Incident,
    Metric,
    Window,
)
from release_management.projections.dora.rows import drill, measure
from release_management.projections.environments import PROJECTION as ENVIRONMENTS
from release_management.projections.environments import environments, every
from release_management.projections.incidents import PROJECTION as INCIDENTS
from release_management.projections.incidents import incidents
from release_management.projections.kit.paging import Paged
from release_management.projections.kit.projection import Ask, Row
from release_management.projections.kit.status import every_build

NEEDED = (DELIVERY, INCIDENTS, ENVIRONMENTS)
"""The projections that an answer rests on."""
MAX_DAYS = 400
LAST_YEAR = 2200
"""Of a window; days and zones are reckoned with somewhat beyond it."""
MAX_DEPLOYMENTS = 20_000
MAX_CHANGES = 200_000
_NEVER = "9"
"""Later than every time: a deployment that is under way may cause incidents still."""
_DELIVERY = [column for column in deliveries.c if column.name in {*Delivery.__dataclass_fields__, "place_time"}]


class UnanswerableError(RelmanError):
    """The question is about more than can be answered at once, or about something that does not exist."""

    code = ErrorCode.INVALID


class WindowParams(Value):
    """Which deployments: those that finished from `since` to just before `until`. Without `environment`: of a tier."""

    since: Moment
    until: Moment
    application: GivenName | None = None
    environment: GivenName | None = None
    tier: Tier = "production"
    time_zone: Zone = "UTC"
    by: Literal["day", "week"] = "day"

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
        """The same, as the formulas want it."""
        since, until = datetime.fromisoformat(self.since), datetime.fromisoformat(self.until)
        return Window(since, until, ZoneInfo(self.time_zone), self.by)


class DrillParams(WindowParams, Paged):
    """Which metric's items."""

    metric: Metric


def metrics(asked: WindowParams, ask: Ask) -> list[dict[str, Any]]:
    """One row per metric, with the position up to which the log was taken in, and how many streams are set aside."""
    names = {projection.name for projection in NEEDED}
    builds = [row for row in ask(every_build()) if row["live"] and row["projection"] in names]
    state = {"position": min(row["position"] for row in builds), "parked": sum(row["streams"] for row in builds)}
    return [row | state for row in measure(gather(asked, ask))]


def drilled(asked: DrillParams, ask: Ask) -> list[dict[str, Any]]:
    """What stands behind one metric's numbers, in the order in which it finished."""
    return drill(gather(asked, ask), asked.metric)


def gather(asked: WindowParams, ask: Ask) -> Facts:
    """The window's facts, at most 20,000 deployments and 200,000 changes. Raises `UnanswerableError`."""
    _refuse_unknown(asked, ask)
    scope = _Scope(asked, ask)
    rows = scope.limited(scope.deliveries(), "deployments", MAX_DEPLOYMENTS)
    try:
        changes = arrivals(rows, ask, MAX_CHANGES)
    except TooManyChangesError:
        raise _too_much("changes", MAX_CHANGES) from None
    return Facts(
        window=asked.window,
        deliveries=[_delivery(row) for row in rows],
        changes=changes,
        incidents=[Incident(**row) for row in scope.limited(scope.incidents(), "incidents", MAX_DEPLOYMENTS)],
        rollbacks={str(row["reverts"]): row["succeeded"] for row in ask(scope.rollbacks())},
        successors={str(row["id"]): str(row["successor"]) for row in ask(scope.successors()) if row["successor"]},
        returns=_grouped((str(row["restores"]), str(row["id"])) for row in ask(scope.returns())),
    )


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def _too_much(what: str, limit: int) -> UnanswerableError:
    return UnanswerableError(
        f"there are more than {limit:,} {what} in the window; ask for a shorter one, or for one application"
    )


def _refuse_unknown(asked: WindowParams, ask: Ask) -> None:
    """Raise `UnanswerableError` for an environment that does not exist, or an application that has no release.

    Where no application has one, none is refused.
    """
    if asked.environment is not None:
        names = [str(row["name"]) for row in ask(every())]
        if asked.environment not in names:
            raise UnanswerableError(does_not_exist("environment", asked.environment, names), code=ErrorCode.NOT_FOUND)
    if asked.application is not None:
        at = releases.c
        first = select(at.release).where(at.made >= made(asked.application, 0), at.made < f"{asked.application}0")
        if not ask(first.limit(1)):
            known = ask(select(at.application).distinct().order_by(at.application))
            names = [str(row["application"]) for row in known]
            if names:
                raise UnanswerableError(
                    does_not_exist("application", asked.application, names), code=ErrorCode.NOT_FOUND
                )


class _Scope:
    """The selects of one question."""

    def __init__(self, asked: WindowParams, ask: Ask) -> None:
        self._ask = ask
        self._asked = asked
        at = deliveries.c
        self.finished: tuple[ColumnElement[bool], ...] = (
            at.started.is_not(None),
            at.finished >= asked.since,
            at.finished < asked.until,
            *self._here(at.application, at.environment),
        )
        self.ids = select(at.id).where(*self.finished)
        self.reverted = select(at.reverts).where(*self.finished, at.reverts.is_not(None))
        self.returned = select(at.id).where(at.restores.in_(self.ids), at.outcome == DeploymentPhase.SUCCEEDED.value)

    def deliveries(self) -> Select[Any]:
        """What finished in the window."""
        return select(*_DELIVERY).where(*self.finished).order_by(deliveries.c.finished, deliveries.c.position)

    def limited(self, query: Select[Any], what: str, limit: int) -> Sequence[Row]:
        """All rows, unless there are too many."""
        rows = self._ask(query.limit(limit + 1))
        if len(rows) > limit:
            raise _too_much(what, limit)
        return rows

    def incidents(self) -> Select[Any]:
        """Those that the window's deployments may have caused or have ended.

        So may the ones that they take back have, and the rollbacks that went back to what they had brought.
        """
        at, concerned = incidents.c, deliveries.alias("concerned")
        ids = or_(*(concerned.c.id.in_(some) for some in (self.ids, self.reverted, self.returned)))
        until = func.coalesce(concerned.c.suspect_until, _NEVER)
        ends = select(func.min(concerned.c.reached).label("since"), func.max(until).label("until"))
        [met] = self._ask(ends.where(ids))
        concerns = exists(
            select(literal(1))
            .select_from(concerned)
            .where(
                ids,
                concerned.c.environment == at.environment,
                concerned.c.application == at.application,
                concerned.c.reached <= at.detected_at,
                until >= at.detected_at,
            )
        )
        inferred = and_(at.detected_at >= (met["since"] or ""), at.detected_at <= (met["until"] or ""), concerns)
        said = at.cause.in_(select(concerned.c.id).where(ids))
        cause = case((at.attribution == "explicit", at.cause), else_=suspected())
        return (
            select(at.id, at.attribution, at.detected_at, at.position, at.event, at.remedy)
            .add_columns(at.resolved_at, at.resolved_event, cause.label("deployment"))
            .where(*self._here(at.application, at.environment), or_(inferred, said, at.remedy.in_(self.ids)))
            .order_by(at.position)
        )

    def returns(self) -> Select[Any]:
        """The rollbacks that succeeded in going back to what deployments of the window had brought."""
        at = deliveries.c
        return select(at.id, at.restores).where(at.id.in_(self.returned)).order_by(at.position)

    def rollbacks(self) -> Select[Any]:
        """What a rollback began to take back, be it under way still, and when the first one succeeded."""
        at = deliveries.c
        done = case((at.outcome == DeploymentPhase.SUCCEEDED.value, at.finished))
        began = select(at.reverts, func.min(done).label("succeeded")).where(at.started.is_not(None))
        return began.where(or_(at.reverts.in_(self.ids), at.reverts.in_(self.returned))).group_by(at.reverts)

    def successors(self) -> Select[Any]:
        """When the next deployment succeeded in the place of one that got stuck, or that was to be taken back."""
        at, later, back = deliveries.c, deliveries.alias("later"), deliveries.alias("back")
        following = (
            select(later.c.finished)
            .where(
                later.c.outcome == DeploymentPhase.SUCCEEDED.value,
                later.c.environment == at.environment,
                later.c.application == at.application,
                later.c.place_time > at.place_time,
                later.c.place_time < at.environment + "/" + at.application + "0",  # "0" is what comes after "/"
            )
            .order_by(later.c.place_time)
            .limit(1)
            .scalar_subquery()
        )
        stuck = at.outcome.in_([DeploymentPhase.ROLLBACK_FAILED.value, DeploymentPhase.HALTED.value])
        taken_back = exists(select(literal(1)).select_from(back).where(back.c.reverts == at.id))
        return select(at.id, following.label("successor")).where(*self.finished, or_(stuck, taken_back))

    def _here(self, application: ColumnElement[str], environment: ColumnElement[str]) -> Iterable[ColumnElement[bool]]:
        if self._asked.application is not None:
            yield application == self._asked.application
        if self._asked.environment is not None:
            yield environment == self._asked.environment
        else:
            yield environment.in_(select(environments.c.name).where(environments.c.tier == self._asked.tier))


def _delivery(row: Row) -> Delivery:
    return Delivery(**{name: value for name, value in row.items() if name != "place_time"})
