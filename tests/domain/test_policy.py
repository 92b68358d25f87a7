"""Policy: strategies, triggers and gates of one scope."""

import pytest

from release_management.domain.policy import (
    ConfigureGates,
    ConfigureStrategy,
    ConfigureTriggers,
    Gate,
    Policy,
    PolicyCommand,
    PolicyGatesConfigured,
    PolicyPipelineChosen,
    PolicyStrategyConfigured,
    TriggerCondition,
    choose_pipeline,
    decide,
    evolve,
)
from release_management.kernel.types import Refused

CANARY = ConfigureStrategy(strategy="canary", options={"initial_traffic": 20, "interval": "5m"})
TRIGGERS = ConfigureTriggers(conditions=(TriggerCondition(metric="error_rate", threshold=0.02, duration_seconds=60),))
GATES = ConfigureGates(gates={"scan": Gate(), "licences": Gate(required=False, pass_threshold=0.5)})


def after(*commands: PolicyCommand) -> Policy:
    state = Policy()
    for command in commands:
        for fact in decide(command, state):
            state = evolve(state, fact)
    return state


def test_a_configured_strategy_is_the_default_from_then_on() -> None:
    assert decide(CANARY, Policy()) == [PolicyStrategyConfigured(strategy="canary", options=CANARY.options)]

    state = after(CANARY, ConfigureStrategy(strategy="recreate"))

    assert state.default == "recreate"
    assert state.strategies == {"canary": CANARY.options, "recreate": {}}


def test_a_strategy_whose_options_are_wrong_is_refused() -> None:
    with pytest.raises(Refused, match="strategy canary has no option 'speed'; it has abort_scale_down_delay,"):
        decide(ConfigureStrategy(strategy="canary", options={"speed": "high"}), Policy())


def test_gates_that_are_not_named_stay() -> None:
    (fact,) = decide(ConfigureGates(gates={"scan": Gate(required=False)}), after(GATES))

    assert isinstance(fact, PolicyGatesConfigured)
    assert fact.gates == {"scan": Gate(required=False), "licences": Gate(required=False, pass_threshold=0.5)}


def test_a_pipeline_is_chosen_once() -> None:
    facts = choose_pipeline("main", Policy())

    assert facts == [PolicyPipelineChosen(pipeline="main")]
    assert choose_pipeline("main", evolve(Policy(), facts[0])) == []


@pytest.mark.parametrize("command", [CANARY, TRIGGERS, GATES])
def test_a_repeated_configuration_records_nothing(command: PolicyCommand) -> None:
    assert decide(command, after(command)) == []


def test_a_strategy_that_was_the_default_before_becomes_it_again() -> None:
    state = after(CANARY, ConfigureStrategy(strategy="recreate"))

    assert decide(CANARY, state) == [PolicyStrategyConfigured(strategy="canary", options=CANARY.options)]
