"""The states of a deployment's steps."""

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from release_management.domain.deployment.state import Deployment
from release_management.domain.deployment.steps import (
    StepKey,
    StepState,
    StepStates,
    StepStatus,
)

KEYS: st.SearchStrategy[StepKey] = st.tuples(st.sampled_from(("forward", "rollback")), st.integers(0, 300))
CHANGES = st.lists(st.tuples(KEYS, st.sampled_from(StepStatus), st.integers(1, 3)))


@given(CHANGES)
def test_step_states_are_an_immutable_mapping(changes: list[tuple[StepKey, StepStatus, int]]) -> None:
    states, plain = StepStates(), dict[StepKey, StepState]()
    for (leg, index), status, attempt in changes:
        before, held = states, dict(plain)
        states = states.having(leg, index, StepState(status, attempt))
        plain[leg, index] = StepState(status, attempt)
        assert before == held
    assert states == plain == StepStates(plain)
    assert len(states) == len(plain)
    assert all((key in states) == (key in plain) for key in [("forward", 0), *plain])


@given(CHANGES)
def test_a_snapshot_gives_them_back(changes: list[tuple[StepKey, StepStatus, int]]) -> None:
    states = StepStates({key: StepState(status, attempt) for key, status, attempt in changes})
    adapter = TypeAdapter(Deployment)

    restored = adapter.validate_json(adapter.dump_json(Deployment(steps=states)))

    assert isinstance(restored.steps, StepStates)
    assert restored.steps == states
