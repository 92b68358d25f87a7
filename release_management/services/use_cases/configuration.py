"""Environments, pipelines and policies."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain import environment_decisions as environments
from release_management.domain import environment_index as estates
from release_management.domain import pipeline as pipelines
from release_management.domain import policy as policies
from release_management.domain.environment import (
    ENVIRONMENT,
    ConfigureEnvironment,
    Environment,
    Target,
)
from release_management.domain.environment_decisions import EnvironmentFacts
from release_management.domain.environment_index import ESTATE, ListEnvironment
from release_management.domain.pipeline import (
    PIPELINE,
    ConfigurePipeline,
    PipelineFacts,
)
from release_management.domain.policy import (
    POLICY,
    ChoosePipeline,
    ConfigureGates,
    ConfigureRollbackWindow,
    ConfigureStrategy,
    ConfigureTriggers,
    ConfigureVersions,
    ScopeCommand,
)
from release_management.kernel.errors import ErrorCode
from release_management.kernel.suggestions import no_such_executor
from release_management.kernel.types import Command, Refused
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases.deployments import review_approvals
from release_management.services.use_cases.exclusive_resources import collision


def configure_environment(command: ConfigureEnvironment, uow: UnitOfWork) -> None:
    """Configure an environment, and list it; without a stated order it is listed last."""
    state = uow.state(ENVIRONMENT, command.name)
    approvers = command.approval.approvers if command.approval is not None else ()
    people = {name: uow.identify(name) for name in approvers}
    facts = EnvironmentFacts(uow.actor, uow.estate().next_order, people)
    for target in command.targets:
        _check(command.name, target, uow)
    _check_claims(command, state, uow)
    before = state.approval
    uow.write(ENVIRONMENT.stream(command.name), environments.decide(command, state, facts))
    if uow.environment(command.name).approval != before:
        review_approvals(uow, command.name)
    order = uow.environment(command.name).order
    uow.write(ESTATE.stream(), estates.decide(ListEnvironment(command.name, order), uow.estate()))
    uow.result["environment"] = command.name


def _check(environment: str, target: Target, uow: UnitOfWork) -> None:
    place = f"environment {environment}, target {target.name}"
    if target.executor not in uow.executors:
        reason = no_such_executor(target.executor, uow.executors)
        raise Refused(f"{place}: {reason}", code=ErrorCode.NOT_FOUND)
    for application, name, settings in target.declared():
        of = "" if application is None else f" of {application}"
        try:
            uow.executors[target.executor]({**settings, "slots": list(target.slots)}, target.routes != "none")
        except ValueError as error:
            raise Refused(f"{place}, component {name}{of}: {error}", code=ErrorCode.INVALID) from None


def _check_claims(command: ConfigureEnvironment, state: Environment, uow: UnitOfWork) -> None:
    """Refuse a new target that claims a resource which a component elsewhere has."""
    stated = [(command.name, target) for target in command.targets if state.targets.get(target.name) != target]
    if not stated:
        return
    names = {target.name for _, target in stated}
    others = [(command.name, target) for name, target in state.targets.items() if name not in names]
    for name in uow.estate().environments:
        if name != command.name:
            others += [(name, target) for target in uow.environment(name).targets.values()]
    if found := collision(stated, others, uow.executors):
        claim, reason = found
        of = "" if claim.application is None else f" of {claim.application}"
        place = f"environment {command.name}, target {claim.target}, component {claim.component}{of}"
        raise Refused(f"{place}: {reason}", code=ErrorCode.CONFLICT)


def configure_pipeline(command: ConfigurePipeline, uow: UnitOfWork) -> None:
    """Configure a pipeline, and make it the application's own."""
    state = uow.pipeline(command.name)
    uow.write(PIPELINE.stream(command.name), pipelines.decide(command, state, PipelineFacts(uow.estate().environments)))
    [policy] = uow.policies(command.application)
    uow.write(POLICY.stream(command.application), policies.decide(ChoosePipeline(command.name), policy))
    uow.result["pipeline"] = command.name


def configure_policy(command: ScopeCommand, uow: UnitOfWork) -> None:
    """Configure one scope of a policy."""
    if command.environment is not None:
        uow.environment(command.environment)
    key = command.application, command.environment
    uow.write(POLICY.stream(*key), policies.decide(command, uow.state(POLICY, *key)))
    uow.result["policy"] = POLICY.key(*key)


HANDLERS: Mapping[type[Command], Callable[[Any, UnitOfWork], None]] = {
    ConfigureEnvironment: configure_environment,
    ConfigurePipeline: configure_pipeline,
    ConfigureVersions: configure_policy,
    ConfigureStrategy: configure_policy,
    ConfigureTriggers: configure_policy,
    ConfigureGates: configure_policy,
    ConfigureRollbackWindow: configure_policy,
}
