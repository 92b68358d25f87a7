"""From a release and what stands at the places to a plan, and to the roles bound to slots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from release_management.domain.component import Component
from release_management.domain.configuration import (
    Configuration,
    changed,
    resolve,
)
from release_management.domain.configuration_difference import Difference, differences
from release_management.domain.environment import Environment, Target
from release_management.domain.place import Place
from release_management.domain.place_component import ComponentStatus, Occupant
from release_management.domain.plan import (
    Binding,
    Plan,
    PlannedChange,
)
from release_management.domain.plan.builder import RolloutTarget
from release_management.domain.plan.compiler import compile_plan
from release_management.domain.plan.slots import (
    SlotAssignment,
    assign_slots,
    unsettled_note,
)
from release_management.domain.plan.strategies import (
    STRATEGIES,
    StrategyName,
    parse_options,
)
from release_management.domain.plan.strategies.canary import Canary
from release_management.domain.plan.strategies.rolling import Rolling
from release_management.domain.policy import Policy
from release_management.domain.release import Release
from release_management.domain.undeclared import (
    as_if_declared,
    assumption,
    without_target,
)
from release_management.domain.variables import fault_of_variables
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Refused

DEFAULT_STRATEGY: StrategyName = Rolling.NAME


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
    """Return the strategy and its options: the caller's override the release's own, which override the nearer policy's.

    `policies` begin with the widest scope.
    """
    defaults = [policy.default for policy in policies if policy.default is not None]
    own: StrategyName | None = Canary.NAME if release.initial_traffic is not None else None
    chosen = strategy or own or (defaults[-1] if defaults else DEFAULT_STRATEGY)
    merge = STRATEGIES[chosen].merge
    merged: dict[str, JsonValue] = {}
    for policy in policies:
        merged = merge(merged, policy.strategies.get(chosen, {}))
    if chosen == Canary.NAME and release.initial_traffic is not None:
        merged = merge(merged, {"initial_traffic": release.initial_traffic})
    return chosen, merge(merged, options)


@dataclass(frozen=True, slots=True)
class Desired:
    """The desired state of one component at one place: so many replicas of `content`; None: nothing.

    `configuration` None: the declared one; `replicas` None: the declared number.
    """

    target: str
    component: str
    content: Component | None = None
    configuration: Configuration | None = None
    replicas: int | None = None


def desired_by(release: Release, environment: Environment, places: Mapping[str, Place]) -> list[Desired]:
    """Return the desired state of an environment's targets for a release.

    Components that a complete release does not name are given up, and so are named components that their target no
    longer declares.
    """
    named = {component.name for component in release.components}
    desired: list[Desired] = []
    for target in environment.targets.values():
        running = [name for name, status in places.get(target.name, Place()).components.items() if status.at_work]
        for component in release.components:
            if target.settings_of(release.application, component.name) is not None:
                desired.append(Desired(target.name, component.name, component))
            elif component.name in running:
                desired.append(Desired(target.name, component.name))
        if release.complete:
            desired += [Desired(target.name, name) for name in running if name not in named]
    return desired


def draft(
    release: Release,
    environment: Environment,
    places: Mapping[str, Place],
    strategy: StrategyName,
    options: dict[str, JsonValue],
    returns: Sequence[Desired] | None = None,
    *,
    redeploys: bool = False,
) -> Draft:
    """Compile the plan. `places` maps every target of the environment to the application's place there.

    Components that no target can run yet are planned as if one could, and a note says so.

    `returns` is the desired state of a rollback; without it the release determines the desired state. With `redeploys`,
    components that run already are deployed again.
    """
    parsed = parse_options(strategy, options)
    rollouts: list[RolloutTarget] = []
    bindings: list[Binding] = []
    changes: list[PlannedChange] = []
    notes: list[str] = []
    if returns is None and (missing := without_target(release, environment)):
        notes.append(assumption(environment, missing)[:500])
        environment = as_if_declared(environment, missing)
    for desired in desired_by(release, environment, places) if returns is None else returns:
        target = environment.targets[desired.target]
        place = places.get(target.name, Place())
        where = f"{desired.component} on {target.name}"
        status = place.components.get(desired.component, ComponentStatus())
        assignment = assign_slots(status, target.slots, held=place.lock is not None, reversible=target.reversible)
        if desired.content is None and not status.at_work and not assignment.unsettled:
            notes.append(f"{where} does not run, as before")
            continue
        occupant = _occupant(desired, release.application, environment, target, assignment, parsed.replicas)
        if (
            occupant is not None
            and not assignment.unsettled
            and assignment.serving
            and assignment.serving.same(occupant)
        ):
            again = "the same, and is brought again" if redeploys else "unchanged"
            notes.append(f"{desired.component} {occupant.content.version} on {target.name} is {again}"[:500])
            if not redeploys:
                continue
        rollout = _rollout_target(target, desired.component, assignment, occupant)
        if assignment.unsettled:
            note = unsettled_note(
                status, assignment, stays=rollout.stays, recreate=parsed.STOPS_FIRST, reversible=target.reversible
            )
            notes.append(f"{where}: {note}"[:500])
        rollouts.append(rollout)
        bindings.append(_bind(target, desired.component, assignment, occupant))
        changes.append(_change(desired, assignment, occupant))
    plan = compile_plan(parsed, release.version, rollouts, tuple(notes), changes)
    targets = tuple(dict.fromkeys(binding.target for binding in bindings))
    return Draft(strategy, options, targets, plan, tuple(bindings))


def why_replanned(before: Plan | None, after: Plan) -> str:
    """Return why a plan that is compiled again differs, as far as the plans tell."""
    changes_before = {
        (change.target, change.component): change for change in (before.changes if before else None) or ()
    }
    reasons = []
    for change in after.changes or ():
        known = changes_before.get((change.target, change.component))
        if known is None or None in (known.configuration, change.configuration):
            continue
        if known.configuration != change.configuration:
            names = sorted({difference.name for difference in {*known.differs} ^ {*change.differs}})
            named = f" ({', '.join(names)})" if names else ""
            reasons.append(f"the configuration of {change.component} on {change.target} has changed{named}")
    return "; ".join(reasons)[:400] or "what stands at its places, or a policy, has changed"


def _occupant(
    desired: Desired,
    application: str,
    environment: Environment,
    target: Target,
    assignment: SlotAssignment,
    replicas: int | None,
) -> Occupant | None:
    """Return the desired version with its configuration; None if the component is given up."""
    if desired.content is None:
        return None
    declared = target.settings_of(application, desired.component) or {}
    configuration = desired.configuration
    if configuration is None:
        configuration = resolve(environment, target, application, desired.component)
        fault = None if configuration is None else fault_of_variables(configuration.variables)
        if fault is not None:
            raise Refused(
                f"the variables of environment {environment.name} cannot be used: {fault}", code=ErrorCode.CONFLICT
            )
    if configuration is None and assignment.serving is not None:
        configuration = assignment.serving.configuration
    where = f"{desired.component} on target {target.name}"
    count = replicas or desired.replicas or _replicas(declared, where)
    return Occupant(desired.content, count, configuration or Configuration())


def _change(desired: Desired, assignment: SlotAssignment, occupant: Occupant | None) -> PlannedChange:
    serving = assignment.serving
    stable = None if serving is None else serving.content.version
    if occupant is None:
        return PlannedChange(target=desired.target, component=desired.component, stable=stable)
    configuration = occupant.configuration
    return PlannedChange(
        target=desired.target,
        component=desired.component,
        stable=stable,
        candidate=occupant.content.version,
        artifact=occupant.content.artifact_digest,
        configuration=None if configuration is None else configuration.digest,
        differs=_differs(serving, occupant),
    )


def _differs(serving: Occupant | None, occupant: Occupant) -> tuple[Difference, ...]:
    """The settings, variables and release configuration that differ from the stable version's."""
    if serving is None:
        return ()
    return (
        *differences(dict(serving.content.config), dict(occupant.content.config)),
        *changed(serving.configuration, occupant.configuration),
        *differences({"replicas": serving.replicas}, {"replicas": occupant.replicas}),
    )


