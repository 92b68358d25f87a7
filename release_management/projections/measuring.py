"""The facts of a window, gathered from the read models for the metrics' formulas."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator
from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, or_, select
from sqlalchemy.sql.selectable import FromClause

from release_management.domain.deployment.state import Phase
from release_management.domain.environment import Tier
from release_management.domain.moment import Moment, Zone
from release_management.domain.names import GivenName
from release_management.domain.record import timestamp
from release_management.domain.words import Value
from release_management.projections.bookkeeping import every_build
from release_management.projections.delivery import PROJECTION as DELIVERY
from release_management.projections.delivery import changes, deliveries
from release_management.projections.dora import (
    ATTRIBUTION_DAYS,
    Change,
    Delivery,
    Facts,
    Incident,
    Metric,
    Window,
)
from release_management.projections.dora_rows import drill, measure
from release_management.projections.environments import PROJECTION as ENVIRONMENTS
from release_management.projections.environments import environments, every
from release_management.projections.incidents import PROJECTION as INCIDENTS
from release_management.projections.incidents import incidents
from release_management.projections.projection import Row

NEEDED = (DELIVERY, INCIDENTS, ENVIRONMENTS)
"""The projections that an answer rests on."""
MAX_DAYS = 400
LAST_YEAR = 2200
"""Of a window; days and zones are reckoned with somewhat beyond it."""
MAX_DEPLOYMENTS = 20_000
MAX_CHANGES = 200_000
Ask = Callable[[Select[Any]], Sequence[Row]]
"""Carries a select out, at the moment at which the whole answer is."""


_DELIVERY = [column for column in deliveries.c if column.name in {*Delivery.__dataclass_fields__, "place_time"}]


class UnanswerableError(Exception):
    """The question is about more than can be answered at once, or about an environment that does not exist."""


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


class DrillParams(WindowParams):
    """Which metric's items, and which part of them."""

    metric: Metric
    offset: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    limit: Annotated[int, Field(ge=1, le=200)] = 100


def metrics(asked: WindowParams, ask: Ask) -> list[dict[str, Any]]:
    """One row per metric, with the position up to which the log was taken in, and how many streams are set aside."""
    names = {projection.name for projection in NEEDED}
    builds = [row for row in ask(every_build()) if row["live"] and row["projection"] in names]
    state = {"position": min(row["position"] for row in builds), "parked": sum(row["streams"] for row in builds)}
    return [row | state for row in measure(gather(asked, ask))]


def drilled(asked: DrillParams, ask: Ask) -> list[dict[str, Any]]:
    """What stands behind one metric's numbers, in the order in which it finished."""
    return drill(gather(asked, ask), asked.metric)[asked.offset : asked.offset + asked.limit]


def gather(asked: WindowParams, ask: Ask) -> Facts:
    """The window's facts, at most 20,000 deployments and 200,000 changes. Raises `UnanswerableError`."""
    _known(asked.environment, ask)
    scope = _Scope(asked, ask)
    rows = scope.limited(scope.deliveries(), "deployments", MAX_DEPLOYMENTS)
    reverted = ask(select(*_DELIVERY).where(deliveries.c.id.in_(scope.reverted)))
    by_place_time = {str(row["place_time"]): str(row["id"]) for row in (*rows, *reverted)}
    return Facts(
        window=asked.window,
        deliveries=[_delivery(row) for row in rows],
        changes=[Change(**row) for row in scope.limited(scope.changes(), "changes", MAX_CHANGES)],
        incidents=[
            _incident(row, by_place_time) for row in scope.limited(scope.incidents(), "incidents", MAX_DEPLOYMENTS)
        ],
        rollbacks={str(row["reverts"]): row["succeeded"] for row in ask(scope.rollbacks())},
        successors={str(row["id"]): str(row["successor"]) for row in ask(scope.successors()) if row["successor"]},
    )


