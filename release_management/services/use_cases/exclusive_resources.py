"""What only one component of an executor can have, such as a port; and who has it already."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from release_management.domain.environment import Target
from release_management.services.gateway.unit_of_work import SettingsCheck

Placed = tuple[str, Target]
"""A target with the name of its environment."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A component's claim to something that its executor has once."""

    environment: str
    target: str
    application: str | None
    component: str
    executor: str
    thing: str

    @property
    def where(self) -> str:
        """Whose it is, for a person."""
        of = "" if self.application is None else f" of {self.application}"
        return f"component {self.component}{of} on target {self.target} of environment {self.environment}"


def collision(
    stated: Iterable[Placed], others: Iterable[Placed], executors: Mapping[str, SettingsCheck]
) -> tuple[Reservation, str] | None:
    """The first claim of the stated targets that another has, among them or among the others, and why it cannot be."""
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
    """What the targets' components claim."""
    for environment, target in placed:
        check = executors.get(target.executor)
        for application, component, settings in target.declared():
            try:
                things = check({**settings, "slots": list(target.slots)}, target.routes != "none") if check else ()
            except ValueError:
                continue  # what was taken in once, and would not be today, runs nothing
            for thing in things:
                yield Reservation(environment, target.name, application, component, target.executor, thing)
