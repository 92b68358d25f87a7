"""The log against a model of it: dictionaries and lists, and the rules read aloud."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from release_management.services.ports import (
    Append,
    Appended,
    Conflict,
    Expectation,
    IdReused,
    Repeated,
    Status,
)
from tests.contract.backends import Store
from tests.contract.commands import command
from tests.profiles import times

STREAMS = ("flag:a", "flag:b", "flag:c")


@dataclass
class Model:
    records: list[tuple[str, int]] = field(default_factory=list)
    commands: dict[str, tuple[bytes, Repeated]] = field(default_factory=dict)

    def version(self, stream: str) -> int:
        return sum(1 for one, _ in self.records if one == stream)

    def append(self, batch: list[Append]) -> list[Status]:
        base = {stream: self.version(stream) for stream in STREAMS}
        spoilt: set[str] = set()
        statuses = []
        for one in batch:
            status = self.append_one(one, base, spoilt)
            if not isinstance(status, Appended):
                spoilt |= {new.stream for new in one.records}
            statuses.append(status)
        return statuses

    def append_one(self, one: Append, base: dict[str, int], spoilt: set[str]) -> Status:
        if one.id in self.commands:
            fingerprint, first_outcome = self.commands[one.id]
            return first_outcome if fingerprint == one.fingerprint else IdReused()
        moved = []
        for stream, expected in one.expects.items():
            is_as_seen = (expected.base, expected.seen) == (base[stream], self.version(stream))
            if stream in spoilt or not is_as_seen:
                moved.append(stream)
        if moved:
            return Conflict(tuple(moved))
        start = len(self.records)
        self.records += [(new.stream, new.version) for new in one.records]
        span = (start + 1, len(self.records)) if one.records else (0, 0)
        self.commands[one.id] = (one.fingerprint, Repeated(one.outcome, *span))
        return Appended(*span)


@dataclass(frozen=True)
class Intent:
    """A command to be: which streams it reads and writes, and how far it is behind on each."""

    id: str
    content: str
    reads: dict[str, int]
    writes: dict[str, int]


intents = st.builds(
    Intent,
    id=st.integers(0, 30).map(str),
    content=st.sampled_from(["", "", "", "other"]),
    reads=st.dictionaries(st.sampled_from(STREAMS), st.sampled_from([0, 0, 0, 1]), max_size=3),
    writes=st.dictionaries(st.sampled_from(STREAMS), st.integers(1, 3), max_size=2),
)


def machine_on(make: Callable[[], Store]) -> type[RuleBasedStateMachine]:
    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.store = make()
            self.log = self.store.open()
            self.model = Model()

        @rule(batch=st.lists(intents, min_size=1, max_size=5))
        def append(self, batch: list[Intent]) -> None:
            commands = []
            written = dict.fromkeys(STREAMS, 0)
            for intent in batch:
                expects = {}
                for stream in sorted(intent.reads.keys() | intent.writes.keys()):
                    base = max(0, self.model.version(stream) - intent.reads.get(stream, 0))
                    expects[stream] = Expectation(base, base + written[stream])
                commands.append(command(intent.id, expects, intent.writes, content=intent.content))
                for stream, count in intent.writes.items():
                    written[stream] += count
            assert self.log.append(commands) == self.model.append(commands)

        @rule()
        def open_again(self) -> None:
            self.log = self.store.open()

        @invariant()
        def the_log_is_what_the_model_says(self) -> None:
            page = self.log.read(0, limit=10_000)
            assert [(one.stream, one.version) for one in page] == self.model.records
            assert self.log.last_position() == len(self.model.records)

        def teardown(self) -> None:
            self.store.close()

    return Machine


@pytest.mark.hypothesis
def test_the_log_behaves_as_the_model_does(event_log_factory: Callable[[], Store]) -> None:
    run_state_machine_as_test(
        machine_on(event_log_factory),
        settings=settings(
            max_examples=times(60 if event_log_factory().backend == "sqlite" else 12),
            stateful_step_count=15,
            suppress_health_check=list(HealthCheck),
        ),
    )
