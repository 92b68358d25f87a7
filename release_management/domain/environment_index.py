"""EnvironmentIndex: the index of existing environments. The one stream `estate:main`."""

from dataclasses import dataclass, replace
from typing import ClassVar, assert_never

from pydantic import Field

from release_management.kernel.aggregate import Aggregate, single
from release_management.kernel.types import Fact, Name

# Events


class EnvironmentListed(Fact):
    """The environment exists, with this order in the list."""

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


# Commands, given by the decisions on environments only


@dataclass(frozen=True, slots=True)
class ListEnvironment:
    """List an environment with this order."""

    environment: str
    order: int


@dataclass(frozen=True, slots=True)
class UnlistEnvironment:
    """Remove a retired environment from the list."""

    environment: str


EstateCommand = ListEnvironment | UnlistEnvironment


# State


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
        """The order of a new environment at the end of the list."""
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


# Decisions


def decide(command: EstateCommand, state: EnvironmentIndex, facts: None = None) -> list[EstateEvent]:
    """Decide on the list; the decision needs no further input."""
    match command:
        case ListEnvironment(environment=name, order=order):
            return [] if (order, name) in state.orders else [EnvironmentListed(environment=name, order=order)]
        case UnlistEnvironment(environment=name):
            return [EnvironmentUnlisted(environment=name)] if name in state.environments else []
        case _:
            assert_never(command)


# Declaration


ESTATE = Aggregate("estate", EnvironmentIndex(), EstateEvent, evolve, single)
