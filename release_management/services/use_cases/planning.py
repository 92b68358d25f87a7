"""Plans, compiled from what stands now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from release_management.domain.deployment.decide import later
from release_management.domain.deployment.events import (
    DeploymentPlanned,
    DeploymentReplanned,
    DeploymentSuperseded,
    Return,
)
from release_management.domain.deployment.state import (
    WAITING,
    Deployment,
    DeploymentPhase,
)
from release_management.domain.environment import (
    ENVIRONMENT,
    ApplicationEntered,
    Environment,
)
from release_management.domain.place import Place
from release_management.domain.plan import Plan
from release_management.domain.plan.planning import (
    Desired,
    Draft,
    choose,
    draft,
)
from release_management.domain.plan.strategies import StrategyName, parse_options
from release_management.domain.release import (
    RELEASE,
    Release,
    ReleaseDeploymentPlanned,
)
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Refused
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases import holding
from release_management.services.use_cases.consequences import record


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be planned."""

    release: str
    environment: str
    strategy: StrategyName | None = None
    options: Mapping[str, JsonValue] | None = None
    reverts: str | None = None
    retries: str | None = None
    returns: tuple[Return, ...] | None = None
    redeploys: bool = False


def plan(uow: UnitOfWork, wanted: Wanted) -> Deployment:
    """The planned deployment: the one that is there if nothing has changed, else a new one that supersedes it."""
    release = uow.release(wanted.release)
    known = uow.deployment(release.planned[wanted.environment]) if wanted.environment in release.planned else None
    same = known is not None and (known.reverts, known.returns) == (wanted.reverts, wanted.returns)
    walks = known is not None and same and not known.ended and known.phase is not DeploymentPhase.PLANNED
    if known is not None and walks and not _comes_next(uow, known, wanted):
        if wanted.redeploys and not known.redeploys:
            raise Refused(
                f"deployment {known.id} of {known.release} to {known.environment} is {known.phase}; "
                "let it end, or abort it, before you redeploy",
                code=ErrorCode.CONFLICT,
            )
        _check_same(uow, known, wanted)
        return known
    compiled = compile_now(
        uow,
        release,
        wanted.environment,
        wanted.strategy,
        wanted.options or {},
        wanted.returns,
        redeploys=wanted.redeploys,
    )
    if known is not None and _still_so(uow, known, compiled, wanted):
        return known
    planned = keep(uow, wanted, compiled)
    if known is not None and known.phase in WAITING and (same or known.phase is DeploymentPhase.PLANNED):
        record(uow, known.id, [DeploymentSuperseded(successor=planned.id)])
    return planned


def _comes_next(uow: UnitOfWork, known: Deployment, wanted: Wanted) -> bool:
    """Whether something is to be brought after what only keeps the old version: again, or with other configuration."""
    if known.phase is not DeploymentPhase.BAKING:
        return False
    if wanted.redeploys:
        return not known.redeploys
    release, options = uow.release(wanted.release), wanted.options or {}
    compiled = compile_now(uow, release, wanted.environment, wanted.strategy, options, wanted.returns)
    return any(change.candidate is not None for change in compiled.plan.changes or ())


def keep(uow: UnitOfWork, wanted: Wanted, compiled: Draft) -> Deployment:
    """Record a compiled plan as a new deployment."""
    release = uow.release(wanted.release)
    id = uow.new_id()
    planned = DeploymentPlanned(
        deployment=id,
        release=release.ref,
        application=release.application,
        version=release.version,
        environment=wanted.environment,
        targets=compiled.targets,
        strategy=compiled.strategy,
        chosen=wanted.strategy is not None,
        options=dict(wanted.options or {}),
        plan=compiled.plan,
        digest=compiled.plan.digest,
        by=uow.actor,
        reverts=wanted.reverts,
        retries=wanted.retries,
        returns=wanted.returns,
        redeploys=wanted.redeploys or None,
        deadline=later(uow.now, _patience(compiled.strategy, compiled.options)),
    )
    record(uow, id, [planned])
    if release.application not in uow.environment(wanted.environment).applications:
        uow.write(ENVIRONMENT.stream(wanted.environment), [ApplicationEntered(application=release.application)])
    event = ReleaseDeploymentPlanned(environment=wanted.environment, deployment=id, reverts=wanted.reverts)
    uow.write(RELEASE.stream(release.ref), [event])
    return uow.deployment(id)


def _check_same(uow: UnitOfWork, known: Deployment, wanted: Wanted) -> None:
    """Refuse another strategy, or other options, than those with which the release is on its way."""
    if wanted.strategy is None and not wanted.options:
        return
    policies = uow.policies(known.application, known.environment)
    release = uow.release(known.release)
    going, has = choose(release, policies, known.strategy, known.options)
    strategy, options = choose(release, policies, wanted.strategy or known.strategy, wanted.options or {})
    if strategy == going and (not wanted.options or parse_options(strategy, options) == parse_options(going, has)):
        return
    differs = strategy if strategy != going else f"other options ({', '.join(sorted(wanted.options or {}))})"
    raise Refused(
        f"deployment {known.id} of {known.release} to {known.environment} is {known.phase} with {known.strategy}; "
        f"abort it before deploying with {differs}: relman deployment abort {known.id}",
        code=ErrorCode.CONFLICT,
    )


