"""Policy: strategies, triggers and gates for an application, or an application in one environment.

Stream `policy:<application>` or `policy:<application>/<environment>`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, assert_never

from pydantic import Field, JsonValue

from release_management.domain.plan.strategies import StrategyName, parse_options
from release_management.domain.versions import DEFAULT, Scheme
from release_management.kernel.aggregate import Aggregate
from release_management.kernel.names import ByName, GivenName
from release_management.kernel.types import (
    Command,
    Fact,
    Line,
    Name,
    Seconds,
    Value,
)

ROLLBACK_WINDOW = 7 * 86_400.0
"""Seconds of the rollback window if no policy states one."""


class TriggerCondition(Value):
    """Roll back when `metric` stays beyond `threshold` for `duration_seconds`."""

    metric: Line = Field(description="what is measured")
    threshold: Annotated[float, Field(allow_inf_nan=False)] = Field(description="the value that must not be passed")
    duration_seconds: Seconds = Field(description="for how long it must stay beyond the threshold")


class Gate(Value):
    """A compliance gate: whether it must pass, and what passes: a score, or words such as `no critical`."""

    required: bool = Field(True, description="whether it blocks until it is attested as passed")
    pass_threshold: Annotated[float, Field(allow_inf_nan=False)] | Line | None = Field(
        None, description="what passes: a score, or words such as `no critical`; recorded, nothing reads evidence yet"
    )
    label: Line | None = Field(
        None, description="the name for people; absent: as it was written, where that is not the id"
    )


# Events


class PolicyStrategyConfigured(Fact):
    """The strategy has these options in this scope, and is the default here, from now on."""

    NAME: ClassVar[str] = "policy.strategy_configured"
    strategy: StrategyName = Field(description="how: `recreate`, `rolling`, `blue-green` or `canary`")
    options: dict[str, JsonValue] = Field({}, description="the strategy's options")

    def _summary(self) -> str:
        return f"strategy {self.strategy} is the default"


class PolicyTriggersConfigured(Fact):
    """These conditions roll a deployment back, once analysis exists."""

    NAME: ClassVar[str] = "policy.triggers_configured"
    conditions: tuple[TriggerCondition, ...] = Field(description="when to roll back")

    def _summary(self) -> str:
        conditions = [
            f"{each.metric} beyond {each.threshold:g} for {each.duration_seconds:g} s" for each in self.conditions
        ]
        return f"triggers: {', '.join(conditions) or 'none'}"


class PolicyGatesConfigured(Fact):
    """These gates exist from now on. Thresholds of version 1 were numbers."""

    NAME: ClassVar[str] = "policy.gates_configured"
    VERSION: ClassVar[int] = 2
    gates: dict[Name, Gate] = Field(description="the gates by name")

    def _summary(self) -> str:
        return f"gates: {', '.join(sorted(self.gates)) or 'none'}"


class PolicyPipelineChosen(Fact):
    """Releases of the application follow this pipeline from now on."""

    NAME: ClassVar[str] = "policy.pipeline_chosen"
    pipeline: Name = Field(description="the pipeline's name")

    def _summary(self) -> str:
        return f"releases walk pipeline {self.pipeline}"


class PolicyVersionsConfigured(Fact):
    """The application uses this numbering scheme from now on."""

    NAME: ClassVar[str] = "policy.versions_configured"
    versions: Scheme = Field(description="how the application numbers its releases")

    def _summary(self) -> str:
        return f"numbers its releases: {self.versions}"


class PolicyRollbackWindowConfigured(Fact):
    """Rollbacks to a success within so many seconds require neither approval nor gates again."""

    NAME: ClassVar[str] = "policy.rollback_window_configured"
    seconds: Seconds = Field(
        description="how long after its success a version may be gone back to without approval and gates"
    )

    def _summary(self) -> str:
        return f"going back asks for no approval for {self.seconds:g} s after a success"


PolicyEvent = (
    PolicyVersionsConfigured
    | PolicyStrategyConfigured
    | PolicyTriggersConfigured
    | PolicyGatesConfigured
    | PolicyPipelineChosen
    | PolicyRollbackWindowConfigured
)


# Commands


class ConfigureStrategy(Command):
    """Set a strategy's options and make it the default, everywhere or in one environment."""

    NAME: ClassVar[str] = "policy.configure_strategy"
    application: GivenName = Field("default", description="the application")
    environment: GivenName | None = Field(None, description="only there; absent: everywhere")
    strategy: StrategyName = Field(description="how: `recreate`, `rolling`, `blue-green` or `canary`")
    options: dict[str, JsonValue] = Field({}, description="the strategy's options")


class ConfigureTriggers(Command):
    """State the conditions that roll a deployment back."""

    NAME: ClassVar[str] = "policy.configure_triggers"
    application: GivenName = Field("default", description="the application")
    environment: GivenName | None = Field(None, description="only there; absent: everywhere")
    conditions: Annotated[tuple[TriggerCondition, ...], Field(max_length=50)] = Field(description="when to roll back")