def _rollout_target(
    target: Target, component: str, assignment: SlotAssignment, occupant: Occupant | None
) -> RolloutTarget:
    serving = assignment.serving
    before = serving.replicas if serving is not None else None
    replicas = before or 0 if occupant is None else occupant.replicas
    stays = (
        assignment.unsettled
        and target.reversible
        and serving is not None
        and occupant is not None
        and replace(serving, replicas=replicas).same(occupant)
    )
    if before is not None and assignment.unsettled:
        before = replicas if stays else max(before, replicas)
    return RolloutTarget(
        target=target.name,
        component=component,
        serving=serving is not None,
        replicas=replicas,
        before=before,
        slots=len(target.slots),
        routes=target.routes,
        reversible=target.reversible,
        unsettled=assignment.unsettled,
        busy=assignment.busy,
        stays=stays,
        left=assignment.left is not None,
        leaves=occupant is None,
    )


def _replicas(settings: Mapping[str, JsonValue], where: str) -> int:
    count = settings.get("replicas", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 100:
        raise Refused(f"{where}: replicas is {count!r}; write a whole number from 1 to 100", code=ErrorCode.CONFLICT)
    return count


def _bind(target: Target, component: str, assignment: SlotAssignment, occupant: Occupant | None) -> Binding:
    serving = assignment.serving
    stable_configuration = None if serving is None else serving.configuration
    candidate_configuration = None if occupant is None else occupant.configuration
    return Binding(
        target=target.name,
        component=component,
        executor=target.executor,
        slots=target.slots,
        candidate=None if occupant is None else occupant.content,
        candidate_slot=assignment.candidate,
        replicas=0 if occupant is None else occupant.replicas,
        configuration=candidate_configuration or stable_configuration or Configuration(),
        stable=None if serving is None else serving.content,
        stable_slot=assignment.stable or assignment.left,
        stable_configuration=stable_configuration,
    )
