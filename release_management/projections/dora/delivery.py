"""The facts of delivery for the metrics: one row per deployment, per release, and per change that a release states.

Times are those of the records, each at least as late as the one before it, so that a clock that was set back makes no
negative durations.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Table

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
    gives_up,
)
from release_management.domain.deployment.state import DeploymentPhase
from release_management.domain.release import (
    Change,
    ReleaseChangesAdded,
    ReleaseCreated,
    ReleaseSucceeded,
)
from release_management.domain.version_order import order_key
from release_management.domain.versions import DEFAULT
from release_management.kernel.aggregate import key_of
from release_management.kernel.record import Event, timestamp
from release_management.kernel.timestamps import utc
from release_management.kernel.types import Fact
from release_management.projections.dora.containing import (
    Contents,
    contains,
    contents,
    extended,
    packed,
    stored,
    unpacked,
)
from release_management.projections.dora.delivery_tables import (
    SUSPECT_DAYS,
    brought,
    changes,
    clock,
    commits,
    deliveries,
    highest,
    made,
    reach,
    releases,
)
from release_management.projections.dora.exposure import leaving, reaching
from release_management.projections.kit.projection import (
    Key,
    Projection,
    Rows,
    named,
)

_NOW = ("latest",)
_ENDS: dict[type[Fact], DeploymentPhase] = {
    DeploymentSucceeded: DeploymentPhase.SUCCEEDED,
    DeploymentRolledBack: DeploymentPhase.ROLLED_BACK,
    DeploymentRollbackFailed: DeploymentPhase.ROLLBACK_FAILED,
    DeploymentHalted: DeploymentPhase.HALTED,
    DeploymentRejected: DeploymentPhase.REJECTED,
    DeploymentExpired: DeploymentPhase.EXPIRED,
    DeploymentCancelled: DeploymentPhase.CANCELLED,
    DeploymentSuperseded: DeploymentPhase.SUPERSEDED,
}
_MOVES = (DeploymentPlanned, DeploymentReplanned, DeploymentStarted, DeploymentStepSucceeded, DeploymentAborting)


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """Yield the rows of the deployment, the release, its changes, and those that they are compared with."""
    fact = event.fact
    if isinstance(fact, ReleaseCreated):
        yield releases, (key_of(event.stream),)
        for change in fact.changes:
            yield changes, (key_of(event.stream), change.commit)
            yield commits, (fact.application, change.commit)
    elif isinstance(fact, ReleaseChangesAdded):
        release = key_of(event.stream)
        yield releases, (release,)
        for change in fact.changes:
            yield changes, (release, change.commit)
            yield commits, (_application(release), change.commit)
    elif isinstance(fact, ReleaseSucceeded):
        release = key_of(event.stream)
        yield releases, (release,)
        yield deliveries, (fact.deployment,)
        yield brought, (fact.environment, release)
        yield reach, (fact.environment, _application(release))
    else:
        yield clock, _NOW
        yield deliveries, (key_of(event.stream),)
        if isinstance(fact, DeploymentPlanned):
            yield brought, (fact.environment, fact.release)
            for other in (fact.retries, *(each.to for each in fact.returns or ())):
                if other is not None:
                    yield deliveries, (other,)


def fold(event: Event, rows: Rows) -> None:
    """Fold one event."""
    fact = event.fact
    if isinstance(fact, ReleaseCreated):
        _create(event, fact, rows)
        return
    if isinstance(fact, ReleaseChangesAdded):
        _add(key_of(event.stream), fact, rows)
        return
    if isinstance(fact, ReleaseSucceeded):
        _succeed(key_of(event.stream), fact, rows)
        return
    now = _advanced(rows, event.envelope.time)
    id = (key_of(event.stream),)
    if isinstance(fact, DeploymentPlanned):
        if not gives_up(fact.returns):
            _plan(id, fact, now, rows)
        return
    if rows.get(deliveries, id) is None:
        return  # a deployment that only stops components delivers nothing
    match fact:
        case DeploymentReplanned():
            rows.put(
                deliveries,
                id,
                strategy=fact.strategy,
                reaching=reaching(fact.plan),
                leaving=leaving(fact.plan),
            )
        case DeploymentStarted():
            rows.put(deliveries, id, started=now)
        case DeploymentStepSucceeded():
            _take_step(id, fact, now, event.position, rows)
        case DeploymentAborting(cause=cause):
            rows.put(deliveries, id, failing=now, cause=cause)
        case _ if type(fact) in _ENDS:
            _end(id, event, _ENDS[type(fact)], now, rows)
        case _:
            pass


def _create(event: Event, fact: ReleaseCreated, rows: Rows) -> None:
    scheme = fact.versions or DEFAULT
    parts = {component.name: order_key(component.version, scheme) for component in fact.components}
    release = Contents(key_of(event.stream), event.position, parts, bool(fact.complete))
    orders = [order for order in parts.values() if order is not None]
    rows.put(
        releases,
        (release.release,),
        application=fact.application,
        contents=stored(release),
        made=made(fact.application, event.position),
        highest=highest(fact.application, max(orders)) if orders else None,
    )
    _state(release, fact.application, fact.changes, rows)


def _add(release: str, fact: ReleaseChangesAdded, rows: Rows) -> None:
    """Add commits to a release, as if it had stated them when it was created."""
    row = rows.get(releases, (release,))
    if row is not None:
        _state(contents(row["contents"]), _application(release), fact.changes, rows)


def _state(release: Contents, application: str, stated: Iterable[Change], rows: Rows) -> None:
    """Add the commits that a release states. One that a contained release states too, that one brings first."""
    reach = extended({}, release)
    contained: dict[str, bool] = {}

    def is_contained(other: str) -> bool:
        if other not in contained:
            row = rows.find(releases, (other,))
            contained[other] = row is not None and contains(reach, contents(row["contents"]))
        return contained[other]

    for change in stated:
        rows.put(
            changes,
            (release.release, change.commit),
            committed=_utc(change.committed_at),
            application=application,
        )
        commit = (application, change.commit)
        row = rows.get(commits, commit)
        others = list(row["stated"]) if row else []
        if not any(is_contained(other) for other in others):
            rows.put(commits, commit, stated=[*others, release.release])


def _succeed(release: str, fact: ReleaseSucceeded, rows: Rows) -> None:
    """Note a success: the reach of the environment before and after it."""
    place = (fact.environment, _application(release))
    known = rows.get(reach, place)
    before = known["reach"] if known else []
    delivery = rows.get(deliveries, (fact.deployment,))
    rows.put(deliveries, (fact.deployment,), first=known is None, before=before)
    if delivery is None or delivery.get("reverts") is None:
        rows.put(brought, (fact.environment, release), deployment=fact.deployment)
    row = rows.get(releases, (release,))
    after = packed(extended(unpacked(before), contents(row["contents"]))) if row else before
    rows.put(reach, place, reach=after)


def _plan(id: Key, fact: DeploymentPlanned, now: str, rows: Rows) -> None:
    tried = (rows.get(deliveries, (fact.retries,)) if fact.retries else None) or {}
    reverts = fact.reverts or tried.get("reverts")
    rows.put(
        deliveries,
        id,
        release=fact.release,
        application=fact.application,
        version=fact.version,
        environment=fact.environment,
        strategy=fact.strategy,
        reverts=reverts,
        restores=_restored(fact, rows) if reverts else None,
        planned=now,
        reaching=reaching(fact.plan),
        leaving=leaving(fact.plan),
        exposed={},
    )


def _restored(fact: DeploymentPlanned, rows: Rows) -> str | None:
    """Return the deployment, no rollback, that had brought most of the restored components; None for older records."""
    returned = Counter(each.to for each in fact.returns or () if each.to is not None)
    if not returned:
        row = rows.get(brought, (fact.environment, fact.release))
        return row["deployment"] if row else None
    [(to, _)] = returned.most_common(1)
    row = rows.get(deliveries, (to,)) or {}
    return row.get("restores") or to


def _take_step(id: Key, fact: DeploymentStepSucceeded, now: str, position: int, rows: Rows) -> None:
    """Note that users meet the new version at a place, or no longer do."""
    row = rows.get(deliveries, id) or {}
    exposed: dict[str, int] = row.get("exposed") or {}
    forward = fact.leg == "forward"
    place = ((row.get("reaching") if forward else row.get("leaving")) or {}).get(str(fact.step))
    if place is None or (place in exposed) == forward:
        return
    if forward:
        rows.put(deliveries, id, exposed={**exposed, place: fact.step})
        if row.get("reached") is None:
            reached_at = f"{row['environment']}/{row['application']}/{now}/{position:020d}"
            rows.put(deliveries, id, reached=now, place_reached=reached_at)
        return
    remaining = {other: step for other, step in exposed.items() if other != place}
    rows.put(deliveries, id, exposed=remaining, gone=None if remaining else now)


def _end(id: Key, event: Event, outcome: DeploymentPhase, now: str, rows: Rows) -> None:
    row = rows.get(deliveries, id) or {}
    gone = row.get("gone") or now if outcome is DeploymentPhase.ROLLED_BACK else row.get("gone")
    rows.put(
        deliveries,
        id,
        finished=now,
        outcome=outcome.value,
        gone=gone,
        suspect_until=timestamp(datetime.fromisoformat(now) + timedelta(days=SUSPECT_DAYS)),
        place_time=f"{row.get('environment')}/{row.get('application')}/{now}/{event.position:020d}",
        position=event.position,
        event=event.envelope.id,
    )


def _application(release: str) -> str:
    return release.partition("@")[0]


def _advanced(rows: Rows, time: str) -> str:
    seen = rows.get(clock, _NOW)
    now = time if seen is None else max(seen["time"], time)
    rows.put(clock, _NOW, time=now)
    return now


def _utc(time: str) -> str | None:
    """Return the time in UTC; None if the text only looks like a time, such as a 31st of June."""
    try:
        return utc(time)
    except ValueError:
        return None


PROJECTION = Projection(
    "delivery",
    7,
    (deliveries, releases, changes, commits, brought, reach, clock),
    named(ReleaseCreated, ReleaseChangesAdded, ReleaseSucceeded, *_MOVES, *_ENDS),
    keys,
    fold,
)