def _patience(strategy: StrategyName, options: dict[str, JsonValue]) -> float:
    """How long a plan with these options may wait to be deployed, in seconds."""
    return parse_options(strategy, options).plan_deadline


def _still_so(uow: UnitOfWork, known: Deployment, compiled: Draft, wanted: Wanted) -> bool:
    """The plan that is asked for is there, unchanged; or it succeeded and everything it brought still runs."""
    if wanted.retries is not None or (wanted.reverts, wanted.returns) != (known.reverts, known.returns):
        return False
    if wanted.redeploys != known.redeploys and (wanted.redeploys or known.phase is DeploymentPhase.PLANNED):
        return False
    if known.phase is DeploymentPhase.PLANNED:
        policies = uow.policies(known.application, known.environment)
        as_known = choose(uow.release(known.release), policies, known.strategy, known.options)
        return known.digest == compiled.plan.digest and _patience(*as_known) == _patience(
            compiled.strategy, compiled.options
        )
    return known.phase is DeploymentPhase.SUCCEEDED and not wanted.redeploys and not compiled.plan.forward


def compile_now(
    uow: UnitOfWork,
    release: Release,
    environment: str,
    strategy: StrategyName | None,
    options: Mapping[str, JsonValue],
    returns: Sequence[Return] | None = None,
    *,
    redeploys: bool = False,
) -> Draft:
    """Compile against what stands at the places now; `returns` says what a rollback goes back to.

    What it would go back to on a target that is there no more is left out.
    """
    where = uow.environment(environment)
    if returns is None:
        where = where.staying
    chosen, merged = choose(release, uow.policies(release.application, environment), strategy, options)
    there = [each for each in returns or () if each.target in where.targets]
    desired = None if returns is None else [_desired(uow, each) for each in there]
    standing = places(uow, where, release.application)
    drafted = draft(release, where, standing, chosen, merged, desired, redeploys=redeploys)
    holding.check(uow, environment, release.application, drafted.bindings)
    return drafted


def _desired(uow: UnitOfWork, returning: Return) -> Desired:
    """What the deployment that is returned to brought there, with its configuration; or nothing."""
    binding = (
        None if returning.to is None else uow.deployment(returning.to).binding(returning.target, returning.component)
    )
    if binding is None:
        return Desired(returning.target, returning.component)
    return Desired(returning.target, returning.component, binding.candidate, binding.configuration, binding.replicas)


def places(uow: UnitOfWork, environment: Environment, application: str) -> dict[str, Place]:
    """The application's place on every target of the environment."""
    return {name: uow.place(environment.name, application, name) for name in environment.targets}


def compile_again(uow: UnitOfWork, deployment: Deployment) -> Draft:
    """Compile a deployment's plan as it would be now."""
    strategy = deployment.strategy if deployment.chosen else None
    release = uow.release(deployment.release)
    return compile_now(
        uow,
        release,
        deployment.environment,
        strategy,
        deployment.options,
        deployment.returns,
        redeploys=deployment.redeploys,
    )


def replan(uow: UnitOfWork, id: str, reason: str) -> str:
    """Compile a deployment's plan again and keep it if it has changed. Returns the deployment's id."""
    state = uow.deployment(id)
    compiled = compile_again(uow, state)
    if compiled.plan.digest != state.digest:
        record(uow, id, [replanned(state, compiled, reason)])
    return id


def why_replanned(before: Plan | None, after: Plan) -> str:
    """Why a plan that is compiled again is another one, as far as the plans tell."""
    was = {(change.target, change.component): change for change in (before.changes if before else None) or ()}
    reasons = []
    for change in after.changes or ():
        known = was.get((change.target, change.component))
        if known is None or None in (known.configuration, change.configuration):
            continue
        if known.configuration != change.configuration:
            names = sorted({difference.name for difference in {*known.differs} ^ {*change.differs}})
            named = f" ({', '.join(names)})" if names else ""
            reasons.append(f"the configuration of {change.component} on {change.target} has changed{named}")
    return "; ".join(reasons)[:400] or "what stands at its places, or a policy, has changed"


def replanned(state: Deployment, compiled: Draft, reason: str) -> DeploymentReplanned:
    """The fact that a plan has changed."""
    return DeploymentReplanned(
        strategy=compiled.strategy,
        options=dict(state.options),
        targets=compiled.targets,
        plan=compiled.plan,
        digest=compiled.plan.digest,
        reason=reason,
    )
