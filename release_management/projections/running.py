"""The components that run: one row per component at a place, with all its slots."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from pydantic import Field
from sqlalchemy import MetaData, Select, Table, select

from release_management.domain.deployment.events import DeploymentPlanned, DeploymentRequested
from release_management.domain.place_events import (
    PlaceConditionChanged,
    PlaceLocked,
    PlacePromoted,
    PlaceSlotProvisioned,
    PlaceSlotRetired,
    PlaceTrafficIntended,
    PlaceTrafficObserved,
    PlaceUnlocked,
)
from release_management.kernel.aggregate import key_of
from release_management.kernel.names import GivenName
from release_management.kernel.record import Event
from release_management.projections.kit.columns import (
    document,
    key,
    plain,
    position,
    text,
)
from release_management.projections.kit.paging import Paged, Sort
from release_management.projections.kit.projection import (
    Key,
    Projection,
    Row,
    Rows,
    named,
)
from release_management.projections.kit.query import (
    AnyQuery,
    Query,
    by,
)

METADATA = MetaData()

running = Table(
    "running",
    METADATA,
    key("environment"),
    key("application"),
    key("target"),
    key("component"),
    document("slots"),
    text("stable"),
    document("intended"),
    document("observed"),
    text("observed_at"),
    text("condition"),
    text("reason"),
    text("condition_since"),
    document("seen"),
    text("seen_at"),
    text("seen_by"),
    position("fence"),
)

held = Table("running_held", METADATA, key("environment"), key("application"), key("target"), text("deployment"))
"""The places that a deployment holds: what runs there is changing."""

behind = Table("running_deployments", METADATA, key("deployment"), text("release"), text("by"))
"""A deployment's requester, or until then its planner. A place's own facts are recorded by the orchestrator."""

_Step = PlaceSlotProvisioned | PlaceSlotRetired | PlaceTrafficIntended | PlaceTrafficObserved | PlacePromoted
_ComponentFact = _Step | PlaceConditionChanged
_NAMES = named(_ComponentFact)
_EMPTY: Row = {
    **dict.fromkeys(each.name for each in running.columns if not each.primary_key),
    "slots": {},
    "intended": {},
    "observed": {},
    "seen": [],
    "fence": 0,
}


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """Yield the component's row, its place's and its deployment's."""
    if isinstance(event.fact, PlaceLocked | PlaceUnlocked):
        yield held, _place(event)
    elif event.fact.NAME in _NAMES:
        fact = cast(_ComponentFact, event.fact)
        yield running, _component(event, fact)
        if not isinstance(fact, PlaceConditionChanged):
            yield behind, (fact.deployment,)
    else:
        yield behind, (key_of(event.stream),)


def fold(event: Event, rows: Rows) -> None:
    """Fold one event."""
    match event.fact:
        case DeploymentPlanned(release=release, by=by):
            rows.put(behind, (key_of(event.stream),), release=release, by=by)
        case DeploymentRequested(by=by):
            rows.put(behind, (key_of(event.stream),), by=by)
        case PlaceLocked(deployment=deployment):
            rows.put(held, _place(event), deployment=deployment)
        case PlaceUnlocked():
            rows.delete(held, _place(event))
        case _ if event.fact.NAME in _NAMES:
            fact = cast(_ComponentFact, event.fact)
            place = _component(event, fact)
            row = {**_EMPTY, **(rows.get(running, place) or {})}
            rows.put(running, place, **{**row, **_with_event(fact, row, event.envelope.time, rows)})
        case _:
            pass


def _place(event: Event) -> Key:
    environment, application, target = key_of(event.stream).split("/")
    return environment, application, target


def _component(event: Event, fact: _ComponentFact) -> Key:
    return *_place(event), fact.component


def _with_event(fact: _ComponentFact, row: Row, time: str, rows: Rows) -> dict[str, Any]:
    fence = getattr(fact, "fence", None)
    return {**_change(fact, row, time, rows), "fence": max(row["fence"], fence or 0)}


def _change(fact: _ComponentFact, row: Row, time: str, rows: Rows) -> dict[str, Any]:
    match fact:
        case PlaceConditionChanged(condition=condition, reason=reason, observedat=observed_at):
            return {
                "condition": condition,
                "reason": reason,
                "condition_since": row["condition_since"] if row["condition"] == condition else observed_at,
                "seen": [plain(slot) for slot in fact.slots],
                "seen_at": observed_at,
                "seen_by": fact.by,
            }
        case PlaceSlotProvisioned(slot=slot):
            return {"slots": {**row["slots"], slot: _occupy(fact, row["slots"].get(slot), time, rows)}}
        case PlaceSlotRetired(slot=slot):
            slots = {name: occupant for name, occupant in row["slots"].items() if name != slot}
            return {"slots": slots, "stable": None if row["stable"] == slot else row["stable"]}
        case PlaceTrafficIntended(weights=weights):
            return {"intended": weights}
        case PlaceTrafficObserved(weights=weights, observedat=observed_at):
            return {"observed": weights, "observed_at": observed_at}
        case PlacePromoted(slot=slot):
            return {"stable": slot}


