"""Deployments, and their plans."""

from collections.abc import Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from release_management.domain.orders import ATTEMPTS
from release_management.domain.plan import Leg, PlannedChange
from release_management.facade.summaries import (
    MANY,
    MARKS,
    groups,
)
from release_management.facade.views.base import View, short_time, table
from release_management.kernel.types import Verdict

NOTES = 10
"""The number of notes, and of failed steps, that are shown of a long plan."""


CHANGES_SHOWN = 20


class Plan(View):
    """The steps of a deployment, with their statuses."""

    strategy: str
    notes: tuple[str, ...] = ()
    steps: tuple[dict[str, Any], ...] = ()
    rollback: tuple[dict[str, Any], ...] = ()
    reversible: bool = True
    changes: tuple[PlannedChange, ...] = ()

    def render(self, *, whole: bool = False) -> RenderableType:
        """Return the steps as a table, and their changes; equal steps of a long plan are grouped unless `whole`."""
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
            (index + 1, _mark(step.get("status")), step_text(step, "forward")) for index, step in enumerate(self.steps)
        ]
        return table("step", "", self.strategy, rows=rows)

    def _summed_up(self) -> RenderableType:
        found = list(groups(self.steps))
        rows = [(each.numbers, "✔" if each.is_done else "·", each.text, each.progress) for each in found]
        bad = [
            Text(f"✗ {index + 1} {step_text(step, 'forward')}")
            for index, step in enumerate(self.steps)
            if step.get("status") in ("failed", "errored")
        ]
        left = [Text(f"and {len(bad) - NOTES:,} more went wrong")] if len(bad) > NOTES else []
        made = table("steps", "", self.strategy, "done", rows=rows)
        return Group(made, *bad[:NOTES], *left, Text(f"{len(self.steps):,} steps; see each with --all"))


def _mark(status: str | None) -> str:
    """Return the mark of a step status; a skipped step has that of a step that has not begun."""
    return MARKS["pending" if status in (None, "skipped") else status]


def _changed_lines(changes: Iterable[PlannedChange], most: int) -> list[str]:
    """Return a plan's changes: a line for each component at a place, and one for each setting that differs there."""
    changed = list(changes)
    lines = []
    for change in changed[:most]:
        lines += [f"change: {change}", *(f"  {difference}" for difference in change.differs)]
    more = len(changed) - most
    return [*lines, f"and {more:,} more changes; see each with --all"] if more > 0 else lines


def step_text(step: dict[str, Any], leg: Leg) -> str:
    """Return a step's description, with its attempt after the first, and why it failed, or ended early."""
    attempt, again = step.get("attempt") or 1, step.get("retry_at")
    tries = f" (try {attempt} of {ATTEMPTS[leg]})" if attempt > 1 or again else ""
    known = step.get("status") in ("failed", "errored", "done") and step.get("reason")
    reason = f": {step['reason']}" if known else ""
    return f"{step['description']}{tries}{reason}{'; it is tried again' if again else ''}"


class Deployment(View):
    """The deployment of one release to one environment."""

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
        """Return the view of a query's row, which has the plan and each step's progress apart."""
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
        """True if the deployment has succeeded."""
        return self.phase == "Succeeded"

    @property
    def paused_step(self) -> int | None:
        """The number, as it is shown, of the step whose pause it waits in."""
        steps = self.plan.steps if self.plan is not None else ()
        return next((number for number, step in enumerate(steps, 1) if step.get("status") == "waiting"), None)

    @property
    def patience(self) -> str | None:
        """The remaining time of the present wait, and its consequence; None without a deadline of its own."""
        if self.deadline is None:
            return None
        back = "it goes back" if self.plan is None or self.plan.reversible else "it halts: there is no way back"
        consequence = back if self.phase == "Paused" else "it expires"
        return f"waits until {short_time(self.deadline)}, then {consequence}"

    @property
    def waits_for(self) -> str | None:
        """The reason why it waits, if it was just deployed."""
        if self.phase != "Queued":
            return None
        return "; ".join(verdict.reason for verdict in self.verdicts if verdict.says == "wait") or None

    def render(self, *, whole: bool = False) -> RenderableType:
        """Return one line, the plan, and the verdicts against it; with `whole`, each step of a long plan."""
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
    """A release's canary: its traffic shares, and the seconds between them."""

    release: str
    traffic_percentage: int
    steps: tuple[int, ...] = ()
    interval_seconds: float | None = None
    deployments: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def render(self) -> RenderableType:
        """Return the shares with arrows."""
        shares = " → ".join(f"{share} %" for share in self.steps)
        every = "" if self.interval_seconds is None else f", {self.interval_seconds:g} s between"
        return Text("\n".join([f"canary of {self.release}: {shares}{every}", *(f"note: {it}" for it in self.notes)]))
