"""The facts that delivery is measured by: one row per deployment, one per change that a release brings.

Times are those of the records, each at least as late as the one before it, so that a clock that was set back makes no
negative durations. `reached` is when users first met a deployment: the new version got traffic, or the old one lost
it, or got all of it back where a way back had failed; where nothing routes, it ran.
"""

from collections.abc import Iterable

from sqlalchemy import MetaData, Table

from release_management.domain.deployment.events import (
    DeploymentAborting,
    DeploymentCancelled,
    DeploymentExpired,
    DeploymentHalted,
    DeploymentPlanned,
    DeploymentRejected,
    DeploymentReplanned,
    DeploymentRollbackFailed,
    DeploymentRolledBack,
    DeploymentStarted,
    DeploymentStepSucceeded,
    DeploymentSucceeded,
    DeploymentSuperseded,
)
from release_management.domain.deployment.state import Phase
from release_management.domain.moment import utc
from release_management.domain.plan import Pause, Plan, Provision, Retire, Route
from release_management.domain.record import Event
from release_management.domain.release import ReleaseCreated
from release_management.domain.words import Fact
from release_management.projections.columns import document, key, position, tail, text
from release_management.projections.projection import Key, Projection, Rows, named

METADATA = MetaData()

deliveries = Table(
    "delivery",
    METADATA,
    key("id"),
    text("release", index=True),
    text("application"),
    text("version"),
    text("environment"),
    text("strategy"),
    text("reverts", index=True),
    text("planned"),
    text("started"),
    text("reached"),
    text("failing"),
    text("cause"),
    text("finished", index=True),
    text("outcome"),
    text("place_time", index=True),
    document("reaching"),
    position(),
    text("event"),
)
"""`failing` is when it began to go back, for `cause`. `position` and `event` are the record's that ended it.

`place_time` orders the deployments that ended, of one application in one environment, by one look into its index.
"""

changes = Table(
    "delivery_changes",
    METADATA,
    key("release"),
    key("commit", index=True),
    text("committed"),
)
"""`committed` is UTC, or nothing where what was said is no time."""

clock = Table("delivery_clock", METADATA, key("name"), text("time"))
"""The latest time that was seen."""

_NOW = ("latest",)
_ENDS: dict[type[Fact], Phase] = {
    DeploymentSucceeded: Phase.SUCCEEDED,
    DeploymentRolledBack: Phase.ROLLED_BACK,
    DeploymentRollbackFailed: Phase.ROLLBACK_FAILED,
    DeploymentHalted: Phase.HALTED,
    DeploymentRejected: Phase.REJECTED,
    DeploymentExpired: Phase.EXPIRED,
    DeploymentCancelled: Phase.CANCELLED,
    DeploymentSuperseded: Phase.SUPERSEDED,
}
_MOVES = (DeploymentPlanned, DeploymentReplanned, DeploymentStarted, DeploymentStepSucceeded, DeploymentAborting)


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """The deployment's row, that of the one which it tries again, the release's changes, the clock."""
    fact = event.fact
    if isinstance(fact, ReleaseCreated):
        for change in fact.changes:
            yield changes, (tail(event.stream), change.commit)
    else:
        yield clock, _NOW
        yield deliveries, (tail(event.stream),)
        if isinstance(fact, DeploymentPlanned) and fact.retries is not None:
            yield deliveries, (fact.retries,)


def fold(event: Event, rows: Rows) -> None:
    """Take in one event."""
    fact = event.fact
    if isinstance(fact, ReleaseCreated):
        for change in fact.changes:
            rows.put(changes, (tail(event.stream), change.commit), committed=_utc(change.committed_at))
        return
    now = _advanced(rows, event.envelope.time)
    id = (tail(event.stream),)
    match fact:
        case DeploymentPlanned():
            tried = (rows.get(deliveries, (fact.retries,)) if fact.retries else None) or {}
            rows.put(
                deliveries,
                id,
                release=fact.release,
                application=fact.application,
                version=fact.version,
                environment=fact.environment,
                strategy=fact.strategy,
                reverts=fact.reverts or tried.get("reverts"),
                planned=now,
                reaching=reaching(fact.plan),
            )
        case DeploymentReplanned():
            rows.put(deliveries, id, strategy=fact.strategy, reaching=reaching(fact.plan))
        case DeploymentStarted():
            rows.put(deliveries, id, started=now)
        case DeploymentStepSucceeded(leg="forward", step=step):
            row = rows.get(deliveries, id) or {}
            if row.get("reached") is None and step in (row.get("reaching") or ()):
                rows.put(deliveries, id, reached=now)
        case DeploymentAborting(cause=cause):
            rows.put(deliveries, id, failing=now, cause=cause)
        case _ if type(fact) in _ENDS:
            row = rows.get(deliveries, id) or {}
            rows.put(
                deliveries,
                id,
                finished=now,
                outcome=_ENDS[type(fact)].value,
                place_time=f"{row.get('environment')}/{row.get('application')}/{now}/{event.position:020d}",
                position=event.position,
                event=event.envelope.id,
            )
        case _:
            pass


def reaching(plan: Plan) -> list[int]:
    """The forward steps that users notice."""
    at_work = [step for step in plan.forward if not isinstance(step, Pause)]
    routed = {(step.target, step.component) for step in at_work if isinstance(step, Route)}
    new = {(s.target, s.component) for s in at_work if isinstance(s, Provision) and s.role == "candidate"}
    found = []
    for index, step in enumerate(plan.forward):
        match step:
            case Route(target=target, component=component, weights=weights):
                moved = weights.get("candidate", 0) > 0 or weights.get("stable", 100) < 100
                given_back = (target, component) not in new
                noticed = moved or given_back or not any(weights.values())
            case Retire(role=role):
                noticed = role == "stable"
            case Provision(target=target, component=component, role=role):
                brought = role == "candidate" or (target, component) not in new
                noticed = brought and (target, component) not in routed
            case _:
                noticed = False
        if noticed:
            found.append(index)
    return found


def _advanced(rows: Rows, time: str) -> str:
    seen = rows.get(clock, _NOW)
    now = time if seen is None else max(seen["time"], time)
    rows.put(clock, _NOW, time=now)
    return now


def _utc(time: str) -> str | None:
    """The time in UTC; None where the text has the form of a time and is none, such as a 31st of June."""
    try:
        return utc(time)
    except ValueError:
        return None


PROJECTION = Projection("delivery", 2, (deliveries, changes, clock), named(ReleaseCreated, *_MOVES, *_ENDS), keys, fold)
