"""Compile plans from the present states."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from release_management.domain.deployment.before_start import (
    KeepPlan,
    PlanRequest,
    Replan,
    Supersede,
    plan_seconds,
)
from release_management.domain.deployment.events import Return
from release_management.domain.deployment.state import (
    WAITING,
    Deployment,
    DeploymentPhase,
)
from release_management.domain.environment import Environment
from release_management.domain.environment_decisions import NoteApplications
from release_management.domain.place import Place
from release_management.domain.plan.planning import (
    Desired,
    Draft,
    choose,
    draft,
)
from release_management.domain.plan.strategies import StrategyName, parse_options
from release_management.domain.release import Release
from release_management.domain.release_decisions import NoteDeployment
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Refused
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases import holding
from release_management.services.use_cases.consequences import (
    decide_deployment,
    decide_environment,
    decide_release,
)


def plan(uow: UnitOfWork, plan_request: PlanRequest) -> Deployment:
    """Return the planned deployment: the existing one if nothing has changed, else a new one that supersedes it."""
    release = uow.release(plan_request.release)
    known = (
        uow.deployment(release.planned[plan_request.environment])
        if plan_request.environment in release.planned
        else None
    )
    same = known is not None and (known.reverts, known.returns) == (plan_request.reverts, plan_request.returns)
    under_way = known is not None and same and not known.ended and known.phase is not DeploymentPhase.PLANNED
    if known is not None and under_way and not _comes_next(uow, known, plan_request):
        if plan_request.redeploys and not known.redeploys:
            raise Refused(
                f"deployment {known.id} of {known.release} to {known.environment} is {known.phase}; "
                "let it end, or abort it, before you redeploy",
                code=ErrorCode.CONFLICT,
            )
        _check_same(uow, known, plan_request)
        return known
    compiled = compile_now(
        uow,
        release,
        plan_request.environment,
        plan_request.strategy,
        plan_request.options or {},
        plan_request.returns,
        redeploys=plan_request.redeploys,
    )
    if known is not None and _still_so(uow, known, compiled, plan_request):
        return known
    planned = keep(uow, plan_request, compiled)
    if known is not None and known.phase in WAITING and (same or known.phase is DeploymentPhase.PLANNED):
        decide_deployment(uow, known.id, Supersede(planned.id))
    return planned


def _comes_next(uow: UnitOfWork, known: Deployment, plan_request: PlanRequest) -> bool:
    """Return True if a deployment follows one that only keeps the old version: again, or with other configuration."""
    if known.phase is not DeploymentPhase.BAKING:
        return False
    if plan_request.redeploys:
        return not known.redeploys
    release, options = uow.release(plan_request.release), plan_request.options or {}
    compiled = compile_now(uow, release, plan_request.environment, plan_request.strategy, options, plan_request.returns)
    return any(change.candidate is not None for change in compiled.plan.changes or ())


def keep(uow: UnitOfWork, plan_request: PlanRequest, compiled: Draft) -> Deployment:
    """Record a compiled plan as a new deployment."""
    release = uow.release(plan_request.release)
    id = uow.new_id()
    decide_deployment(uow, id, KeepPlan(id, plan_request, compiled))
    decide_environment(uow, plan_request.environment, NoteApplications([release.application]))
    decide_release(uow, release.ref, NoteDeployment(plan_request.environment, id, plan_request.reverts))
    return uow.deployment(id)


def _check_same(uow: UnitOfWork, known: Deployment, plan_request: PlanRequest) -> None:
    """Refuse another strategy, or other options, than those of the release's deployment under way."""
    if plan_request.strategy is None and not plan_request.options:
        return
    policies = uow.policies(known.application, known.environment)
    release = uow.release(known.release)
    strategy_before, options_before = choose(release, policies, known.strategy, known.options)
    strategy, options = choose(release, policies, plan_request.strategy or known.strategy, plan_request.options or {})
    if strategy == strategy_before and (
        not plan_request.options or parse_options(strategy, options) == parse_options(strategy_before, options_before)
    ):
        return
    differs = (
        strategy if strategy != strategy_before else f"other options ({', '.join(sorted(plan_request.options or {}))})"
    )
    raise Refused(
        f"deployment {known.id} of {known.release} to {known.environment} is {known.phase} with {known.strategy}; "
        f"abort it before deploying with {differs}: relman deployment abort {known.id}",
        code=ErrorCode.CONFLICT,
    )


def _still_so(uow: UnitOfWork, known: Deployment, compiled: Draft, plan_request: PlanRequest) -> bool:
    """Return True if the requested plan exists unchanged, or has succeeded and everything it brought still runs."""
    if plan_request.retries is not None or (plan_request.reverts, plan_request.returns) != (
        known.reverts,
        known.returns,
    ):
        return False
    if plan_request.redeploys != known.redeploys and (plan_request.redeploys or known.phase is DeploymentPhase.PLANNED):
        return False
    if known.phase is DeploymentPhase.PLANNED:
        policies = uow.policies(known.application, known.environment)
        as_known = choose(uow.release(known.release), policies, known.strategy, known.options)
        return known.digest == compiled.plan.digest and plan_seconds(*as_known) == plan_seconds(
            compiled.strategy, compiled.options
        )
    return known.phase is DeploymentPhase.SUCCEEDED and not plan_request.redeploys and not compiled.plan.forward


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
    """Compile a plan against the present states of the places; `returns` are the targets of a rollback.

    A rollback leaves out targets that no longer exist.
    """
    target_environment = uow.environment(environment)
    if returns is None:
        target_environment = target_environment.staying
    chosen, merged = choose(release, uow.policies(release.application, environment), strategy, options)
    possible = [each for each in returns or () if each.target in target_environment.targets]
    desired = None if returns is None else [_desired(uow, each) for each in possible]
    present = places(uow, target_environment, release.application)
    drafted = draft(release, target_environment, present, chosen, merged, desired, redeploys=redeploys)
    holding.check(uow, environment, release.application, drafted.bindings)
    return drafted


def _desired(uow: UnitOfWork, returning: Return) -> Desired:
    """Return the desired state that the restored deployment brought there, with its configuration; or nothing."""
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
    decide_deployment(uow, id, Replan(compile_again(uow, uow.deployment(id)), reason))
    return id