def _occupy(fact: PlaceSlotProvisioned, before: Row | None, time: str, rows: Rows) -> Row:
    content = fact.content
    columns = {
        "version": content.version,
        "artifact_digest": content.artifact_digest,
        "config_digest": content.config_digest,
        "configuration": None if fact.configuration is None else fact.configuration.digest,
    }
    if before is not None and all(before[name] == value for name, value in columns.items()):
        return {**before, "replicas": fact.replicas}
    requested = rows.get(behind, (fact.deployment,)) or {"release": None, "by": None}
    return {
        **columns,
        "replicas": fact.replicas,
        "since": time,
        "by": requested["by"],
        "release": requested["release"],
        "deployment": fact.deployment,
    }


PROJECTION = Projection(
    "running",
    4,
    (running, held, behind),
    named(_ComponentFact, PlaceLocked, PlaceUnlocked, DeploymentPlanned, DeploymentRequested),
    keys,
    fold,
)


def components(environment: str | None = None, application: str | None = None) -> Select[Any]:
    """Select the components of all places, or of one environment's or application's."""
    columns, holders = running.c, held.c
    same = (
        (holders.environment == columns.environment)
        & (holders.application == columns.application)
        & (holders.target == columns.target)
    )
    query = select(running, holders.deployment.label("held_by")).select_from(running.outerjoin(held, same))
    if environment is not None:
        query = query.where(columns.environment == environment)
    return query if application is None else query.where(columns.application == application)


def slots(found: Sequence[Row]) -> list[dict[str, Any]]:
    """Return one row per slot that runs something. A share is None if none was ever intended, or observed.

    The log says what a slot should run, and which change of its condition was recorded last. Its present condition is
    unknown here: the reading side adds the newest observation.
    """
    return [
        {
            **{name: row[name] for name in ("environment", "application", "target", "component")},
            "slot": slot,
            "role": "stable" if slot == row["stable"] else "candidate",
            **occupant,
            "intended": row["intended"].get(slot, 0) if row["intended"] else None,
            "observed": row["observed"].get(slot, 0) if row["observed"] else None,
            "observed_at": row["observed_at"],
            **_UNSEEN,
            "recorded_condition": row["condition"],
            "recorded_since": row["condition_since"],
            "recorded_at": row["seen_at"],
            "recorded_by": row["seen_by"],
            "fence": row["fence"],
            "held_by": row["held_by"],
        }
        for row in found
        for slot, occupant in sorted(row["slots"].items())
    ]


_UNSEEN: Row = {
    "condition": "unknown",
    **dict.fromkeys(("reason", "wanted", "running", "healthy", "restarts", "looked_at", "looked_by", "age")),
}
CONDITION_COLUMNS = (
    *("environment", "application", "target", "component", "condition", "reason", "condition_since"),
    *("wanted", "running", "healthy", "restarts", "looked_at", "looked_by", "age"),
)
"""The columns of a row per component, to which the newest observation is added."""


class RunningParams(Paged):
    """Selects places."""

    environment: GivenName | None = Field(None, description="only this environment")
    application: GivenName | None = Field(None, description="only this application")


def _slot_columns() -> tuple[str, ...]:
    occupant = dict.fromkeys(
        ("version", "artifact_digest", "config_digest", "replicas", "since", "by", "release", "deployment")
    )
    empty: dict[str, Any] = dict.fromkeys(column.name for column in running.columns)
    [row] = slots([{**empty, "held_by": None, "slots": {"blue": occupant}}])
    return tuple(row)


_PLACED = by(*(Sort(running.c[name], str) for name in ("environment", "application", "target", "component")))


QUERIES: tuple[AnyQuery, ...] = (
    Query(
        "running",
        "What runs where: one row per slot that runs something, with the newest look at it. `intended` and "
        "`observed` are percent; `age` is seconds since the look; `configuration` is a digest. Without a fresh "
        "look `condition` is unknown, and what would have been seen is null. `recorded_…` is the last change of "
        "the component's condition in the log.",
        RunningParams,
        (PROJECTION,),
        lambda asked: components(asked.environment, asked.application),
        slots,
        _PLACED,
        columns=_slot_columns(),
    ),
    Query(
        "conditions",
        "How every component was seen last: one row per component at a place. `condition` is well, drifted, "
        "degraded, down, or unknown where nobody has looked for 10 s; `age` is seconds since the look.",
        RunningParams,
        (PROJECTION,),
        lambda asked: components(asked.environment, asked.application),
        slots,
        _PLACED,
        columns=CONDITION_COLUMNS,
    ),
)
