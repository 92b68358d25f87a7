"""Folded states are kept for so many streams: those that were used last."""

from collections import Counter
from typing import Any

import pytest

from release_management.kernel.record import Recorded
from release_management.services.gateway import states
from release_management.services.gateway.states import States
from release_management.services.ports import EventLog
from tests.services.gateway_harness import (
    PATIENCE,
    REGISTRY,
    GatewayHarness,
    on_both_stores,
)

pytestmark = on_both_stores


class Noting:
    """A log that notes which streams are read."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.read: Counter[str] = Counter()

    def read_stream(self, stream: str, after: int = 0) -> list[Recorded]:
        self.read[stream] += 1
        return self._log.read_stream(stream, after)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def test_the_least_recently_used_state_is_evicted_and_loaded_again(
    harness: GatewayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "CACHED_STREAMS", 3)
    for name in "abcd":
        harness.environment(name)
    log = Noting(harness.log)
    known = States(log, REGISTRY)  # type: ignore[arg-type] # the rest of it is passed on by name
    a, b, c, d = (f"environment:{name}" for name in "abcd")
    for stream in (a, b, c):
        known.remember({stream: known.load(stream)})
    before = {stream: known.load(stream) for stream in (b, c, a)}

    known.remember({d: known.load(d)})
    log.read.clear()

    assert {stream: known.load(stream) for stream in (a, c, d, b)} == {**before, d: known.load(d)}
    assert dict(log.read) == {b: 1}, "b was used before all others"


def test_a_batch_on_more_streams_than_are_kept_is_decided_right(
    harness: GatewayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "CACHED_STREAMS", 2)
    log = Noting(harness.log)
    harness.gateway = harness.open_gateway(log)  # type: ignore[arg-type] # as above
    names = [f"e{number}" for number in range(5)]
    for label in range(40):
        envelopes = [harness.envelope("environment.configure", {"name": name, "label": f"l{label}"}) for name in names]
        tickets = [harness.gateway.ask(envelope) for envelope in envelopes]
        assert {ticket.result(PATIENCE).status for ticket in tickets} == {"accepted"}

    same = [harness.ask("environment.configure", {"name": name, "label": "l39"}) for name in names]

    assert [outcome.first for outcome in same] == [0] * len(names), "nothing is new, which only the newest state tells"
    assert len(harness.records("environment.configured")) == 40 * len(names)
    assert all(log.read[f"environment:{name}"] > 1 for name in names)
