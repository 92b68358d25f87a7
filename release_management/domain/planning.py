"""From a release and what stands at the places to a plan, and to the roles bound to slots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from release_management.domain.compiler import compile_plan
from release_management.domain.component import Component
from release_management.domain.deployment.events import Binding
from release_management.domain.environment import Environment, Target
from release_management.domain.place import Occupant, Place, Standing
from release_management.domain.plan import Plan
from release_management.domain.policy import Policy
from release_management.domain.release import Release
from release_management.domain.sheet import Stand
from release_management.domain.slots import Seating, said_of, seat
from release_management.domain.strategies import StrategyName, parse_options
from release_management.domain.undeclared import as_if_declared, assumption, without_target
from release_management.domain.words import Refused

DEFAULT_STRATEGY: StrategyName = "rolling"


@dataclass(frozen=True, slots=True)
class Draft:
    """A compiled plan with what it was compiled from: its targets, and the bindings as they would be now."""

    strategy: StrategyName
    options: dict[str, JsonValue]
    targets: tuple[str, ...]
    plan: Plan
    bindings: tuple[Binding, ...]


def choose(
    release: Release,
    policies: Sequence[Policy],
    strategy: StrategyName | None,
    options: Mapping[str, JsonValue],
) -> tuple[StrategyName, dict[str, JsonValue]]:
    """The strategy and its options: the caller's before the release's own, before the nearer policy's.

    `policies` begin with the widest scope.
    """
    defaults = [policy.default for policy in policies if policy.default is not None]
    own: StrategyName | None = "canary" if release.initial_traffic is not None else None
    chosen = strategy or own or (defaults[-1] if defaults else DEFAULT_STRATEGY)
    merged: dict[str, JsonValue] = {}
    for policy in policies:
        merged = _over(merged, policy.strategies.get(chosen, {}))
    if chosen == "canary" and release.initial_traffic is not None:
        merged = _over(merged, {"initial_traffic": release.initial_traffic})
    return chosen, _over(merged, options)


def _over(wider: Mapping[str, JsonValue], nearer: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The nearer options win; a canary's `steps` and its `initial_traffic` and `increment` replace one another."""
    shares = {"initial_traffic", "increment"}
    outdone = (shares if "steps" in nearer else set()) | ({"steps"} if shares & set(nearer) else set())
    return {key: it for key, it in wider.items() if key not in outdone} | dict(nearer)


def draft(
    release: Release,
    environment: Environment,
    places: Mapping[str, Place],
    strategy: StrategyName,
    options: dict[str, JsonValue],
) -> Draft:
    """Compile the plan. `places` maps every target of the environment to the application's place there.

    Components that no target can run yet are planned as if one could, and a note says so.
    """
    parsed = parse_options(strategy, options)
    stands: list[Stand] = []
    bindings: list[Binding] = []
    notes: list[str] = []
    if missing := without_target(release, environment):
        notes.append(assumption(environment, missing)[:500])
        environment = as_if_declared(environment, missing)
    for target in environment.targets.values():
        place = places.get(target.name, Place())
        for component in release.components:
            settings = target.components.get(component.name)
            if settings is None:
                continue
            standing = place.components.get(component.name, Standing())
            seating = seat(standing, target.slots, held=place.lock is not None, reversible=target.reversible)
            wanted = parsed.replicas or _replicas(settings, f"{component.name} on target {target.name}")
            if not seating.unsettled and seating.serving == Occupant(component, wanted):
                notes.append(f"{component.name} {component.version} on {target.name} is unchanged")
                continue
            stand = _stand(target, component, seating, wanted)
            if seating.unsettled:
                recreate = strategy == "recreate"
                said = said_of(standing, seating, stays=stand.stays, recreate=recreate, reversible=target.reversible)
                notes.append(f"{component.name} on {target.name}: {said}"[:500])
            stands.append(stand)
            bindings.append(_bind(target, component, seating, settings, environment))
    plan = compile_plan(strategy, release.version, stands, parsed, tuple(notes))
    targets = tuple(dict.fromkeys(binding.target for binding in bindings))
    return Draft(strategy, options, targets, plan, tuple(bindings))


def _stand(target: Target, component: Component, seating: Seating, wanted: int) -> Stand:
    serving = seating.serving
    stays = seating.unsettled and target.reversible and serving is not None and serving.content == component
    before = serving.replicas if serving is not None else None
    if before is not None and seating.unsettled:
        before = wanted if stays else max(before, wanted)
    return Stand(
        target=target.name,
        component=component.name,
        serving=serving is not None,
        replicas=wanted,
        before=before,
        slots=len(target.slots),
        routes=target.routes,
        reversible=target.reversible,
        unsettled=seating.unsettled,
        busy=seating.busy,
        stays=stays,
        left=seating.left is not None,
    )


def _replicas(settings: Mapping[str, JsonValue], where: str) -> int:
    wanted = settings.get("replicas", 1)
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= 100:
        raise Refused(f"{where}: replicas is {wanted!r}; write a whole number from 1 to 100")
    return wanted


def _bind(
    target: Target,
    component: Component,
    seating: Seating,
    settings: dict[str, JsonValue],
    environment: Environment,
) -> Binding:
    return Binding(
        target=target.name,
        component=component.name,
        executor=target.executor,
        candidate=component,
        candidate_slot=seating.candidate,
        stable=seating.serving.content if seating.serving else None,
        stable_slot=seating.stable or seating.left,
        settings={**settings, "slots": list(target.slots)},
        variables=dict(environment.variables),
    )
