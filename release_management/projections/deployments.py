"""The deployments: the phase and progress of each, step by step."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, cast

from pydantic import ConfigDict, Field
from sqlalchemy import MetaData, Select, Table, select

from release_management.domain.deployment.events import (
    DeploymentEvent,
    DeploymentFastForwarded,
    DeploymentPlanned,
    DeploymentReplanned,
)
from release_management.domain.deployment.state import ACTIVE, WAITING, DeploymentPhase
from release_management.domain.plan import Leg
from release_management.kernel.aggregate import key_of
from release_management.kernel.names import GivenName, GivenRef
from release_management.kernel.record import Event
from release_management.kernel.types import Line
from release_management.projections import steps
from release_management.projections.deployment_rows import changed
from release_management.projections.kit.columns import (
    document,
    flag,
    index,
    key,
    number,
    plain,
    position,
    text,
)
from release_management.projections.kit.paging import Continued, Paged, Sort
from release_management.projections.kit.projection import (
    Key,
    Projection,
    Row,
    Rows,
    named,
)
from release_management.projections.kit.query import (
    AnyQuery,
    Calculation,
    Position,
    Query,
    filters,
    newest,
)

Ask = Callable[[Select[Any]], Sequence[Row]]
METADATA = MetaData()

deployments = Table(
    "deployments",
    METADATA,
    key("id"),
    text("release", index=True),
    text("application"),
    text("version"),
    text("environment"),
    document("targets"),
    text("strategy"),
    text("phase", index=True),
    text("reason"),
    document("note"),
    text("leg"),
    number("step"),
    number("done"),
    number("total"),
    document("back"),
    document("weights"),
    number("weight"),
    text("by"),
    text("requested_by"),
    text("created"),
    text("requested"),
    text("started"),
    text("ended"),
    text("approval"),
    text("paused_until"),
    text("paused_reason"),
    text("deadline"),
    flag("awaits_person"),
    document("queued_behind"),
    text("reverts"),
    text("retries"),
    text("successor"),
    text("digest"),
    document("options"),
    number("begun"),
    position(index=True),
    index("application", "phase"),
    index("environment", "phase"),
    index("ended", "position"),
)

plans = Table("deployments_plans", METADATA, key("id"), document("plan"))
"""The rest of a plan, besides its steps."""

_NOT_ENDED = sorted(phase.value for phase in WAITING | ACTIVE)
_INNER = frozenset({"back", "begun"})
_DETAILED = frozenset({"options", "weights"})


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """Yield the deployment's row, those of its changed steps, and that of its plan if there is a new one."""
    id, fact = key_of(event.stream), event.fact
    yield deployments, (id,)
    match fact:
        case DeploymentPlanned() | DeploymentReplanned():
            yield plans, (id,)
            for step in steps.keys(id, fact.plan):
                yield steps.steps, step
        case DeploymentFastForwarded(skipped=skipped):
            for index in skipped:
                yield steps.steps, (id, "forward", index)
        case _ if isinstance(step_ := getattr(fact, "step", None), int):
            yield steps.steps, (id, fact.leg, step_)  # type: ignore[attr-defined] # every fact of a step has its leg
        case _:
            pass


def fold(event: Event, rows: Rows) -> None:
    """Fold one event."""
    id = key_of(event.stream)
    fact = cast(DeploymentEvent, event.fact)
    if isinstance(fact, DeploymentPlanned | DeploymentReplanned):
        rows.put(plans, (id,), plan=plain(fact.plan.model_copy(update={"forward": (), "rollback": ()})))
        steps.write(rows, id, fact.plan, event.position)
    row = rows.get(deployments, (id,)) or {}
    rows.put(deployments, (id,), **changed(fact, row, rows, id, event.envelope.time, event.position))


PROJECTION = Projection(
    "deployments", 6, (deployments, plans, steps.steps), named(DeploymentEvent), keys, fold, local=True
)


def every(
    *,
    environment: str | None = None,
    application: str | None = None,
    release: str | None = None,
    phase: str | None = None,
    active: bool | None = None,
) -> Select[Any]:
    """Select deployments without their steps. `active` selects those that have not ended (True), or have (False)."""
    columns = deployments.c
    filters = {
        columns.environment: environment,
        columns.application: application,
        columns.release: release,
        columns.phase: phase,
    }
    query = select(*(column for column in columns if column.name not in _INNER | _DETAILED)).where(
        *(column == value for column, value in filters.items() if value is not None)
    )
    if active is None:
        return query
    return (
        query.where(columns.phase.in_(_NOT_ENDED), columns.ended.is_(None))
        if active
        else query.where(columns.ended.is_not(None))
    )


COLUMNS = (*(str(column.name) for column in deployments.c if column.name not in _INNER), "plan", "steps", "rollback")


def one(id: str, ask: Ask, *, with_steps: bool = True) -> list[dict[str, Any]]:
    """Return one deployment with its plan and its steps, or without them."""
    heads = ask(select(deployments).where(deployments.c.id == id))
    planned = ask(select(plans).where(plans.c.id == id))
    if not heads:
        return []
    head = heads[0]
    row = {name: value for name, value in head.items() if name not in _INNER}
    if not with_steps:
        return [row]
    found = steps.by_leg(ask(steps.of(id)))
    legs = {"steps": found["forward"], "rollback": found["rollback"]}
    plan = steps.whole_plan(planned[0], found) if planned else None
    return [row | {name: [steps.shown(step, head) for step in leg] for name, leg in legs.items()} | {"plan": plan}]


_HEAD_LEG, _HEAD_BEGUN = "deployment_leg", "deployment_begun"
STEP_COLUMNS = (*steps.SHOWN, *steps.WHERE_KNOWN, "leg")


def some_steps(id: str, *, leg: str | None, after: int, changed_after: int | None) -> Select[Any]:
    """Select some steps of a deployment, for `shown_steps`."""
    columns = deployments.c
    found = steps.of(id, leg=leg, after=after, changed_after=changed_after)
    return found.join(deployments, columns.id == steps.steps.c.deployment).add_columns(
        columns.leg.label(_HEAD_LEG), columns.begun.label(_HEAD_BEGUN)
    )


def shown_steps(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the steps for people, with their legs."""
    return [{**steps.shown(row, {"leg": row[_HEAD_LEG], "begun": row[_HEAD_BEGUN]}), "leg": row["leg"]} for row in rows]


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


def _sorted_steps(asked: StepsParams) -> tuple[Sort, ...]:
    at = steps.steps.c
    moved = () if asked.changed_after is None else (Sort(at.position, int),)
    return *moved, Sort(at.leg, str), Sort(at.step, int)


QUERIES: tuple[AnyQuery, ...] = (
    Query(
        "deployments",
        "Deployments, newest first.",
        DeploymentsParams,
        (PROJECTION,),
        lambda asked: every(**filters(asked)),
        order=newest(deployments.c.position),
    ),
    Calculation(
        "deployment",
        "One deployment with its plan and its steps; no row where it does not exist.",
        DeploymentParams,
        (PROJECTION,),
        lambda asked, ask: one(asked.id, ask, with_steps=asked.steps),
        COLUMNS,
        stable=lambda row: row["digest"],
    ),
    Query(
        "steps",
        "The steps of one deployment, the way forward before the way back: page by page, or those that have moved "
        "since a position.",
        StepsParams,
        (PROJECTION,),
        lambda asked: some_steps(asked.deployment, leg=asked.leg, after=asked.after, changed_after=asked.changed_after),
        shown_steps,
        _sorted_steps,
    ),
)
