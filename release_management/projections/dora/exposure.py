"""Which steps of a plan bring users to the new version, and which take them back.

Users meet a deployment where the new version gets traffic, or the old one loses it, or gets all of it back where a way
back had failed; where nothing routes, where it runs.
"""

from release_management.domain.plan import (
    AnyStep,
    Pause,
    Plan,
    Provision,
    Retire,
    Route,
)


def reaching(plan: Plan) -> dict[str, str]:
    """The forward steps that users notice, by index, with the place of each: `target/component`."""
    at_work = [step for step in plan.forward if not isinstance(step, Pause)]
    routed = {_place(step) for step in at_work if isinstance(step, Route)}
    new = {_place(step) for step in at_work if isinstance(step, Provision) and step.role == "candidate"}
    found = {}
    for index, step in enumerate(plan.forward):
        where = _place(step)
        match step:
            case Route(weights=weights):
                moved = weights.get("candidate", 0) > 0 or weights.get("stable", 100) < 100
                noticed = moved or where not in new or not any(weights.values())
            case Retire(role=role):
                noticed = role == "stable"
            case Provision(role=role):
                noticed = (role == "candidate" or where not in new) and where not in routed
            case _:
                noticed = False
        if noticed:
            found[str(index)] = where
    return found


def leaving(plan: Plan) -> dict[str, str]:
    """The steps of the way back after which users do not meet the new version any more, by index, with their places.

    That is where the old version has all traffic again, or nothing has; where nothing routes, where the new one goes.
    """
    routed = {_place(step) for step in plan.rollback if isinstance(step, Route)}
    found = {}
    for index, step in enumerate(plan.rollback):
        match step:
            case Route(weights=weights):
                back = weights.get("candidate", 0) == 0 and weights.get("stable") != 0
            case Retire(role=role):
                back = role == "candidate" and _place(step) not in routed
            case _:
                back = False
        if back:
            found[str(index)] = _place(step)
    return found


def _place(step: AnyStep) -> str:
    return "" if isinstance(step, Pause) else f"{step.target}/{step.component}"
