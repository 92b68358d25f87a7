"""Claims: resources that only one component of an executor can have, such as a port; find collisions."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from release_management.domain.environment import Target
from release_management.services.gateway.unit_of_work import SettingsCheck

Placed = tuple[str, Target]
"""A target with the name of its environment."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A component's claim to a resource that its executor has once."""

    environment: str
    target: str
    application: str | None
    component: str
    executor: str
    thing: str

    @property
    def where(self) -> str:
        """The claiming component, for people."""
        application = "" if self.application is None else f" of {self.application}"
        return f"component {self.component}{application} on target {self.target} of environment {self.environment}"


def collision(
    stated: Iterable[Placed], others: Iterable[Placed], executors: Mapping[str, SettingsCheck]
) -> tuple[Reservation, str] | None:
    """Return the first claim of the stated targets that another component has, and a sentence on that."""
    holders: dict[tuple[str, str], Reservation] = {}
    for claim in exclusive_resources(others, executors):
        holders.setdefault((claim.executor, claim.thing), claim)
    for claim in exclusive_resources(stated, executors):
        holder = holders.setdefault((claim.executor, claim.thing), claim)
        if holder is not claim:
            return claim, (
                f"{claim.thing} is that of {holder.where}, and executor {claim.executor} has it once; "
                "give one of them another"
            )
    return None


def exclusive_resources(placed: Iterable[Placed], executors: Mapping[str, SettingsCheck]) -> Iterator[Reservation]:
    """Yield the claims of the targets' components."""
    for environment, target in placed:
        check = executors.get(target.executor)
        for application, component, settings in target.declared():
            try:
                things = check({**settings, "slots": list(target.slots)}, target.routes != "none") if check else ()
            except ValueError:
                continue  # settings that were accepted once, and would not be today, run nothing
            for thing in things:
                yield Reservation(environment, target.name, application, component, target.executor, thing)
