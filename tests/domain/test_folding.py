"""Folding never raises, whatever the facts and their order."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from release_management.domain.aggregates import AGGREGATES, fold
from release_management.domain.deployment.state import (
    Deployment,
    DeploymentPhase,
    evolve,
)
from release_management.domain.plan.strategies import StrategyName
from release_management.kernel.aggregate import aggregate_of
from release_management.kernel.types import Fact, Refused
from tests.domain.build import DEPLOYMENT
from tests.domain.deployment_model import Simulation
from tests.domain.samples import SAMPLES
from tests.domain.scenarios import strategies, worlds
from tests.profiles import times

FACTS: dict[str, list[Fact]] = {
    name: [fact for stream, fact in SAMPLES if aggregate_of(stream) == name] for name in AGGREGATES
}


@pytest.mark.hypothesis
@pytest.mark.parametrize("name", sorted(AGGREGATES))
def test_any_facts_in_any_order_fold(name: str) -> None:
    @settings(max_examples=times(60))
    @given(st.lists(st.sampled_from(FACTS[name]), max_size=25))
    def law(facts: list[Fact]) -> None:
        whole = fold(f"{name}:x", facts)
        half = len(facts) // 2
        assert fold(f"{name}:x", facts[half:], fold(f"{name}:x", facts[:half])) == whole

    law()


@settings(max_examples=times(80), suppress_health_check=list(HealthCheck))
@given(simulation=worlds(), how=strategies, data=st.data())
def test_any_part_of_a_real_deployment_folds_in_any_order(
    simulation: Simulation, how: tuple[StrategyName, dict[str, JsonValue]], data: st.DataObject
) -> None:
    try:
        simulation.begin(DEPLOYMENT, *how)
    except Refused:
        reject()
    if data.draw(st.booleans()):
        simulation.abort()
    simulation.finish("honest")
    facts: list[Any] = simulation.log

    shuffled = data.draw(st.permutations(facts))
    part = shuffled[: data.draw(st.integers(0, len(shuffled)))]

    state = Deployment()
    for fact in part:
        state = evolve(state, fact)
    assert state.phase in DeploymentPhase
    prefix = Deployment()
    for fact in facts:
        prefix = evolve(prefix, fact)
        assert prefix.needed("forward") is not None
    assert prefix == simulation.state
