"""The five metrics of DORA, as formulas over facts. `docs/discussions/dora.md` spells them out in the same order.

The wording is that of dora.dev (2026); what it leaves open is decided here and named `DEFINITION`. A change of what is
counted raises that number. Times are RFC 3339 texts in UTC; durations are seconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from math import floor
from typing import Literal

DEFINITION = "dora/2"
Metric = Literal[
    "change_lead_time",
    "deployment_frequency",
    "failed_deployment_recovery_time",
    "change_fail_rate",
    "deployment_rework_rate",
    "deployment_success_rate",
]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A deployment that began and has ended. `reached` is when users first met it, `failing` when it began to roll
    back.

    `first` is True if nothing of its application had succeeded in its environment before.
    """

    id: str
    application: str
    environment: str
    release: str
    outcome: str
    started: str
    finished: str
    position: int
    event: str
    reached: str | None = None
    failing: str | None = None
    cause: str | None = None
    reverts: str | None = None
    first: bool | None = False

    @property
    def succeeded(self) -> bool:
        """True if the deployment succeeded."""
        return self.outcome == "Succeeded"


@dataclass(frozen=True, slots=True)
class AttributedIncident:
    """An incident with the deployment that caused it, as a person said (explicit) or as the rule finds (inferred)."""

    id: str
    attribution: str
    detected_at: str
    position: int
    event: str
    deployment: str | None = None
    resolved_at: str | None = None
    resolved_event: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveredChange:
    """A commit that a successful deployment brought, and the release that states it.

    `before` is True if an earlier deployment had brought it to the environment.
    """

    deployment: str
    commit: str
    committed: str | None
    before: bool
    stated_by: str


@dataclass(frozen=True, slots=True)
class Window:
    """From `since` to just before `until`; days and ISO weeks (from Monday) are those of `zone`."""

    since: datetime
    until: datetime
    zone: tzinfo = UTC
    by: Literal["day", "week"] = "day"

    def buckets(self) -> Iterator[tuple[datetime, datetime, date]]:
        """Yield each day or week that the window touches: its beginning, its end, its first date."""
        first = self.since.astimezone(self.zone).date()
        step = timedelta(days=1 if self.by == "day" else 7)
        first -= timedelta(days=0 if self.by == "day" else first.weekday())
        while (start := self._midnight(first)) < self.until:
            yield start, self._midnight(first + step), first
            first += step

    def _midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """The facts of a window: `deliveries` that finished in it, ordered by time and position; and what concerns them.

    `rollbacks` holds, per deployment that a rollback began to revert, the time at which the first one succeeded, or
    None; `successors` the time at which the next deployment after it succeeded at its place; `returns`, per deployment,
    the rollbacks that successfully restored it.
    """

    window: Window
    deliveries: Sequence[Delivery]
    changes: Sequence[DeliveredChange] = ()
    incidents: Sequence[AttributedIncident] = ()
    rollbacks: Mapping[str, str | None] = field(default_factory=dict)
    successors: Mapping[str, str] = field(default_factory=dict)
    returns: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def blamed_on(self) -> dict[str, list[AttributedIncident]]:
        """Return the incidents of each deployment that caused any."""
        found: dict[str, list[AttributedIncident]] = {}
        for incident in self.incidents:
            if incident.deployment is not None:
                found.setdefault(incident.deployment, []).append(incident)
        return found


@dataclass(frozen=True, slots=True)
class Item:
    """A deployment, or one of its changes, that a metric considered. `excluded` says why it is in neither number.

    `counts` is True if it is in the numerator. `seconds` is its duration, `to` the time at which that ends. `stated_by`
    is the release that states the change.
    """

    delivery: Delivery
    counts: bool = True
    excluded: str | None = None
    seconds: float | None = None
    since: str | None = None
    to: str | None = None
    commit: str | None = None
    stated_by: str | None = None
    why: tuple[str, ...] = ()
    incidents: tuple[AttributedIncident, ...] = ()


def lead_times(facts: WindowFacts) -> list[Item]:
    """Per change: from its commit to the end of the first deployment that brought it to the environment."""
    changes: dict[str, list[DeliveredChange]] = {}
    for change in facts.changes:
        changes.setdefault(change.deployment, []).append(change)
    items = []
    for delivery in facts.deliveries:
        if not delivery.succeeded or delivery.reverts is not None:
            continue
        brought = changes.get(delivery.id)
        if brought is None and delivery.first is not None:
            items.append(Item(delivery, counts=False, excluded="release_without_changes"))
        items += [_lead_time(delivery, change) for change in brought or ()]
    return items


def _lead_time(delivery: Delivery, change: DeliveredChange) -> Item:
    excluded = None
    if change.committed is None:
        excluded = "no_commit_time"
    elif delivery.first:
        excluded = "first_deployment"
    elif change.before:
        excluded = "deployed_before"
    elif change.committed > delivery.finished:
        excluded = "negative"
    if change.committed is None or excluded is not None:
        return Item(
            delivery,
            counts=False,
            excluded=excluded,
            commit=change.commit,
            stated_by=change.stated_by,
            since=change.committed,
        )
    return Item(
        delivery,
        seconds=_seconds(change.committed, delivery.finished),
        since=change.committed,
        to=delivery.finished,
        commit=change.commit,
        stated_by=change.stated_by,
    )


