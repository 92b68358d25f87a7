"""Holdings: the exclusive resources of executors, such as ports, and the component that holds each.

Stream `holdings:main`. A component holds a resource from the start of the deployment that brings it until the end of a
deployment that takes it away.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from pydantic import Field

from release_management.kernel.aggregate import Aggregate, single
from release_management.kernel.types import (
    Fact,
    Line,
    Name,
)

Holder = str
"""`environment/application/target/component`."""
Resource = str
"""`executor: resource`, where the resource is in words, such as `port 8080`."""

# Events


class HoldingsChanged(Fact):
    """The component holds exactly these resources of its executor from now on; none: it holds nothing any more."""

    NAME: ClassVar[str] = "holdings.changed"
    environment: Name = Field(description="the environment")
    application: Name = Field(description="the application")
    target: Name = Field(description="the target in the environment")
    component: Name = Field(description="the component")
    executor: Name = Field(description="who carries the steps out; there are `command` and `local`")
    things: tuple[Line, ...] = Field(
        (), description="what it has that its executor has once, such as `port 8080`; none: nothing any more"
    )

    def _summary(self) -> str:
        holder = f"{self.component} of {self.application} on {self.target}"
        return f"{holder} holds {', '.join(self.things) or 'nothing any more'}"


# Commands, given by the decisions on deployments only


@dataclass(frozen=True, slots=True)
class Hold:
    """Have a component hold exactly these resources of an executor."""

    holder: Holder
    executor: str
    things: Collection[str]


# State


@dataclass(frozen=True, slots=True)
class Holdings:
    """The resources that each component holds."""

    things: Mapping[Holder, frozenset[Resource]] = field(default_factory=dict)

    def held(self, holder: Holder, executor: str) -> frozenset[str]:
        """Return the resources of an executor that a component holds."""
        prefix = resource_of(executor, "")
        return frozenset(
            thing.removeprefix(prefix) for thing in self.things.get(holder, ()) if thing.startswith(prefix)
        )

    def holders(self) -> dict[Resource, tuple[Holder, ...]]:
        """Return the holders of each resource: more than one only after an error."""
        found: dict[Resource, tuple[Holder, ...]] = {}
        for holder, things in self.things.items():
            for thing in things:
                found[thing] = (*found.get(thing, ()), holder)
        return found


def holder_of(environment: str, application: str, target: str, component: str) -> Holder:
    """Return the holder's name of a component at its place."""
    return "/".join((environment, application, target, component))


def resource_of(executor: str, thing: str) -> Resource:
    """Return the name of an executor's resource."""
    return f"{executor}: {thing}"


def describe(holder: Holder) -> str:
    """Return a sentence part for people on a holder."""
    environment, application, target, component = holder.split("/")
    return f"component {component} of {application} on target {target} of environment {environment}"


def evolve(state: Holdings, event: HoldingsChanged) -> Holdings:
    """Apply one fact."""
    holder = holder_of(event.environment, event.application, event.target, event.component)
    of_others = {
        thing
        for thing in state.things.get(holder, frozenset())
        if not thing.startswith(resource_of(event.executor, ""))
    }
    held = frozenset(of_others | {resource_of(event.executor, thing) for thing in event.things})
    things = {each: other for each, other in state.things.items() if each != holder}
    return replace(state, things={**things, holder: held} if held else things)


# Decisions


def decide(command: Hold, state: Holdings, facts: None = None) -> list[HoldingsChanged]:
    """Record a change of the resources that a component holds; the decision needs no further input."""
    if state.held(command.holder, command.executor) == set(command.things):
        return []
    environment, application, target, component = command.holder.split("/")
    return [
        HoldingsChanged(
            environment=environment,
            application=application,
            target=target,
            component=component,
            executor=command.executor,
            things=tuple(sorted(command.things)),
        )
    ]


# Declaration


HOLDINGS = Aggregate("holdings", Holdings(), HoldingsChanged, evolve, single)
