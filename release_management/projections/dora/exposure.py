"""Which steps of a plan bring users to the new version, and which take them back.

Users meet a deployment where the new version gets traffic, or the old one loses it, or gets all of it back where a way
back had failed; where nothing routes, where it runs.
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
    """The forward steps that users notice, by index, with the place of each: `target/component`."""
    return {str(at): _place(step) for at, step, leg in _placed(plan.forward) if step.reaches_users(leg)}


def leaving(plan: Plan) -> dict[str, str]:
    """The steps of the way back after which users do not meet the new version any more, by index, with their places.

    That is where the old version has all traffic again, or nothing has; where nothing routes, where the new one goes.
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