def deployments(facts: WindowFacts) -> list[Item]:
    """Deployments that users met; neither rollbacks nor those that ended before."""
    return [Item(delivery, excluded=_no_deployment(delivery)) for delivery in facts.deliveries]


def _no_deployment(delivery: Delivery) -> str | None:
    if delivery.reached is None:
        return "never_reached_users"
    return None if delivery.reverts is None else "rollback"


def recoveries(facts: WindowFacts) -> list[Item]:
    """Per failed deployment: from the failure until it was over. Those that are not over have no duration.

    A rollback that succeeded, and whose version failed then, has failed as well.
    """
    blamed = facts.blamed_on()
    items = []
    for delivery in facts.deliveries:
        if delivery.reached is None or (delivery.reverts is not None and not delivery.succeeded):
            continue
        incidents = tuple(blamed.get(delivery.id, ()))
        if reasons := tuple(_reasons(delivery, delivery.id in facts.rollbacks, bool(incidents))):
            items.append(_recovery(delivery, reasons, incidents, facts))
    return items


def _recovery(
    delivery: Delivery, reasons: tuple[str, ...], incidents: tuple[AttributedIncident, ...], facts: WindowFacts
) -> Item:
    since = min([delivery.failing or delivery.finished, *(each.detected_at for each in incidents)])
    to: str | None
    if incidents:
        resolved = [each.resolved_at for each in incidents if each.resolved_at is not None]
        to = max(resolved) if len(resolved) == len(incidents) else None
    elif delivery.outcome == "RolledBack":
        to = delivery.finished
    else:
        to = facts.rollbacks.get(delivery.id) or facts.successors.get(delivery.id)
    seconds = None if to is None else _seconds(since, to)
    return Item(delivery, seconds=seconds, since=since, to=to, why=reasons, incidents=incidents)


AFTER_RETURN = "_after_return"
"""The ending of the reasons for failures of a version after a rollback had restored it."""


def failures(facts: WindowFacts) -> list[Item]:
    """Of the deployments, those that needed an intervention. Each counts once.

    A failure after a rollback had restored a version counts for the deployment that had brought it.
    """
    blamed = facts.blamed_on()
    items = []
    for delivery in facts.deliveries:
        incidents = list(blamed.get(delivery.id, ()))
        reasons = list(_reasons(delivery, delivery.id in facts.rollbacks, bool(incidents)))
        for back in facts.returns.get(delivery.id, ()):
            caused = blamed.get(back, ())
            incidents += caused
            reasons += ["reverted" + AFTER_RETURN] if back in facts.rollbacks else []
            reasons += ["incident" + AFTER_RETURN] if caused else []
        distinct = tuple(dict.fromkeys(reasons))
        items.append(Item(delivery, bool(reasons), _no_deployment(delivery), why=distinct, incidents=tuple(incidents)))
    return items


def _reasons(delivery: Delivery, reverted: bool, incident: bool) -> Iterator[str]:
    made_way = delivery.outcome == "RolledBack" and delivery.cause == "superseded"
    if not delivery.succeeded and not made_way:
        yield "went_back" if delivery.outcome == "RolledBack" else "got_stuck"
    if reverted:
        yield "reverted"
    if incident:
        yield "incident"


def rework(facts: WindowFacts) -> list[Item]:
    """Of everything that users met, rollbacks too: deployments because of an incident."""
    blamed = facts.blamed_on()
    ended: dict[str, list[AttributedIncident]] = {}
    for incident in facts.incidents:
        if incident.remedy is not None:
            ended.setdefault(incident.remedy, []).append(incident)
    items = []
    for delivery in facts.deliveries:
        caused = [*ended.get(delivery.id, ()), *blamed.get(delivery.reverts or "", ())]
        remedied = {each.id: each for each in caused if each.detected_at < delivery.finished}
        excluded = None if delivery.reached is not None else "never_reached_users"
        items.append(Item(delivery, bool(remedied), excluded, incidents=tuple(remedied.values())))
    return items


def attempts(facts: WindowFacts) -> list[Item]:
    """Every deployment that began, and whether it succeeded; without those that made way for another one."""
    return [
        Item(each, each.succeeded, "superseded" if each.cause == "superseded" and not each.succeeded else None)
        for each in facts.deliveries
    ]


ITEMS: Mapping[Metric, Callable[[WindowFacts], list[Item]]] = {
    "change_lead_time": lead_times,
    "deployment_frequency": deployments,
    "failed_deployment_recovery_time": recoveries,
    "change_fail_rate": failures,
    "deployment_rework_rate": rework,
    "deployment_success_rate": attempts,
}


def ratio(numerator: int, denominator: int) -> float | None:
    """Return the quotient, or None if the denominator is 0."""
    return numerator / denominator if denominator else None


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the value below which `share` of the ordered values lie, interpolated linearly; None if there are none."""
    if not ordered:
        return None
    rank = (len(ordered) - 1) * share
    low = floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def _seconds(since: str, to: str) -> float:
    return (datetime.fromisoformat(to) - datetime.fromisoformat(since)).total_seconds()