def _known(environment: str | None, ask: Ask) -> None:
    names = [str(row["name"]) for row in ask(every())] if environment is not None else []
    if environment is not None and environment not in names:
        raise UnanswerableError(f"environment {environment!r} does not exist; known: {', '.join(names) or 'none yet'}")


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

    def deliveries(self) -> Select[Any]:
        """What finished in the window, and whether it was the first in its place."""
        earlier = deliveries.alias("earlier")
        first = ~exists(select(literal(1)).select_from(earlier).where(*_succeeded_before(earlier)))
        query = select(*_DELIVERY, first.label("first")).where(*self.finished)
        return query.order_by(deliveries.c.finished, deliveries.c.position)

    def limited(self, query: Select[Any], what: str, limit: int) -> Sequence[Row]:
        """All rows, unless there are too many."""
        rows = self._ask(query.limit(limit + 1))
        if len(rows) > limit:
            raise UnanswerableError(
                f"there are more than {limit:,} {what} in the window; ask for a shorter one, or for one application"
            )
        return rows

    def changes(self) -> Select[Any]:
        """What the successful deployments brought, and whether an earlier one had brought it there already."""
        at, other, earlier = deliveries.c, changes.alias("other"), deliveries.alias("earlier")
        before = exists(
            select(literal(1))
            .select_from(other.join(earlier, earlier.c.release == other.c.release))
            .where(other.c.commit == changes.c.commit, *_succeeded_before(earlier))
        )
        return (
            select(at.id.label("deployment"), changes.c.commit, changes.c.committed, before.label("before"))
            .select_from(deliveries.join(changes, changes.c.release == at.release))
            .where(*self.finished, at.outcome == Phase.SUCCEEDED.value)
            .order_by(at.finished, at.position, changes.c.committed, changes.c.commit)
        )

    def incidents(self) -> Select[Any]:
        """Those that deployments of the window, or the ones that they take back, may have caused; or that they ended.

        `newest` is the place and time of the newest deployment that had succeeded there by then.
        """
        at, newest = incidents.c, deliveries.alias("newest")
        place = at.environment + "/" + at.application + "/"
        blamed = (
            select(newest.c.place_time)
            .where(
                newest.c.outcome == Phase.SUCCEEDED.value,
                newest.c.environment == at.environment,
                newest.c.application == at.application,
                newest.c.place_time >= place,
                newest.c.place_time <= place + at.detected_at + "/99999999999999999999",
            )
            .order_by(newest.c.place_time.desc())
            .limit(1)
            .scalar_subquery()
        )
        late = datetime.fromisoformat(self._asked.until) + timedelta(days=ATTRIBUTION_DAYS)
        left = select(deliveries.c.finished).where(deliveries.c.id.in_(self.reverted))
        oldest = left.order_by(deliveries.c.finished).limit(1).scalar_subquery()
        return (
            select(at.id, at.attribution, at.detected_at, at.position, at.event, at.cause, at.remedy)
            .add_columns(at.resolved_at, at.resolved_event, blamed.label("newest"))
            .where(
                *self._here(at.application, at.environment),
                or_(
                    and_(
                        or_(at.detected_at >= self._asked.since, at.detected_at >= oldest),
                        at.detected_at < timestamp(late),
                    ),
                    at.cause.in_(self.ids),
                    at.cause.in_(self.reverted),
                    at.remedy.in_(self.ids),
                ),
            )
            .order_by(at.position)
        )

    def rollbacks(self) -> Select[Any]:
        """What a rollback began to take back, be it under way still, and when the first one succeeded."""
        at = deliveries.c
        done = case((at.outcome == Phase.SUCCEEDED.value, at.finished))
        began = select(at.reverts, func.min(done).label("succeeded")).where(at.started.is_not(None))
        return began.where(at.reverts.in_(self.ids)).group_by(at.reverts)

    def successors(self) -> Select[Any]:
        """When the next deployment succeeded in the place of one that got stuck, or that was to be taken back."""
        at, later, back = deliveries.c, deliveries.alias("later"), deliveries.alias("back")
        following = (
            select(later.c.finished)
            .where(
                later.c.outcome == Phase.SUCCEEDED.value,
                later.c.environment == at.environment,
                later.c.application == at.application,
                later.c.place_time > at.place_time,
                later.c.place_time < at.environment + "/" + at.application + "0",  # "0" is what comes after "/"
            )
            .order_by(later.c.place_time)
            .limit(1)
            .scalar_subquery()
        )
        stuck = at.outcome.in_([Phase.ROLLBACK_FAILED.value, Phase.HALTED.value])
        taken_back = exists(select(literal(1)).select_from(back).where(back.c.reverts == at.id))
        return select(at.id, following.label("successor")).where(*self.finished, or_(stuck, taken_back))

    def _here(self, application: ColumnElement[str], environment: ColumnElement[str]) -> Iterable[ColumnElement[bool]]:
        if self._asked.application is not None:
            yield application == self._asked.application
        if self._asked.environment is not None:
            yield environment == self._asked.environment
        else:
            yield environment.in_(select(environments.c.name).where(environments.c.tier == self._asked.tier))


def _succeeded_before(earlier: FromClause) -> tuple[ColumnElement[bool], ...]:
    """`earlier` succeeded in the place of a deployment before that did."""
    at, it = deliveries.c, earlier.c
    return (
        it.outcome == Phase.SUCCEEDED.value,
        it.environment == at.environment,
        it.application == at.application,
        it.place_time >= at.environment + "/" + at.application + "/",
        it.place_time < at.place_time,
    )


def _delivery(row: Row) -> Delivery:
    return Delivery(**{name: value for name, value in row.items() if name != "place_time"})


def _incident(row: Row, by_place_time: dict[str, str]) -> Incident:
    """With its deployment; one that is of no concern here is none."""
    newest = None if row["newest"] is None else str(row["newest"])
    cause = row["cause"] if row["attribution"] == "explicit" or newest is None else _recent(row, newest, by_place_time)
    kept = {name: value for name, value in row.items() if name not in ("cause", "newest")}
    return Incident(**kept, deployment=cause)


def _recent(row: Row, newest: str, by_place_time: dict[str, str]) -> str | None:
    age = datetime.fromisoformat(row["detected_at"]) - datetime.fromisoformat(newest.split("/")[2])
    return by_place_time.get(newest) if age <= timedelta(days=ATTRIBUTION_DAYS) else None
