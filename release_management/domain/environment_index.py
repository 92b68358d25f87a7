"""EnvironmentIndex: the index of existing environments. The one stream `estate:main`."""

from dataclasses import dataclass, replace
from typing import ClassVar, assert_never

from pydantic import Field

from release_management.kernel.aggregate import Aggregate, single
from release_management.kernel.types import Fact, Name


class EnvironmentListed(Fact):
    """The environment exists, at this place in the order."""

    NAME: ClassVar[str] = "estate.environment_listed"
    environment: Name = Field(description="the environment")
    order: int = Field(description="its place among the environments")

    def _summary(self) -> str:
        return f"environment {self.environment} exists, at place {self.order}"


class EnvironmentUnlisted(Fact):
    """The environment is retired."""

    NAME: ClassVar[str] = "estate.environment_unlisted"
    environment: Name = Field(description="the environment")

    def _summary(self) -> str:
        return f"environment {self.environment} is retired"


EstateEvent = EnvironmentListed | EnvironmentUnlisted


@dataclass(frozen=True, slots=True)
class EnvironmentIndex:
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


def evolve(state: EnvironmentIndex, event: EstateEvent) -> EnvironmentIndex:
    """Apply one fact."""
    others = [item for item in state.orders if item[1] != event.environment]
    match event:
        case EnvironmentListed():
            return replace(state, orders=tuple(sorted([*others, (event.order, event.environment)])))
        case EnvironmentUnlisted():
            return replace(state, orders=tuple(others))
        case _:
            assert_never(event)


def enlist(environment: str, order: int, state: EnvironmentIndex) -> list[EnvironmentListed]:
    """List an environment at an order."""
    return [] if (order, environment) in state.orders else [EnvironmentListed(environment=environment, order=order)]


def unlist(environment: str, state: EnvironmentIndex) -> list[EnvironmentUnlisted]:
    """Take a retired environment from the list."""
    return [EnvironmentUnlisted(environment=environment)] if environment in state.environments else []


# Declaration


ESTATE = Aggregate("estate", EnvironmentIndex(), EstateEvent, evolve, single)
