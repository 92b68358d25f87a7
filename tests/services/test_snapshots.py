"""Long streams are read from a snapshot on; a snapshot that is of no use is not used."""

import hashlib
import pprint
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from release_management.domain.aggregates import AGGREGATES, fold
from release_management.domain.plan.strategies import StrategyName
from release_management.kernel.aggregate import aggregate_of
from release_management.kernel.record import Recorded
from release_management.kernel.types import Fact, Refused
from release_management.services.gateway import snapshots
from release_management.services.gateway.states import SNAPSHOT_EVERY
from release_management.services.ports import EventLog, Snapshot
from tests.domain.build import DEPLOYMENT
from tests.domain.deployment_model import Simulation
from tests.domain.samples import SAMPLES
from tests.domain.scenarios import strategies, worlds
from tests.profiles import times
from tests.services.gateway_harness import (
    PATIENCE,
    GatewayHarness,
    on_both_stores,
)


def facts_of(name: str) -> list[Fact]:
    return [fact for stream, fact in SAMPLES if aggregate_of(stream) == name]


@pytest.mark.hypothesis
@pytest.mark.parametrize("name", sorted(AGGREGATES))
def test_a_state_comes_back_exactly_as_it_was(name: str) -> None:
    @settings(max_examples=times(60))
    @given(st.lists(st.sampled_from(facts_of(name)), max_size=25))
    def law(facts: list[Fact]) -> None:
        check(f"{name}:x", fold(f"{name}:x", facts))

    law()


@settings(max_examples=times(60), suppress_health_check=list(HealthCheck))
@given(simulation=worlds(), how=strategies)
def test_a_deployment_and_its_places_come_back_exactly(
    simulation: Simulation, how: tuple[StrategyName, dict[str, JsonValue]]
) -> None:
    try:
        simulation.begin(DEPLOYMENT, *how)
    except Refused:
        reject()
    check("deployment:x", simulation.state)
    simulation.finish("honest")
    check("deployment:x", simulation.state)
    for place in simulation.places.values():
        check("place:x", place)


def check(stream: str, state: Any) -> None:
    snapshot = snapshots.take(stream, 7, state, b"record")
    restored = snapshots.restore(stream, snapshot)
    assert restored == state
    # Of the same types, also where unlike ones are equal; a narrow page sorts the items of sets.
    assert pprint.pformat(restored, width=1) == pprint.pformat(state, width=1)
    assert (snapshot.version, snapshot.shape) == (7, snapshots.shape())
    assert snapshot.record == hashlib.sha256(b"record").hexdigest()


# In the gateway


class Counted:
    """A log that counts the records that are read of streams."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.read = 0

    def read_stream(self, stream: str, after: int = 0) -> list[Recorded]:
        records = self._log.read_stream(stream, after)
        self.read += len(records)
        return records

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def relabel(harness: GatewayHarness, numbers: Iterable[int]) -> None:
    """The history of one environment grows."""
    tickets = [
        harness.gateway.ask(harness.envelope("environment.configure", {"name": "staging", "label": f"l{number}"}))
        for number in numbers
    ]
    assert {ticket.result(PATIENCE).status for ticket in tickets} == {"accepted"}


def kept(harness: GatewayHarness) -> Snapshot | None:
    """The snapshot of that environment, once the gateway is done with everything."""
    harness.gateway.close()
    return harness.log.snapshot("environment:staging", snapshots.shape())


def cold(harness: GatewayHarness) -> Counted:
    """A gateway that knows nothing yet."""
    harness.gateway.close()
    log = Counted(harness.open_log())
    harness.gateway = harness.open_gateway(log)  # type: ignore[arg-type] # the rest of it is passed on by name
    return log


@on_both_stores
def test_loading_a_long_stream_does_not_read_more_as_it_grows(harness: GatewayHarness) -> None:
    harness.environment()
    relabel(harness, range(1000))
    relabel(harness, range(1000, 1000 + SNAPSHOT_EVERY))
    log = cold(harness)

    relabel(harness, [-1])

    assert log.read <= SNAPSHOT_EVERY + 10
    assert harness.records("environment.configured")[-1]["data"]["label"] == "l-1"


@on_both_stores
def test_a_snapshot_of_another_shape_is_not_used(harness: GatewayHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.environment()
    relabel(harness, range(2 * SNAPSHOT_EVERY))
    assert kept(harness) is not None
    monkeypatch.setattr(snapshots, "shape", lambda: "changed")
    log = cold(harness)

    relabel(harness, [-1])

    assert log.read > 2 * SNAPSHOT_EVERY


@on_both_stores
@pytest.mark.parametrize("damage", [{"record": "0" * 64}, {"state": b"{}]"}, {"version": 9999}])
def test_a_snapshot_that_does_not_fit_is_not_used(harness: GatewayHarness, damage: dict[str, Any]) -> None:
    harness.environment()
    relabel(harness, range(2 * SNAPSHOT_EVERY))
    whole = kept(harness)
    assert whole is not None
    harness.log.keep_snapshot("environment:staging", replace(whole, **damage))
    log = cold(harness)

    same = harness.ask("environment.configure", {"name": "staging", "label": f"l{2 * SNAPSHOT_EVERY - 1}"})

    assert (same.status, same.first) == ("accepted", 0)
    assert log.read > 2 * SNAPSHOT_EVERY


@on_both_stores
def test_a_snapshot_that_cannot_be_kept_fails_no_command(harness: GatewayHarness) -> None:
    class Full:
        def keep_snapshot(self, stream: str, snapshot: Snapshot) -> None:
            raise OSError("no space left")

        def __getattr__(self, name: str) -> Any:
            return getattr(harness.log, name)

    harness.environment()
    harness.gateway = harness.open_gateway(Full())

    relabel(harness, range(3 * SNAPSHOT_EVERY))

    assert kept(harness) is None


def test_the_shape_names_the_domains_source() -> None:
    assert len(snapshots.shape()) == 64
    assert snapshots.shape() == snapshots.shape()
