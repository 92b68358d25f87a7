"""What `ReleaseManager` returns: typed, immutable, and printing as a person would want to read it."""

from collections.abc import Iterable
from io import StringIO
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from release_management.domain.orders import ATTEMPTS
from release_management.domain.plan import Leg, PlannedChange
from release_management.facade.summaries import (
    MANY,
    MARKS,
    groups,
    some,
)
from release_management.kernel.types import Verdict
from release_management.kernel.visible import visible
from release_management.services.redaction import redacted

WIDTH = 110
MANY_ILL = 20
"""So many components that are not well are named where all of an environment would be too much to read."""
LISTED = 10
NOTES = 10
"""So many notes, and steps that went wrong, of a long plan are shown."""
CHANGES_SHOWN = 20


class View(BaseModel):
    """An immutable answer. `print(view)` shows it; `view.model_dump()` gives plain data."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    COLUMNS: ClassVar[int] = WIDTH

    def render(self) -> RenderableType:
        """What is printed."""
        return Text(super().__repr__())

    def __str__(self) -> str:
        return rendered(self.render(), self.COLUMNS)

    def __repr__(self) -> str:
        head = str(self).partition("\n")[0]
        return head if head.startswith(f"{type(self).__name__}(") else f"<{type(self).__name__} {head}>"


def rendered(renderable: RenderableType, width: int = WIDTH) -> str:
    """Plain text, without colours, and without what a terminal would obey."""
    out = StringIO()
    Console(file=out, width=width, no_color=True, highlight=False).print(renderable)
    return "\n".join(line.rstrip() for line in visible(out.getvalue()).split("\n")).rstrip("\n")


def table(*columns: str, rows: Iterable[Iterable[object]], title: str | None = None) -> Table:
    """A table without frames; None shows as nothing."""
    made = Table(*columns, box=None, title=title, title_justify="left", header_style="bold", pad_edge=False)
    for row in rows:
        made.add_row(*("" if cell is None else redacted(str(cell)) for cell in row))
    return made


class Environment(View):
    """Where releases go, and what runs there.

    `tier_source`: "name" where the tier follows from the name, "default" where the name says none; None where it was
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
        """Whether all that should run here was seen well, and lately."""
        return all(each.well for each in self.conditions)

    def render(self, *, whole: bool = False) -> RenderableType:
        """One line, what runs, what is not well, and what is not as declared; each of many places with `whole`."""
        need = self.approval.get("required", 0)
        tier = told_tier(self.tier, self.tier_source)
        head = f"{self.name} ({self.label}, {tier})" + (f", {need} approval(s)" if need else "")
        if self.retired:
            head += f"\nretired at {self.retired}; to take it back: relman env keep {self.name}"
        elif self.retiring:
            head += f"\nbeing retired since {self.retiring}: what runs here is stopped, and nothing new comes"
        head += "".join(f"\ntarget {name} is being retired" for name in self.leaving)
        if not self.running:
            return Text(f"{head}\nnothing runs here yet")
        ill = [Text(str(each)) for each in self.conditions if not each.well]
        brief = len(self.running) > MANY and not whole
        if brief and len(ill) > MANY_ILL:
            ill = [*ill[:MANY_ILL], Text(f"{len(ill) - MANY_ILL:,} more are not well")]
        shown = running_summary(self.running) if brief else running_table(self.running)
        return Group(Text(head), shown, *ill, *(Text(line) for line in self.outdated))


class ComponentCondition(View):
    """How a component at a place was seen last.

    `condition` is well, drifted (it serves, but not as recorded), degraded (a part does not serve), down, or unknown:
    nobody has looked for a while. `age` is the seconds since the look; counts that are not known are None.
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
        """Whether it was seen well, and lately."""
        return self.condition == "well"

    def render(self) -> RenderableType:
        """One line."""
        since = f" since {short_time(self.condition_since)}" if self.condition_since else ""
        where = "" if self.target == "main" else f" on {self.target}"
        reason = f": {self.reason}" if self.reason else ""
        return Text(f"{self.application}/{self.component}{where} is {self.condition}{since}{reason}")


def told_tier(tier: str, source: str | None) -> str:
    """The tier, and why it is that one where nobody has stated it."""
    if source is None:
        return tier
    return f"{tier} by its name" if source == "name" else f"{tier}, as its name says no tier"


class Running(View):
    """A version in a slot of a component at a place, as it was seen last. Traffic is in percent.

    `intended` is the wanted share, `observed` the one that was seen; `replicas` should run, `healthy` of them answered
    well. `condition` is as that of the component; `age` is the seconds since the look. `configuration` is the digest of
    the settings and variables with which it runs; None where that was not recorded.
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


