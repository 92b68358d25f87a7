"""Place: one application on one target of one environment. Stream `place:<environment>/<application>/<target>`.

It is the unit that is locked, queued for, and known to run something; at most one deployment holds it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from release_management.domain.place_component import ComponentStatus, evolve_component
from release_management.domain.place_events import (
    PlaceEvent,
    PlaceLocked,
    PlaceOffered,
    PlaceQueued,
    PlaceUnlocked,
    PlaceUnqueued,
    PlaceVersionSucceeded,
    PlaceVersionWithdrawn,
)
from release_management.kernel.aggregate import Aggregate

REMEMBERED = 50
"""The number of successes of a component that a place remembers."""


@dataclass(frozen=True, slots=True)
class Success:
    """A deployment that brought a component here and succeeded. `version` is its release's.

    `digest` is that of the content, and `at` the time; older records contain neither.
    """

    version: str
    deployment: str
    digest: str | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The state of a place.

    `succeeded` holds for each component the newest `REMEMBERED` successes, oldest first, without withdrawn ones.
    """

    lock: str | None = None
    queue: tuple[str, ...] = ()
    components: Mapping[str, ComponentStatus] = field(default_factory=dict)
    succeeded: Mapping[str, tuple[Success, ...]] = field(default_factory=dict)


def evolve(state: Place, event: PlaceEvent) -> Place:
    """Apply one fact.

    Successes beyond `REMEMBERED` are forgotten, so the state does not grow with the place's age.
    """
    match event:
        case PlaceLocked(deployment=deployment):
            return replace(state, lock=deployment, queue=tuple(d for d in state.queue if d != deployment))
        case PlaceUnlocked():
            return replace(state, lock=None)
        case PlaceQueued(deployment=deployment):
            return replace(state, queue=(*state.queue, deployment))
        case PlaceUnqueued(deployment=deployment):
            return replace(state, queue=tuple(d for d in state.queue if d != deployment))
        case PlaceOffered():
            return state
        case PlaceVersionSucceeded():
            return replace(state, succeeded=_remember(state, event))
        case PlaceVersionWithdrawn():
            remaining = {
                component: tuple(each for each in successes if not _withdrawn(component, each, event))
                for component, successes in state.succeeded.items()
            }
            return replace(state, succeeded=remaining)
        case _:
            status = evolve_component(state.components.get(event.component, ComponentStatus()), event)
            return replace(state, components={**state.components, event.component: status})


def _remember(state: Place, event: PlaceVersionSucceeded) -> dict[str, tuple[Success, ...]]:
    """Add a success to the components that it brought; the same content of the same version counts once, as newest."""
    brought: Mapping[str, str | None] = (
        dict.fromkeys(state.components) if event.components is None else event.components
    )
    succeeded = dict(state.succeeded)
    for component, digest in brought.items():
        new = Success(event.version, event.deployment, digest, event.at)
        others = (s for s in succeeded.get(component, ()) if (s.version, s.digest) != (new.version, new.digest))
        succeeded[component] = (*others, new)[-REMEMBERED:]
    return succeeded


def _withdrawn(component: str, success: Success, event: PlaceVersionWithdrawn) -> bool:
    if event.components is not None and component not in event.components:
        return False
    if event.withdrawn is None:
        return success.version == event.version
    return success.deployment == event.withdrawn


# What decisions ask of a state


def free_for(state: Place, deployment: str) -> bool:
    """Return True if the deployment may lock the place now: no deployment holds it, and none has waited longer."""
    if state.lock is not None:
        return state.lock == deployment
    return not state.queue or state.queue[0] == deployment


def newest(state: Place, component: str) -> Success | None:
    """The newest success of a component here."""
    successes = state.succeeded.get(component, ())
    return successes[-1] if successes else None


def earlier(state: Place, component: str, leaving: str) -> tuple[Success, ...]:
    """Return the versions to which the component could be rolled back from the deployment `leaving`, newest first.

    Successes with the same content as `leaving` are left out, and so are withdrawn ones.
    """
    successes = state.succeeded.get(component, ())
    left = next((each for each in successes if each.deployment == leaving), None)
    return tuple(
        each
        for each in reversed(successes)
        if left is None or ((each.version, each.digest) != (left.version, left.digest) and not _same(each, left))
    )


def _same(one: Success, other: Success) -> bool:
    return one.digest is not None and one.digest == other.digest


# Declaration


def _key(environment: str, application: str, target: str) -> str:
    return f"{environment}/{application}/{target}"


PLACE = Aggregate("place", Place(), PlaceEvent, evolve, _key)
