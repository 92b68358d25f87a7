"""The steps of a plan as rows show them."""

from typing import Any

from release_management.domain.orders import Leg
from release_management.domain.plan import PlaceStep, Plan, Route, describe

PENDING = "pending"
SKIPPED = "skipped"

StepRow = dict[str, Any]


def listed(plan: Plan, leg: Leg) -> list[StepRow]:
    """A leg's steps, none of them begun. `candidate` is the share in percent that a route gives the candidate."""
    rows = []
    for index, step in enumerate(plan.steps(leg)):
        row: StepRow = {
            "step": index,
            "wave": step.wave,
            "since": step.since,
            "verb": step.verb,
            "description": describe(step),
            "status": PENDING,
            "attempt": 0,
        }
        if isinstance(step, PlaceStep):
            row |= {"target": step.target, "component": step.component}
        if isinstance(step, Route):
            row["candidate"] = step.weights.get("candidate", 0)
        rows.append(row)
    return rows


def moved(steps: list[StepRow], index: int, status: str, **details: Any) -> list[StepRow]:
    """The steps with one of them in another status; an index beyond the plan changes nothing."""
    if not 0 <= index < len(steps):
        return steps
    kept = {name: value for name, value in steps[index].items() if name not in ("reason", "deadline", "retry_at")}
    said = {name: value for name, value in details.items() if value is not None}
    return [*steps[:index], {**kept, **said, "status": status}, *steps[index + 1 :]]


def shares(steps: list[StepRow], index: int) -> dict[str, int]:
    """The candidate's share per `target/component` once the step is done; empty where it is no route."""
    if not 0 <= index < len(steps) or "candidate" not in steps[index]:
        return {}
    step = steps[index]
    return {f"{step['target']}/{step['component']}": step["candidate"]}