def short_age(seconds: float | None) -> str:
    """How long ago, in words."""
    if seconds is None:
        return "never"
    if seconds < 120:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7200 else f"{seconds / 3600:.0f} h ago"


def running_table(rows: Iterable[Running]) -> Table:
    """What runs where; the names stay whole where the screen is narrow, and the time since when breaks first."""
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
    """How often what runs; alike components of many places are one line."""
    alike: dict[tuple[object, ...], int] = {}
    total = 0
    for row in rows:
        share = (row.version, row.role, row.intended, row.observed)
        kind: tuple[object, ...] = (f"{row.application}/{row.component}", *share)
        alike[kind] = alike.get(kind, 0) + 1
        total += 1
    if len(alike) > MANY:
        by_version: dict[tuple[object, ...], int] = {}
        for kind, count in alike.items():
            by_version[kind[1:]] = by_version.get(kind[1:], 0) + count
        lines = [(f"{count:,} components", *kind) for kind, count in by_version.items()]
    else:
        lines = [
            (f"{kind[0]} on {count:,} targets" if count > 1 else kind[0], *kind[1:]) for kind, count in alike.items()
        ]
    made = table("component", "version", "role", "want %", "seen %", rows=lines)
    return Group(made, Text(f"{total:,} components at places; see each with --all"))


class Pipeline(View):
    """The order in which an application's releases walk the environments. `name` is its id."""

    name: str
    application: str
    stages: tuple[dict[str, Any], ...] = ()
    label: str | None = None

    def render(self) -> RenderableType:
        """An arrow from stage to stage."""
        stages = " → ".join(stage["environment"] for stage in self.stages)
        return Text(f"pipeline {called(self.name, self.label)} of {self.application}: {stages}")


def called(id: str, label: str | None) -> str:
    """A thing's label with its id, or the id where that says it all."""
    return id if label is None or label == id else f"{label} ({id})"


class Policy(View):
    """An application's strategies, triggers and gates, everywhere or in one environment."""

    scope: str
    default: str | None = None
    strategies: dict[str, Any] = {}
    triggers: tuple[dict[str, Any], ...] = ()
    gates: dict[str, Any] = {}
    versions: str | None = None
    rollback_window: float | None = None

    def render(self) -> RenderableType:
        """A line for each thing that is configured."""
        lines = [f"policy of {self.scope}"]
        if self.versions is not None:
            lines.append(f"  versions: {self.versions}")
        for name, options in self.strategies.items():
            said = ", ".join(f"{key}={value}" for key, value in options.items())
            default = " (default)" if name == self.default else ""
            lines.append(f"  strategy {name}{default}: {said or 'standard options'}")
        for trigger in self.triggers:
            lines.append(
                f"  roll back when {trigger['metric']} > {trigger['threshold']:g} for "
                f"{trigger['duration_seconds']:g} s: NOT ARMED, nothing measures it yet"
            )
        if self.rollback_window is not None:
            lines.append(f"  rollback window: {self.rollback_window:g} s, without approval and gates")
        for name, gate in self.gates.items():
            need = "required" if gate.get("required", True) else "optional"
            passes = gate.get("pass_threshold")
            score = "" if passes is None else f", passes with {passes if isinstance(passes, str) else f'{passes:g}'}"
            lines.append(f"  gate {called(name, gate.get('label'))}: {need}{score}, by manual attestation")
        return Text("\n".join(lines))


class Release(View):
    """A version of an application."""

    ref: str
    application: str
    label: str | None = None
    version: str
    author: str | None = None
    created: str | None = None
    published: str | None = None
    blocked: str | None = None
    block_reason: str | None = None
    components: tuple[dict[str, Any], ...] = ()
    changes: tuple[dict[str, Any], ...] = ()
    change_count: int = 0
    changelog: tuple[Any, ...] = ()
    attestations: Any = {}
    succeeded_in: Any = {}
    initial_traffic: int | None = None

    def render(self) -> RenderableType:
        """One line, the components, where it has succeeded."""
        state = "blocked" if self.blocked else "published" if self.published else "draft"
        parts = some(f"{called(part['name'], part.get('label'))} {part['version']}" for part in self.components)
        written = "" if self.label in (None, self.application) else f" of {self.label}"
        lines = [f"{self.ref}{written} ({state}) by {self.author}", f"  components: {parts}"]
        if self.blocked and self.block_reason:
            lines.append(f"  blocked {short_time(self.blocked)}: {self.block_reason}")
        lines += [f"  changes: {self.change_count:,}"] if self.change_count else []
        lines += [f"  new: {line}" for line in self.changelog[:LISTED]]
        if len(self.changelog) > LISTED:
            lines.append(f"  and {len(self.changelog) - LISTED} more lines of the changelog")
        for gate, said in self.attestations.items():
            noted = f": {said['note']}" if said.get("note") else ""
            lines.append(f"  gate {gate}: {said['result']} by {said['by']}, a manual attestation{noted}")
        return Text("\n".join([*lines, f"  succeeded in: {', '.join(self.succeeded_in) or 'nowhere yet'}"]))


