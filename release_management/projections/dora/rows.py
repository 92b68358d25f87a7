"""The rows of the metrics' answers: one row per metric, and the items behind one of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import pairwise
from typing import Any

from release_management.projections.dora.formulas import (
    AFTER_RETURN,
    DEFINITION,
    ITEMS,
    Item,
    Metric,
    Window,
    WindowFacts,
    quantile,
    ratio,
)

DAY_SECONDS = 86_400.0
_DURATIONS = ("change_lead_time", "failed_deployment_recovery_time")


def measure(facts: WindowFacts) -> list[dict[str, Any]]:
    """Return one row per metric, all with the same columns."""
    return [_row(metric, items(facts), facts) for metric, items in ITEMS.items()]


COLUMNS = (
    "metric",
    "definition",
    "unit",
    "value",
    "numerator",
    "denominator",
    "excluded",
    "p50",
    "p90",
    "censored",
    "with_rollbacks",
    "buckets",
)


def _row(metric: Metric, items: Sequence[Item], facts: WindowFacts) -> dict[str, Any]:
    counted = [item for item in items if item.excluded is None]
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {
        "metric": metric,
        "definition": DEFINITION,
        "excluded": dict(sorted(Counter(item.excluded for item in items if item.excluded is not None).items())),
        "denominator": len(counted),
    }
    if metric in _DURATIONS:
        spans = sorted(item.seconds for item in counted if item.seconds is not None)
        p50 = quantile(spans, 0.5)
        open_ones = len(counted) - len(spans)
        return row | _of("seconds", p50, len(spans), p50=p50, p90=quantile(spans, 0.9), censored=open_ones)
    if metric == "deployment_frequency":
        return row | _frequency(counted, facts.window)
    numerator = sum(item.counts for item in counted)
    rollbacks = {"with_rollbacks": _with_rollbacks(items)} if metric == "change_fail_rate" else {}
    return row | _of("ratio", ratio(numerator, len(counted)), numerator, **rollbacks)


def _of(unit: str, value: float | None, numerator: int, **more: Any) -> dict[str, Any]:
    return {"unit": unit, "value": value, "numerator": numerator, **more}


def _frequency(counted: Sequence[Item], window: Window) -> dict[str, Any]:
    """Return deployments per day of the window; `p50` and `p90` are the days between one deployment and the next."""
    days = (window.until - window.since).total_seconds() / DAY_SECONDS
    finishes = [datetime.fromisoformat(item.delivery.finished) for item in counted]
    gaps = sorted((late - early).total_seconds() / DAY_SECONDS for early, late in pairwise(finishes))
    row = _of("per_day", len(counted) / days, len(counted), p50=quantile(gaps, 0.5), p90=quantile(gaps, 0.9))
    return row | {"denominator": days, "buckets": _buckets(finishes, window)}


def _buckets(finishes: Sequence[datetime], window: Window) -> list[dict[str, Any]]:
    """Return the number finished in each day or week, even 0. A bucket that the window cuts is marked `partial`."""
    waiting = iter([*finishes, window.until])
    following = next(waiting)
    buckets = []
    for start, end, day in window.buckets():
        count = 0
        while following < min(end, window.until):
            count, following = count + 1, next(waiting)
        partial = start < window.since or end > window.until
        buckets.append({window.by: day.isoformat(), "count": count, "partial": partial})
    return buckets


def _with_rollbacks(items: Sequence[Item]) -> dict[str, Any]:
    """Return the same ratio with rollbacks as deployments, so that each fails on its own."""
    every = [item for item in items if item.excluded in (None, "rollback")]
    numerator = sum(any(not reason.endswith(AFTER_RETURN) for reason in item.why) for item in every)
    return {"value": ratio(numerator, len(every)), "numerator": numerator, "denominator": len(every)}


def drill(facts: WindowFacts, metric: Metric) -> list[dict[str, Any]]:
    """Return the items behind a metric's numbers, each with the records that prove it."""
    return [_shown(metric, item) for item in ITEMS[metric](facts)]


DRILL_COLUMNS = (
    "metric",
    "counted",
    "excluded",
    "deployment",
    "application",
    "environment",
    "release",
    "outcome",
    "finished",
    "position",
    "event",
    "commit",
    "stated_by",
    "seconds",
    "since",
    "to",
    "why",
    "incidents",
)


def _shown(metric: Metric, item: Item) -> dict[str, Any]:
    delivery = item.delivery
    counted = "excluded" if item.excluded else "numerator" if item.counts else "denominator"
    if metric in _DURATIONS and item.excluded is None and item.seconds is None:
        counted = "censored"
    shown = (
        metric,
        counted,
        item.excluded,
        delivery.id,
        delivery.application,
        delivery.environment,
        delivery.release,
        delivery.outcome,
        delivery.finished,
        delivery.position,
        delivery.event,
        item.commit,
        item.stated_by,
        item.seconds,
        item.since,
        item.to,
        list(item.why),
        [asdict(incident) for incident in item.incidents],
    )
    return dict(zip(DRILL_COLUMNS, shown, strict=True))
