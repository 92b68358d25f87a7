"""Policy: strategies, triggers and gates of one scope."""

import pytest

from release_management.domain.policy import (
    POLICY,
    ChoosePipeline,
    ConfigureGates,
    ConfigureStrategy,
    ConfigureTriggers,
    Gate,
    Policy,
    PolicyCommand,
    PolicyEvent,
    PolicyGatesConfigured,
    PolicyPipelineChosen,
    PolicyStrategyConfigured,
    TriggerCondition,
    decide,
)
from tests.domain.specification import Given, Specification

CANARY = ConfigureStrategy(strategy="canary", options={"initial_traffic": 20, "interval": "5m"})
TRIGGERS = ConfigureTriggers(conditions=(TriggerCondition(metric="error_rate", threshold=0.02, duration_seconds=60),))
GATES = ConfigureGates(gates={"scan": Gate(), "licences": Gate(required=False, pass_threshold=0.5)})


POLICIES = Specification(POLICY, decide, None)


def after(*commands: PolicyCommand) -> Given[PolicyCommand, Policy, None, PolicyEvent]:
    policy = POLICIES.given()
    for command in commands:
        policy = policy.when(command).after
    return policy


def test_a_configured_strategy_is_the_default_from_then_on() -> None:
    POLICIES.given().when(CANARY).then(PolicyStrategyConfigured(strategy="canary", options=CANARY.options))

    state = after(CANARY, ConfigureStrategy(strategy="recreate")).state

    assert state.default == "recreate"
    assert state.strategies == {"canary": CANARY.options, "recreate": {}}


def test_a_strategy_whose_options_are_wrong_is_refused() -> None:
    POLICIES.given().when(ConfigureStrategy(strategy="canary", options={"speed": "high"})).then_refused(
        "strategy canary has no option 'speed'; it has abort_scale_down_delay,"
    )


def test_gates_that_are_not_named_stay() -> None:
    after(GATES).when(ConfigureGates(gates={"scan": Gate(required=False)})).then(
        PolicyGatesConfigured(
            gates={"scan": Gate(required=False), "licences": Gate(required=False, pass_threshold=0.5)}
        )
    )


def test_a_pipeline_is_chosen_once() -> None:
    POLICIES.given().when(ChoosePipeline("main")).then(PolicyPipelineChosen(pipeline="main"))
    after(ChoosePipeline("main")).when(ChoosePipeline("main")).then_nothing()


@pytest.mark.parametrize("command", [CANARY, TRIGGERS, GATES])
def test_a_repeated_configuration_records_nothing(command: PolicyCommand) -> None:
    after(command).when(command).then_nothing()


def test_a_strategy_that_was_the_default_before_becomes_it_again() -> None:
    after(CANARY, ConfigureStrategy(strategy="recreate")).when(CANARY).then(
        PolicyStrategyConfigured(strategy="canary", options=CANARY.options)
    )