class Plan(View):
    """The steps of a deployment, with where each stands."""

    strategy: str
    notes: tuple[str, ...] = ()
    steps: tuple[dict[str, Any], ...] = ()
    rollback: tuple[dict[str, Any], ...] = ()
    reversible: bool = True
    changes: tuple[PlannedChange, ...] = ()

    def render(self, *, whole: bool = False) -> RenderableType:
        """The steps as a table, and what they change; alike ones together where there are many, but for `whole`."""
        many = len(self.steps) > MANY and not whole
        shown: list[RenderableType] = [self._summed_up() if many else self._each_step()]
        notes = self.notes if whole or len(self.notes) <= NOTES else self.notes[:NOTES]
        shown += [Text(line) for line in _changed_lines(self.changes, len(self.changes) if whole else CHANGES_SHOWN)]
        shown += [Text(f"note: {note}") for note in notes]
        if len(notes) < len(self.notes):
            shown.append(Text(f"and {len(self.notes) - len(notes):,} more notes"))
        return Group(*shown) if self.steps else Group(Text("nothing to do: it runs already"), *shown[1:])

    def _each_step(self) -> Table:
        rows = [
            (index + 1, _mark(step.get("status")), said_of(step, "forward")) for index, step in enumerate(self.steps)
        ]
        return table("step", "", self.strategy, rows=rows)

    def _summed_up(self) -> RenderableType:
        found = list(groups(self.steps))
        rows = [(each.numbers, "✔" if each.is_done else "·", each.text, each.progress) for each in found]
        bad = [
            Text(f"✗ {index + 1} {said_of(step, 'forward')}")
            for index, step in enumerate(self.steps)
            if step.get("status") in ("failed", "errored")
        ]
        left = [Text(f"and {len(bad) - NOTES:,} more went wrong")] if len(bad) > NOTES else []
        made = table("steps", "", self.strategy, "done", rows=rows)
        return Group(made, *bad[:NOTES], *left, Text(f"{len(self.steps):,} steps; see each with --all"))


def _mark(status: str | None) -> str:
    """A step that is skipped looks like one that is not begun."""
    return MARKS["pending" if status in (None, "skipped") else status]


def _changed_lines(changes: Iterable[PlannedChange], most: int) -> list[str]:
    """What a plan changes: a line for each component at a place, and one for each setting that differs there."""
    changed = list(changes)
    lines = []
    for change in changed[:most]:
        lines += [f"change: {change}", *(f"  {difference}" for difference in change.differs)]
    more = len(changed) - most
    return [*lines, f"and {more:,} more changes; see each with --all"] if more > 0 else lines


def said_of(step: dict[str, Any], leg: Leg) -> str:
    """What the step does, which try it is where there is more than one, and why it did not, or ended early."""
    attempt, again = step.get("attempt") or 1, step.get("retry_at")
    tries = f" (try {attempt} of {ATTEMPTS[leg]})" if attempt > 1 or again else ""
    known = step.get("status") in ("failed", "errored", "done") and step.get("reason")
    reason = f": {step['reason']}" if known else ""
    return f"{step['description']}{tries}{reason}{'; it is tried again' if again else ''}"


