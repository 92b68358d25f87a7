"""Which aggregate a stream is, and its state folded from its facts."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from release_management.domain import (
    approval,
    environment,
    estate,
    holdings,
    incident,
    pipeline,
    place,
    policy,
    release,
)
from release_management.domain.deployment import state as deployment
from release_management.domain.words import Fact

AGGREGATES: Mapping[str, tuple[Callable[[], Any], Callable[[Any, Any], Any]]] = {
    "environment": (environment.Environment, environment.evolve),
    "estate": (estate.Estate, estate.evolve),
    "holdings": (holdings.Holdings, holdings.evolve),
    "place": (place.Place, place.evolve),
    "pipeline": (pipeline.Pipeline, pipeline.evolve),
    "policy": (policy.Policy, policy.evolve),
    "release": (release.Release, release.evolve),
    "deployment": (deployment.Deployment, deployment.evolve),
    "approval": (approval.Approval, approval.evolve),
    "incident": (incident.Incident, incident.evolve),
}


def aggregate(stream: str) -> str:
    """The aggregate's name: what stands before the colon."""
    return stream.partition(":")[0]


def fold(stream: str, facts: Iterable[Fact], state: Any = None) -> Any:
    """The stream's state after the facts, from `state` on, or from the beginning."""
    initial, evolve = AGGREGATES[aggregate(stream)]
    state = initial() if state is None else state
    for fact in facts:
        state = evolve(state, fact)
    return state
