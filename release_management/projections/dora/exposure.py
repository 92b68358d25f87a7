"""Find the steps of a plan that bring users to the new version, and those that take them back.

Users meet a deployment when the new version gets traffic, or the old one loses it, or gets all of it back after a
failed rollback; if the target does not route, when the new version runs.
"""

from collections.abc import Iterator, Sequence

from release_management.domain.plan import (
    AnyStep,
    PlaceStep,
    Plan,
)
from release_management.domain.plan.step import LegAtPlace
from release_management.domain.plan.steps.provision import Provision
from release_management.domain.plan.steps.route import Route


def reaching(plan: Plan) -> dict[str, str]:
    """Return the forward steps that users notice, by index, with the place of each: `target/component`."""
    return {str(at): _place(step) for at, step, leg in _placed(plan.forward) if step.reaches_users(leg)}


def leaving(plan: Plan) -> dict[str, str]:
    """Return the rollback steps after which users no longer meet the new version, by index, with their places.

    That is when the old version has all traffic again, or nothing has; if the target does not route, when the new
    version is retired.
    """
    return {str(at): _place(step) for at, step, leg in _placed(plan.rollback) if step.ends_exposure(leg)}


def _placed(steps: Sequence[AnyStep]) -> Iterator[tuple[int, PlaceStep, LegAtPlace]]:
    """The steps of a leg that are for a place, with their indexes, and what the leg does there."""
    routed = {step.key for step in steps if isinstance(step, Route)}
    new = {step.key for step in steps if isinstance(step, Provision) and step.role == "candidate"}
    for at, step in enumerate(steps):
        if isinstance(step, PlaceStep):
            yield at, step, LegAtPlace(routes=step.key in routed, brings=step.key in new)


def _place(step: PlaceStep) -> str:
    return f"{step.target}/{step.component}"