class Deployment(View):
    """One release on its way to one environment."""

    id: str
    release: str
    application: str
    version: str
    environment: str
    strategy: str
    phase: str
    digest: str | None = None
    reason: str | None = None
    note: str | None = None
    weight: int | None = None
    step: int | None = None
    done: int | None = None
    total: int | None = None
    by: str | None = None
    requested_by: str | None = None
    created: str | None = None
    started: str | None = None
    ended: str | None = None
    approval: str | None = None
    paused_until: str | None = None
    paused_reason: str | None = None
    deadline: str | None = None
    awaits_person: bool = False
    reverts: str | None = None
    retries: str | None = None
    plan: Plan | None = None
    verdicts: tuple[Verdict, ...] = ()
    already_so: bool = False

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Deployment":
        """From a query's row, in which the plan and each step's progress stand apart."""
        compiled = row.get("plan") or {}
        plan = Plan(
            strategy=row["strategy"],
            notes=tuple(compiled.get("notes", ())),
            steps=_with_progress(compiled.get("forward"), row.get("steps")),
            rollback=_with_progress(compiled.get("rollback"), row.get("rollback")),
            reversible=compiled.get("reversible", True),
            changes=tuple(compiled.get("changes") or ()),
        )
        return cls(**{**row, "plan": plan if "steps" in row else None})

    @property
    def succeeded(self) -> bool:
        """Whether it has ended well."""
        return self.phase == "Succeeded"

    @property
    def paused_step(self) -> int | None:
        """The number, as it is shown, of the pause that it waits in."""
        steps = self.plan.steps if self.plan is not None else ()
        return next((number for number, step in enumerate(steps, 1) if step.get("status") == "waiting"), None)

    @property
    def patience(self) -> str | None:
        """How long it waits, and what happens then; None where it does not wait, or its approval has the deadline."""
        if self.deadline is None:
            return None
        back = "it goes back" if self.plan is None or self.plan.reversible else "it halts: there is no way back"
        then = back if self.phase == "Paused" else "it expires"
        return f"waits until {short_time(self.deadline)}, then {then}"

    @property
    def waits_for(self) -> str | None:
        """What keeps it in the queue, where that was asked when it was deployed."""
        if self.phase != "Queued":
            return None
        return "; ".join(verdict.reason for verdict in self.verdicts if verdict.says == "wait") or None

    def render(self, *, whole: bool = False) -> RenderableType:
        """One line, the plan, what would stop it; each step of a long plan where the `whole` is wanted."""
        line = f"{self.release} → {self.environment}   {self.strategy}   {self.phase}"
        if self.weight is not None and self.phase in ("Progressing", "Paused"):
            line += f" at {self.weight} %"
        if self.reason or self.paused_reason:
            line += f": {self.reason or self.paused_reason}"
        shown: list[RenderableType] = [Text(line)]
        if self.id:
            shown.append(Text(f"deployment {self.id}"))
        if self.reverts:
            shown.append(Text(f"goes back from deployment {self.reverts}"))
        if self.note:
            shown.append(Text(f"{self.requested_by or self.by} said: {self.note}"))
        if self.patience:
            shown.append(Text(self.patience))
        if self.plan is not None:
            shown.append(self.plan.render(whole=whole))
        stops = [verdict for verdict in self.verdicts if verdict.says != "allow" or "NOT ARMED" in verdict.reason]
        shown += [Text(f"{verdict.says if verdict.says != 'allow' else 'note'}: {verdict.reason}") for verdict in stops]
        return Group(*shown)


def _with_progress(compiled: Any, progress: Any) -> tuple[dict[str, Any], ...]:
    return tuple({**step, **state} for step, state in zip(compiled or (), progress or (), strict=True))


class CanaryPlan(View):
    """A release's canary: the traffic shares that it passes through, and the seconds between them."""

    release: str
    traffic_percentage: int
    steps: tuple[int, ...] = ()
    interval_seconds: float | None = None
    deployments: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def render(self) -> RenderableType:
        """The shares with arrows."""
        shares = " → ".join(f"{share} %" for share in self.steps)
        every = "" if self.interval_seconds is None else f", {self.interval_seconds:g} s between"
        return Text("\n".join([f"canary of {self.release}: {shares}{every}", *(f"note: {it}" for it in self.notes)]))


class Approval(View):
    """Who agrees to exactly what."""

    id: str
    deployment: str
    release: str | None = None
    environment: str | None = None
    phase: str
    rule: dict[str, Any] = {}
    signatures: tuple[Any, ...] = ()
    denial: dict[str, Any] | None = None
    requested: str | None = None
    by: str | None = None
    expires_at: str | None = None

    def render(self) -> RenderableType:
        """One line, and what those who decided said."""
        need = self.rule.get("required", 1)
        about = f"for {self.release} → {self.environment}"
        lines = [f"approval {self.id}: {self.phase}, {len(self.signatures)} of {need}, {about}"]
        lines += [f"  {each['by']} agreed: {each['note']}" for each in self.signatures if each.get("note")]
        if self.denial is not None and self.denial.get("note"):
            lines.append(f"  {self.denial['by']} refused: {self.denial['note']}")
        return Text("\n".join(lines))


