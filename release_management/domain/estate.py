"""Estate: which environments exist. The one stream `estate:main`."""

from dataclasses import dataclass, replace
from typing import ClassVar

from release_management.domain.words import Fact, Name

STREAM = "estate:main"


class EnvironmentListed(Fact):
    """The environment exists, at this place in the order."""

    NAME: ClassVar[str] = "estate.environment_listed"
    environment: Name
    order: int


@dataclass(frozen=True, slots=True)
class Estate:
    """`orders` holds (order, environment), sorted."""

    orders: tuple[tuple[int, str], ...] = ()

    @property
    def environments(self) -> tuple[str, ...]:
        """The environments' names in order."""
        return tuple(name for _, name in self.orders)

    @property
    def next_order(self) -> int:
        """The order of an environment that is added at the end."""
        return self.orders[-1][0] + 1 if self.orders else 0


def evolve(state: Estate, event: EnvironmentListed) -> Estate:
    """Apply one fact."""
    others = [item for item in state.orders if item[1] != event.environment]
    return replace(state, orders=tuple(sorted([*others, (event.order, event.environment)])))


def enlist(environment: str, order: int, state: Estate) -> list[EnvironmentListed]:
    """List an environment at an order."""
    return [] if (order, environment) in state.orders else [EnvironmentListed(environment=environment, order=order)]
