"""The steps of a plan, one row for each, so that a step's progress writes one row."""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import MetaData, Select, Table, select

from release_management.domain.plan import (
    Leg,
    PlaceStep,
    Plan,
)
from release_management.domain.plan.steps.route import Route
from release_management.projections.kit.columns import (
    document,
    index,
    key,
    number,
    plain,
    position,
    text,
)
from release_management.projections.kit.projection import (
    Key,
    Row,
    Rows,
)

PENDING = "pending"
SKIPPED = "skipped"
LEGS: tuple[Leg, ...] = ("forward", "rollback")

steps = Table(
    "deployments_steps",
    MetaData(),
    key("deployment"),
    key("leg"),
    number("step", primary_key=True),
    number("wave"),
    number("since"),
    text("verb"),
    text("target"),
    text("component"),
    number("candidate"),
    text("description"),
    text("status"),
    number("attempt"),
    text("reason"),
    text("deadline"),
    text("retry_at"),
    document("compiled"),
    position(),
    index("deployment", "position"),
)
"""`candidate` is the share in percent that a route gives the candidate; `compiled` is the step as the plan has it."""

_PASSING = ("reason", "deadline", "retry_at")
SHOWN = ("step", "wave", "since", "verb", "description", "status", "attempt", "position")
WHERE_KNOWN = ("target", "component", "candidate", *_PASSING)


def keys(deployment: str, plan: Plan) -> Iterator[Key]:
    """Yield the rows of a plan's steps."""
    for leg in LEGS:
        for index_ in range(len(plan.steps(leg))):
            yield deployment, leg, index_


def write(rows: Rows, deployment: str, plan: Plan, at: int) -> None:
    """Replace the steps by those of a plan, all pending. `at` is the record's position."""
    rows.clear(steps, deployment)
    for leg in LEGS:
        for number_, step in enumerate(plan.steps(leg)):
            place = {"target": step.target, "component": step.component} if isinstance(step, PlaceStep) else {}
            share = {"candidate": step.weights.get("candidate", 0)} if isinstance(step, Route) else {}
            rows.put(
                steps,
                (deployment, leg, number_),
                wave=step.wave,
                since=step.since,
                verb=step.verb,
                description=step.describe(),
                status=PENDING,
                attempt=0,
                compiled=plain(step),
                position=at,
                **place,
                **share,
            )


def move(rows: Rows, deployment: str, leg: str, step: int, status: str, at: int, **details: Any) -> Row | None:
    """Change a step's status; return the row before, or None if the plan has no such step."""
    row = rows.get(steps, (deployment, leg, step))
    if row is None:
        return None
    before = dict(row)
    known = {name: value for name, value in details.items() if value is not None}
    rows.put(steps, (deployment, leg, step), **{**dict.fromkeys(_PASSING), **known, "status": status, "position": at})
    return before


def back_counts(plan: Plan) -> dict[str, int]:
    """Return how many rollback steps are needed once the forward leg has begun a wave; "" for those always needed."""
    counts: dict[str, int] = {}
    for step in plan.rollback:
        since = "" if step.since is None else str(step.since)
        counts[since] = counts.get(since, 0) + 1
    return counts


def back_total(counts: dict[str, int], begun: int) -> int:
    """Return how many rollback steps are needed if `begun` was the last wave that was begun."""
    return sum(count for since, count in counts.items() if since == "" or int(since) <= begun)


def of(
    deployment: str,
    *,
    leg: str | None = None,
    after: int = -1,
    changed_after: int | None = None,
) -> Select[Any]:
    """Select the steps of a deployment in order. `changed_after` selects those changed by a record after it."""
    columns = steps.c
    query = (
        select(steps).where(columns.deployment == deployment, columns.step > after).order_by(columns.leg, columns.step)
    )
    if leg is not None:
        query = query.where(columns.leg == leg)
    if changed_after is not None:
        query = query.where(columns.position > changed_after)
    return query


def shown(row: Row, head: Row) -> dict[str, Any]:
    """Return a step for people; `head` is its deployment's row."""
    known = {name: row[name] for name in WHERE_KNOWN if row[name] is not None}
    return {name: row[name] for name in SHOWN} | known | {"status": _status(row, head)}


def _status(row: Row, head: Row) -> str:
    """Return a step's status: a rollback step that is not needed counts as skipped once the rollback has begun."""
    back = row["leg"] == "rollback" and head["leg"] == "rollback"
    unneeded = back and row["since"] is not None and row["since"] > head["begun"]
    return SKIPPED if unneeded and row["status"] == PENDING else str(row["status"])


def by_leg(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the rows of both legs by leg."""
    found: dict[str, list[Row]] = {leg: [] for leg in LEGS}
    for row in rows:
        found[row["leg"]].append(row)
    return found


def whole_plan(plan: Row, found: dict[str, list[Row]]) -> dict[str, Any]:
    """Return the plan as it was compiled, from its row and those of its steps."""
    return {**plan["plan"], **{leg: [row["compiled"] for row in rows] for leg, rows in found.items()}}
