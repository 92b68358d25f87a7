"""Environments, pipelines and policies."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain import environment as environments
from release_management.domain import estate as estates
from release_management.domain import pipeline as pipelines
from release_management.domain import policy as policies
from release_management.domain.environment import ENVIRONMENT, ApprovalRule, ConfigureEnvironment, Environment, Target
from release_management.domain.errors import ErrorCode
from release_management.domain.estate import ESTATE
from release_management.domain.pipeline import PIPELINE, ConfigurePipeline
from release_management.domain.policy import (
    POLICY,
    ConfigureGates,
    ConfigureRollbackWindow,
    ConfigureStrategy,
    ConfigureTriggers,
    ConfigureVersions,
    PolicyCommand,
)
from release_management.domain.words import Command, Refused
from release_management.services.claims import collision
from release_management.services.decisions.deployments import review_approvals
from release_management.services.desk import Desk


def configure_environment(command: ConfigureEnvironment, desk: Desk) -> None:
    """Configure, and list it; an environment without an order goes to the end."""
    state = desk.state(ENVIRONMENT, command.name)
    if command.order is None and not state.name:
        command = command.model_copy(update={"order": desk.estate().next_order})
    rule = None
    if (wish := command.approval) is not None:
        approvers = tuple(desk.identify(name) for name in wish.approvers)
        rule = ApprovalRule(required=wish.required, approvers=approvers, allow_self=wish.allow_self)
    for target in command.targets:
        _check(command.name, target, desk)
    _check_claims(command, state, desk)
    before = state.approval
    desk.write(ENVIRONMENT.stream(command.name), environments.decide(command, state, rule))
    if desk.environment(command.name).approval != before:
        review_approvals(desk, command.name)
    order = desk.environment(command.name).order
    desk.write(ESTATE.stream(), estates.enlist(command.name, order, desk.estate()))
    desk.result["environment"] = command.name


def _check(environment: str, target: Target, desk: Desk) -> None:
    where = f"environment {environment}, target {target.name}"
    if target.executor not in desk.executors:
        known = ", ".join(sorted(desk.executors))
        raise Refused(f"{where}: there is no executor {target.executor!r}; there is {known}", code=ErrorCode.NOT_FOUND)
    for application, name, settings in target.declared():
        of = "" if application is None else f" of {application}"
        try:
            desk.executors[target.executor]({**settings, "slots": list(target.slots)}, target.routes != "none")
        except ValueError as error:
            raise Refused(f"{where}, component {name}{of}: {error}", code=ErrorCode.INVALID) from None


def _check_claims(command: ConfigureEnvironment, state: Environment, desk: Desk) -> None:
    """Refuse a target, unless it is there already, that wants what a component somewhere else has."""
    stated = [(command.name, target) for target in command.targets if state.targets.get(target.name) != target]
    if not stated:
        return
    names = {target.name for _, target in stated}
    others = [(command.name, target) for name, target in state.targets.items() if name not in names]
    for name in desk.estate().environments:
        if name != command.name:
            others += [(name, target) for target in desk.environment(name).targets.values()]
    if found := collision(stated, others, desk.executors):
        claim, reason = found
        of = "" if claim.application is None else f" of {claim.application}"
        where = f"environment {command.name}, target {claim.target}, component {claim.component}{of}"
        raise Refused(f"{where}: {reason}", code=ErrorCode.CONFLICT)


def configure_pipeline(command: ConfigurePipeline, desk: Desk) -> None:
    """Configure, and make it the application's own."""
    state = desk.pipeline(command.name)
    desk.write(PIPELINE.stream(command.name), pipelines.decide(command, state, desk.estate().environments))
    [policy] = desk.policies(command.application)
    desk.write(POLICY.stream(command.application), policies.choose_pipeline(command.name, policy))
    desk.result["pipeline"] = command.name


def configure_policy(command: PolicyCommand, desk: Desk) -> None:
    """Configure one scope."""
    if command.environment is not None:
        desk.environment(command.environment)
    key = command.application, command.environment
    desk.write(POLICY.stream(*key), policies.decide(command, desk.state(POLICY, *key)))
    desk.result["policy"] = POLICY.key(*key)


HANDLERS: Mapping[type[Command], Callable[[Any, Desk], None]] = {
    ConfigureEnvironment: configure_environment,
    ConfigurePipeline: configure_pipeline,
    ConfigureVersions: configure_policy,
    ConfigureStrategy: configure_policy,
    ConfigureTriggers: configure_policy,
    ConfigureGates: configure_policy,
    ConfigureRollbackWindow: configure_policy,
}