class ConfigureGates(Command):
    """State compliance gates; earlier gates that are not named stay."""

    NAME: ClassVar[str] = "policy.configure_gates"
    application: GivenName = Field("default", description="the application")
    environment: GivenName | None = Field(None, description="only there; absent: everywhere")
    gates: Annotated[ByName[Gate], Field(max_length=50)] = Field(description="the gates by name")


class ConfigureVersions(Command):
    """State an application's numbering scheme: `semver`, `calendar`, or `any`, which orders releases by creation.

    Existing releases stay as they are.
    """

    NAME: ClassVar[str] = "policy.configure_versions"
    application: GivenName = Field("default", description="the application")
    environment: None = Field(None, description="none: the versions are the application's everywhere")
    versions: Scheme = Field(
        description="`semver`: as `1.4.0`; `calendar`: a year and one to four numbers behind points or dashes, "
        "perhaps `-` and a modifier, as `2026.11`, `24.04.1`, `2026-11-30`, `2026.11.2-rc1`; `any`: any "
        "text, ordered by creation"
    )


class ConfigureRollbackWindow(Command):
    """State for how long after its success a version may be restored without approval and gates; 7 days by default.

    The version that ran directly before requires neither, however old it is.
    """

    NAME: ClassVar[str] = "policy.configure_rollback_window"
    application: GivenName = Field("default", description="the application")
    environment: GivenName | None = Field(None, description="the environment")
    window: Seconds = Field(
        description="how long after its success a version may be gone back to without approval and gates"
    )


@dataclass(frozen=True, slots=True)
class ChoosePipeline:
    """Make a pipeline the application's own; the decision on the pipeline gives this command."""

    pipeline: str


ScopeCommand = ConfigureVersions | ConfigureStrategy | ConfigureTriggers | ConfigureGates | ConfigureRollbackWindow
"""The commands that callers give, each for one scope."""
PolicyCommand = ScopeCommand | ChoosePipeline


# State


@dataclass(frozen=True, slots=True)
class Policy:
    """The state of one scope. `strategies` holds each configured strategy's options; the window is in seconds."""

    default: StrategyName | None = None
    strategies: Mapping[StrategyName, Mapping[str, JsonValue]] = field(default_factory=dict)
    triggers: tuple[TriggerCondition, ...] = ()
    gates: Mapping[str, Gate] = field(default_factory=dict)
    pipeline: str | None = None
    versions: Scheme = DEFAULT
    rollback_window: float | None = None


def evolve(state: Policy, event: PolicyEvent) -> Policy:
    """Apply one fact."""
    match event:
        case PolicyVersionsConfigured(versions=versions):
            return replace(state, versions=versions)
        case PolicyStrategyConfigured(strategy=strategy, options=options):
            return replace(state, default=strategy, strategies={**state.strategies, strategy: options})
        case PolicyTriggersConfigured(conditions=conditions):
            return replace(state, triggers=conditions)
        case PolicyGatesConfigured(gates=gates):
            return replace(state, gates=gates)
        case PolicyPipelineChosen(pipeline=pipeline):
            return replace(state, pipeline=pipeline)
        case PolicyRollbackWindowConfigured(seconds=seconds):
            return replace(state, rollback_window=seconds)
        case _:
            assert_never(event)


# Decisions


def decide(command: PolicyCommand, state: Policy, facts: None = None) -> list[PolicyEvent]:
    """Decide on one scope; nothing else is needed to decide it."""
    event: PolicyEvent
    match command:
        case ConfigureVersions(versions=versions):
            event = PolicyVersionsConfigured(versions=versions)
        case ConfigureStrategy(strategy=strategy, options=options):
            parse_options(strategy, options)
            event = PolicyStrategyConfigured(strategy=strategy, options=options)
        case ConfigureTriggers(conditions=conditions):
            event = PolicyTriggersConfigured(conditions=conditions)
        case ConfigureGates(gates=gates):
            named = {name: _with_its_label(gate, state.gates.get(name)) for name, gate in gates.items()}
            event = PolicyGatesConfigured(gates={**state.gates, **named})
        case ConfigureRollbackWindow(window=window):
            event = PolicyRollbackWindowConfigured(seconds=window)
        case ChoosePipeline(pipeline=pipeline):
            event = PolicyPipelineChosen(pipeline=pipeline)
        case _:
            assert_never(command)
    return [] if evolve(state, event) == state else [event]


def _with_its_label(gate: Gate, known: Gate | None) -> Gate:
    """Return the gate with its present label, unless another one is given."""
    if gate.label is not None or known is None or known.label is None:
        return gate
    return gate.model_copy(update={"label": known.label})


# Declaration


def scope(application: str, environment: str | None = None) -> str:
    """Return the scope of a policy: an application, or an application in an environment."""
    return application if environment is None else f"{application}/{environment}"


POLICY = Aggregate("policy", Policy(), PolicyEvent, evolve, scope)
