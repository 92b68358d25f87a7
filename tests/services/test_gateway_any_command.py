"""Any command with any content gets an outcome with one sentence, and never a fault of ours."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from release_management.kernel.types import Giver
from release_management.services.use_cases import COMMANDS, declaration
from tests.profiles import times
from tests.services.gateway_harness import PATIENCE, GatewayHarness

ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    101,
    10**30,
    1e308,
    0.5,
    "",
    " ",
    "a",
    "shop",
    "shop@1.0.0",
    "shop@2.0.0-rc.1+b",
    "staging",
    "main",
    "canary",
    "rolling",
    "forward",
    "rollback",
    "succeeded",
    "passed",
    "1.0.0",
    "90s",
    "25%",
    "2026-11-23T09:30:00Z",
    "9999-12-31T23:59:59.999999-23:59",
    "0" * 64,
    "usr_abcdefgh",
    "system:timers",
    "\x00",
    "\u202e",
    "😀" * 300,
    "x" * 5000,
    [],
    {},
    [[]],
    {"": ""},
    {"blue": 100},
    {"blue": 50, "green": 50},
    {"web": {"command": ["run"], "port": 80}},
    [{"name": "web"}],
    [{"name": "main", "components": {"web": {"command": ["run"], "port": 80}}}],
    [{"metric": "error_rate", "threshold": 0.1, "duration_seconds": 1e300}],
    {"tests": {"required": True}},
    {"steps": [{"set_weight": 50}, {"pause": {}}]},
    {"steps": [{"pause": {}}]},
    {"max_surge": 0, "max_unavailable": 0},
    {"replicas": 100, "max_surge": 1, "max_unavailable": 0},
]


def data_for(harness: GatewayHarness, known: dict[str, str]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    values = st.sampled_from([*ODD, *known.values()]) | st.text(max_size=20) | st.integers() | st.floats()

    def fill(name: str) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
        fields = COMMANDS[name][0].model_fields
        right = {key: st.just(known[key]) | values for key in fields if key in known}
        required = {key: right.get(key, values) for key, field in fields.items() if field.is_required()}
        optional = {key: right.get(key, values) for key, field in fields.items() if not field.is_required()}
        return st.tuples(st.just(name), st.fixed_dictionaries(required, optional=optional))

    return st.sampled_from(sorted(COMMANDS)).flatmap(fill)


@pytest.mark.hypothesis
def test_any_command_gets_an_outcome_and_leaves_the_log_readable() -> None:
    with tempfile.TemporaryDirectory() as folder:
        harness = GatewayHarness(Path(folder))
        try:
            harness.environment()
            harness.carry_out(harness.deploy(harness.release("1.0.0")))
            running = harness.deploy(harness.release("1.1.0"), strategy="canary")
            harness.environment("production")
            waiting = harness.deploy("shop@1.0.0", "production")
            approval = str(harness.facts(waiting, "approval_awaited")[0]["approval"])
            known = {"deployment": running, "approval": approval, "release": "shop@1.1.0", "environment": "staging"}
            known |= {"leg": "forward", "application": "shop", "version": "1.1.0", "name": "staging"}

            @settings(max_examples=times(400))
            @given(command_and_data=data_for(harness, known))
            def law(command_and_data: tuple[str, dict[str, Any]]) -> None:
                command, data = command_and_data
                try:
                    envelope = harness.envelope(command, data)
                except ValidationError:
                    return
                outcome = harness.gateway.ask(envelope).result(PATIENCE)
                if outcome.status == "busy":
                    assert declaration(command).GIVEN_BY in (Giver.ORCHESTRATOR, Giver.TIMERS)
                    assert "too early" in str(outcome.reason)
                    return
                assert outcome.status in ("accepted", "refused"), outcome.reason
                if outcome.refused:
                    assert outcome.reason
                    assert len(outcome.reason) < 2000, outcome.reason

            law()
            for record in harness.records():
                json.dumps(record, allow_nan=False).encode()
        finally:
            harness.close()


@pytest.mark.parametrize("name", ["system:timers", "system:UPPER", "executor:local"])
def test_nobody_acts_on_behalf_of_the_machinery(name: str, harness: GatewayHarness) -> None:
    with pytest.raises(ValidationError, match="reserved for our own; name a person"):
        harness.envelope("release.create", {}, onbehalfof=name)
