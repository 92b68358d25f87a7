"""DORA's metrics, and the items behind each."""

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from release_management.facade.views.base import View, short_time, span, table


class Metric(View):
    """One metric of a window: its value and the numbers that it is made of. None if there is nothing to measure.

    `unit` is seconds, ratio, or per_day. `p50` and `p90` are interpolated: of the durations in seconds, or for the
    frequency of the days between deployments. `excluded` counts, by reason, items that are in neither number;
    `censored` those that have not ended yet. `buckets` are the frequency's days or weeks. `parked` counts streams of
    events that were set aside and are missing here.
    """

    metric: str
    definition: str
    unit: str
    value: float | None = None
    numerator: int = 0
    denominator: int | float = 0
    excluded: dict[str, int] = {}
    p50: float | None = None
    p90: float | None = None
    censored: int | None = None
    with_rollbacks: dict[str, Any] | None = None
    buckets: tuple[dict[str, Any], ...] | None = None
    position: int = 0
    parked: int = 0

    @property
    def shown(self) -> str:
        """The value as text."""
        if self.value is None:
            return "nothing to measure"
        if self.unit == "ratio":
            return f"{100 * self.value:.1f} %"
        if self.unit == "per_day":
            return f"{self.value:.2f} a day"
        return f"{span(self.value)} (median)"

    @property
    def basis(self) -> str:
        """The numbers that the value is made of."""
        if self.unit == "per_day":
            return f"{self.numerator:g} in {self.denominator:.4g} days"
        left = f", {self.censored} not over" if self.censored else ""
        return f"{self.numerator:g} of {self.denominator:g}{left}"


class Metrics(View):
    """The DORA five, and the deployment success rate, of a window from `since` to just before `until`.

    `position` is the log position up to which they are complete, but for `parked` streams of events.
    """

    since: str
    until: str
    application: str | None = None
    environment: str | None = None
    time_zone: str = "UTC"
    metrics: tuple[Metric, ...] = ()

    def __getitem__(self, name: str) -> Metric:
        """The metric of that name, such as `change_lead_time`."""
        return next(metric for metric in self.metrics if metric.metric == name)

    @property
    def position(self) -> int:
        """The log position up to which they are complete."""
        return max((metric.position for metric in self.metrics), default=0)

    @property
    def parked(self) -> int:
        """The number of blocked streams, of deployments, releases, incidents or environments."""
        return max((metric.parked for metric in self.metrics), default=0)

    def render(self) -> RenderableType:
        """One row per metric."""
        scope = f"{self.application or 'all applications'} in {self.environment or 'the production tier'}"
        head = f"{scope}, {short_time(self.since)} to {short_time(self.until)} UTC"
        definitions = ", ".join(sorted({metric.definition for metric in self.metrics}))
        rows = (
            (
                metric.metric,
                metric.shown,
                None if metric.p90 is None or metric.unit != "seconds" else span(metric.p90),
                metric.basis,
                _reasons(metric.excluded),
            )
            for metric in self.metrics
        )
        return Group(
            Text(head),
            table("metric", "value", "p90", "of", "excluded", rows=rows),
            Text(f"as {definitions} defines them, up to position {self.position}"),
            *([Text(_missing(self.parked))] if self.parked else ()),
        )


class Measured(View):
    """An item behind a metric: a deployment, or one change of it, with the records that prove it.

    `counted` is numerator, denominator, censored or excluded; `event` and `position` are the record's that ended it.
    `stated_by` is the release that states the change; another than `release` where that was skipped.
    """

    metric: str
    counted: str
    excluded: str | None = None
    deployment: str
    application: str
    environment: str
    release: str
    outcome: str
    finished: str
    position: int
    event: str
    commit: str | None = None
    stated_by: str | None = None
    seconds: float | None = None
    since: str | None = None
    to: str | None = None
    why: tuple[str, ...] = ()
    incidents: tuple[dict[str, Any], ...] = ()

    @property
    def reasons(self) -> str:
        """The reasons why it counts, with their incidents; or the change with the release that states it."""
        if self.commit is not None:
            return self.commit if self.stated_by in (None, self.release) else f"{self.commit} of {self.stated_by}"
        return ", ".join([*(reason.replace("_", " ") for reason in self.why), *(it["id"] for it in self.incidents)])


def _missing(parked: int) -> str:
    streams = "stream of events is" if parked == 1 else "streams of events are"
    return f"{parked:,} {streams} set aside and missing here: relman projections list --parked"


def _reasons(excluded: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in excluded.items())