class Incident(View):
    """Something that went wrong. `cause` is the deployment that somebody blames, `remedy` the one that ended it.

    `attribution` is "explicit" where somebody has said what the cause is, or that no deployment is; else "inferred".
    """

    id: str
    application: str
    environment: str
    severity: str | None = None
    title: str
    detected_at: str
    cause: str | None = None
    attribution: str
    resolved_at: str | None = None
    remedy: str | None = None
    note: str | None = None
    opened: str | None = None
    by: str | None = None
    resolved_by: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.resolved_at is None

    @property
    def blamed(self) -> str:
        """What caused it, in words."""
        return self.cause or ("no deployment" if self.attribution == "explicit" else "not said")

    def render(self) -> RenderableType:
        """A line for each thing that is known."""
        over = "open" if self.resolved_at is None else f"resolved {short_time(self.resolved_at)}"
        lines = [
            f"incident {self.id}: {self.title}",
            f"  {self.application} in {self.environment}{f', {self.severity}' if self.severity else ''}, {over}",
            f"  detected: {short_time(self.detected_at)}, opened by {self.by}",
            f"  cause: {self.blamed}",
        ]
        lines += [f"  ended by deployment {self.remedy}"] if self.remedy else []
        lines += [f"  note: {self.note}"] if self.note else []
        return Text("\n".join(lines))


class Metric(View):
    """One metric of a window: its value with what it is made of. None where there is nothing to measure.

    `unit` is seconds, ratio, or per_day. `p50` and `p90` are interpolated: of the durations in seconds, or for the
    frequency of the days between deployments. `excluded` counts, by reason, what is in neither number; `censored` what
    is not over yet. `buckets` are the frequency's days or weeks. `parked` counts streams of events that were set aside
    and are missing here.
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
        """The value for a person."""
        if self.value is None:
            return "nothing to measure"
        if self.unit == "ratio":
            return f"{100 * self.value:.1f} %"
        if self.unit == "per_day":
            return f"{self.value:.2f} a day"
        return f"{span(self.value)} (median)"

    @property
    def basis(self) -> str:
        """The numbers that it is made of."""
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
        """How many streams of events were set aside, of deployments, releases, incidents or environments."""
        return max((metric.parked for metric in self.metrics), default=0)

    def render(self) -> RenderableType:
        """One row per metric."""
        where = f"{self.application or 'all applications'} in {self.environment or 'the production tier'}"
        head = f"{where}, {short_time(self.since)} to {short_time(self.until)} UTC"
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
    """What stands behind a metric: a deployment, or one change of it, with the records that say so.

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
        """Why it counts: the reasons with their incidents, or the change with the release that states it."""
        if self.commit is not None:
            return self.commit if self.stated_by in (None, self.release) else f"{self.commit} of {self.stated_by}"
        return ", ".join([*(reason.replace("_", " ") for reason in self.why), *(it["id"] for it in self.incidents)])


def _missing(parked: int) -> str:
    streams = "stream of events is" if parked == 1 else "streams of events are"
    return f"{parked:,} {streams} set aside and missing here: relman projections list --parked"


def _reasons(excluded: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in excluded.items())


def span(seconds: float) -> str:
    """A duration in its two largest units."""
    rest, said = round(seconds), []
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if rest >= size:
            said.append(f"{rest // size} {name}")
            rest %= size
    return " ".join(said[:2]) or f"{seconds:.1f} s"


class Entry(View):
    """A line of the audit trail."""

    position: int
    time: str
    actor: str
    actorauth: str
    type: str
    subject: str
    summary: str
    application: str | None = None
    release: str | None = None
    environment: str | None = None
    deployment: str | None = None
    onbehalfof: str | None = None
    requested_by: str | None = None
    texts: Any = None
    refused: bool = False

    @property
    def who(self) -> str:
        """Who did it, and for whom where that is somebody else."""
        person = self.onbehalfof or self.requested_by
        return self.actor if person in (None, self.actor) else f"{self.actor} for {person}"

    @property
    def about(self) -> str:
        """The release, or its application, and where it goes."""
        return " → ".join(part for part in (self.release or self.application, self.environment) if part)

    @property
    def told(self) -> str:
        """The summary with what people said: notes and reasons, where they were not erased."""
        said = "; ".join(_texts(self.texts))
        return f"{self.summary}: {said}" if said else self.summary


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


class History(View):
    """A part of the audit trail, oldest first."""

    COLUMNS: ClassVar[int] = 180
    entries: tuple[Entry, ...] = ()

    def __repr__(self) -> str:
        return f"<History of {len(self)} records>"

    def __len__(self) -> int:
        return len(self.entries)

    def render(self) -> RenderableType:
        """One row per record."""
        return table(
            "position",
            "time",
            "who",
            "event",
            "about",
            "what",
            rows=((e.position, short_time(e.time), e.who, e.type, e.about, e.told) for e in self.entries),
        )


def short_time(time: str | None) -> str:
    """Date and time to the second, UTC."""
    return "" if time is None else time[:19].replace("T", " ")
