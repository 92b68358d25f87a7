"""Small, realistic values for the domain's tests: what is not said is the usual."""

import hashlib
from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from release_management.domain.component import Component
from release_management.domain.configuration import Configuration
from release_management.domain.deployment.commands import ReportStep
from release_management.domain.deployment.decide import (
    DeploymentCommand,
    DeploymentFacts,
    Start,
    decide,
)
from release_management.domain.deployment.events import (
    DeploymentEvent,
    DeploymentPlanned,
    DeploymentRequested,
)
from release_management.domain.deployment.state import DEPLOYMENT as AGGREGATE
from release_management.domain.deployment.state import Deployment
from release_management.domain.environment import Environment, Target
from release_management.domain.orders import Result
from release_management.domain.plan import (
    Binding,
    Leg,
    Plan,
)
from release_management.domain.plan.builder import RolloutTarget
from release_management.domain.plan.compiler import compile_plan
from release_management.domain.plan.strategies import StrategyName, parse_options
from release_management.domain.release import Release
from tests.domain.specification import Given, Specification

ANN = "usr_ann00001"
BEN = "usr_ben00001"
EVE = "usr_eve00001"
DEPLOYMENT = "0193a5c2-7d7e-7000-8000-000000000001"
OTHER = "0193a5c2-7d7e-7000-8000-000000000002"
THIRD = "0193a5c2-7d7e-7000-8000-000000000003"
NOW = "2026-11-23T09:30:00.000000Z"
LATER = "2026-11-23T09:31:00.000000Z"
DIGEST = hashlib.sha256(b"content").hexdigest()
OTHER_DIGEST = hashlib.sha256(b"other content").hexdigest()


def component(name: str = "api", version: str = "2.0.0", config: Mapping[str, str] | None = None) -> Component:
    settings = dict(config or {})
    return Component(
        name=name,
        version=version,
        artifact=f"registry.example/shop/{name}:{version}",
        artifact_digest=hashlib.sha256(f"{name}:{version}".encode()).hexdigest(),
        config=settings,
        config_digest=hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest(),
    )


def release(version: str = "2.0.0", components: Iterable[str] = ("api",)) -> Release:
    return Release(
        application="shop",
        version=version,
        author=ANN,
        content=DIGEST,
        components=tuple(component(name, version) for name in components),
        published=True,
    )


def environment(*targets: Target) -> Environment:
    return Environment(
        name="production",
        label="Production",
        tier="production",
        targets={target.name: target for target in targets or (target(),)},
    )


def target(name: str = "main", components: Iterable[str] = ("api",), replicas: int = 4) -> Target:
    return Target(name=name, components={one: {"replicas": replicas} for one in components})


def rollout(component: str = "api", target: str = "main", *, serving: bool = True, replicas: int = 4) -> RolloutTarget:
    return RolloutTarget(target=target, component=component, serving=serving, replicas=replicas)


def plan(
    strategy: StrategyName,
    options: dict[str, JsonValue] | None = None,
    *rollouts: RolloutTarget,
) -> Plan:
    return compile_plan(parse_options(strategy, options or {}), "2.0.0", rollouts or (rollout(),))


def binding(component_name: str = "api", target: str = "main", *, serving: bool = True) -> Binding:
    return Binding(
        target=target,
        component=component_name,
        executor="local",
        slots=("blue", "green"),
        candidate=component(component_name),
        candidate_slot="green",
        replicas=4,
        configuration=Configuration(settings={"port": 8080}),
        stable=component(component_name, "1.0.0") if serving else None,
        stable_slot="blue" if serving else None,
    )


def planned(compiled: Plan) -> list[DeploymentEvent]:
    """The deployment is planned and wanted."""
    return [
        DeploymentPlanned(
            deployment=DEPLOYMENT,
            release="shop@2.0.0",
            application="shop",
            version="2.0.0",
            environment="production",
            targets=("main",),
            strategy="canary",
            plan=compiled,
            digest=compiled.digest,
            by=ANN,
        ),
        DeploymentRequested(by=ANN),
    ]


DEPLOYMENTS = Specification(AGGREGATE, decide, DeploymentFacts(BEN, NOW))
DeploymentGiven = Given[DeploymentCommand, Deployment, DeploymentFacts, DeploymentEvent]


def given(facts: Iterable[DeploymentEvent], state: Deployment | None = None) -> Deployment:
    return on(state or Deployment()).then_given(*facts).state


def on(state: Deployment) -> DeploymentGiven:
    """A deployment in this state, to be decided on."""
    return DEPLOYMENTS.given_state(state)


def started(compiled: Plan, *bindings: Binding) -> Deployment:
    """The deployment has begun its first wave."""
    return DEPLOYMENTS.given(*planned(compiled)).when(Start(bindings or (binding(),))).after.state


def report_step(
    step: int,
    result: Result = "succeeded",
    *,
    leg: Leg = "forward",
    attempt: int = 1,
    at: str = NOW,
    deployment: str = DEPLOYMENT,
    reason: str | None = None,
) -> ReportStep:
    return ReportStep(
        deployment=deployment,
        leg=leg,
        step=step,
        attempt=attempt,
        fence=1,
        result=result,
        reason=reason,
        observedat=at,
    )
