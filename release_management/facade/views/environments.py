"""Environments, and the components that run there."""

from collections.abc import Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from release_management.facade.summaries import (
    MANY,
)
from release_management.facade.views.base import View, short_age, short_time, table

MANY_ILL = 20
"""The number of unhealthy components that a summary names."""


class Environment(View):
    """An environment, and the components that run there.

    `tier_source`: "name" if the tier was derived from the name, "default" if the name suggests none; None if it was
    stated.
    """

    name: str
    label: str
    tier: str
    tier_source: str | None = None
    order: int
    approval: dict[str, Any] = {}
    targets: tuple[dict[str, Any], ...] = ()
    leaving: tuple[str, ...] = ()
    retiring: str | None = None
    retired: str | None = None
    running: tuple["Running", ...] = ()
    outdated: tuple[str, ...] = ()
    conditions: tuple["ComponentCondition", ...] = ()

    @property
    def well(self) -> bool:
        """True if all components of the environment were recently observed to be well."""
        return all(each.well for each in self.conditions)

    def render(self, *, whole: bool = False) -> RenderableType:
        """Return one line, the running versions, the unhealthy components, and differences from the declaration.

        With `whole` each of many places is shown.
        """
        need = self.approval.get("required", 0)
        tier = tier_text(self.tier, self.tier_source)
        head = f"{self.name} ({self.label}, {tier})" + (f", {need} approval(s)" if need else "")
        if self.retired:
            head += f"\nretired at {self.retired}; to take it back: relman env keep {self.name}"
        elif self.retiring:
            head += f"\nbeing retired since {self.retiring}: what runs here is stopped, and nothing new comes"
        head += "".join(f"\ntarget {name} is being retired" for name in self.leaving)
        if not self.running:
            return Text(f"{head}\nnothing runs here yet")
        unhealthy = [Text(str(each)) for each in self.conditions if not each.well]
        brief = len(self.running) > MANY and not whole
        if brief and len(unhealthy) > MANY_ILL:
            unhealthy = [*unhealthy[:MANY_ILL], Text(f"{len(unhealthy) - MANY_ILL:,} more are not well")]
        shown = running_summary(self.running) if brief else running_table(self.running)
        return Group(Text(head), shown, *unhealthy, *(Text(line) for line in self.outdated))


class ComponentCondition(View):
    """The last observation of a component at a place.

    `condition` is well, drifted (it serves, but not as recorded), degraded (a part does not serve), down, or unknown:
    no executor has observed it for a while. `age` is the seconds since the observation; unknown counts are None.
    """

    environment: str
    application: str
    target: str
    component: str
    condition: str
    reason: str | None = None
    condition_since: str | None = None
    wanted: int | None = None
    running: int | None = None
    healthy: int | None = None
    restarts: int | None = None
    looked_at: str | None = None
    looked_by: str | None = None
    age: float | None = None

    @property
    def well(self) -> bool:
        """True if the component was recently observed to be well."""
        return self.condition == "well"

    def render(self) -> RenderableType:
        """Return one line."""
        since = f" since {short_time(self.condition_since)}" if self.condition_since else ""
        where = "" if self.target == "main" else f" on {self.target}"
        reason = f": {self.reason}" if self.reason else ""
        return Text(f"{self.application}/{self.component}{where} is {self.condition}{since}{reason}")


def tier_text(tier: str, source: str | None) -> str:
    """Return the tier, and the source of one that was not stated."""
    if source is None:
        return tier
    return f"{tier} by its name" if source == "name" else f"{tier}, as its name says no tier"


class Running(View):
    """A version in a slot of a component at a place, with its last observation. Traffic is in percent.

    `intended` is the intended share, `observed` the observed one; `replicas` should run, `healthy` of them answered
    well. `condition` is as that of the component; `age` is the seconds since the observation. `configuration` is the
    digest of its settings and variables; None if that was not recorded.
    """

    environment: str
    application: str
    target: str
    component: str
    slot: str
    role: str
    version: str | None = None
    configuration: str | None = None
    replicas: int = 0
    intended: int | None = None
    observed: int | None = None
    since: str | None = None
    by: str | None = None
    deployment: str | None = None
    condition: str = "unknown"
    reason: str | None = None
    running: int | None = None
    healthy: int | None = None
    restarts: int | None = None
    looked_at: str | None = None
    age: float | None = None


def running_table(rows: Iterable[Running]) -> Table:
    """Return a table of the running components; on a narrow screen names stay whole, and times break first."""
    made = table(
        "environment",
        "target",
        "component",
        "slot",
        "version",
        "role",
        "want %",
        "seen %",
        "well",
        "is",
        "looked",
        "since",
        "by",
        "config",
        rows=(
            (
                row.environment,
                row.target,
                f"{row.application}/{row.component}",
                row.slot,
                row.version,
                row.role,
                row.intended,
                row.observed,
                f"{'?' if row.healthy is None else row.healthy}/{row.replicas}",
                row.condition,
                short_age(row.age),
                short_time(row.since),
                row.by,
                (row.configuration or "")[:8],
            )
            for row in rows
        ),
    )
    for column in made.columns:
        column.no_wrap = column.header != "since"
    return made


def running_summary(rows: Iterable[Running]) -> RenderableType:
    """Return a table of counts: like components of many places are one line."""
    counts: dict[tuple[object, ...], int] = {}
    total = 0
    for row in rows:
        share = (row.version, row.role, row.intended, row.observed)
        kind: tuple[object, ...] = (f"{row.application}/{row.component}", *share)
        counts[kind] = counts.get(kind, 0) + 1
        total += 1
    if len(counts) > MANY:
        by_version: dict[tuple[object, ...], int] = {}
        for kind, count in counts.items():
            by_version[kind[1:]] = by_version.get(kind[1:], 0) + count
        lines = [(f"{count:,} components", *kind) for kind, count in by_version.items()]
    else:
        lines = [
            (f"{kind[0]} on {count:,} targets" if count > 1 else kind[0], *kind[1:]) for kind, count in counts.items()
        ]
    made = table("component", "version", "role", "want %", "seen %", rows=lines)
    return Group(made, Text(f"{total:,} components at places; see each with --all"))
