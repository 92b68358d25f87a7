"""The clock by which records are stamped, and its jumps."""

from datetime import UTC, datetime, timedelta

import pytest

from release_management.adapters.clock import RecordingClock
from release_management.adapters.roles.gateway import look_at_clock
from release_management.adapters.roles.health import Health
from release_management.services.ports import ClockJumpedError

HOUR = 3600.0
DAY = 24 * HOUR


class Machine:
    """The time on the wall, and the time that has passed since the start."""

    def __init__(self) -> None:
        self.start = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
        self.passed = self.set_ahead = 0.0
        self.clock = RecordingClock(self.wall, lambda: self.passed)

    def wall(self) -> datetime:
        return self.start + timedelta(seconds=self.passed + self.set_ahead)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def says(machine: Machine) -> tuple[list[str], list[str]]:
    """The troubles and the warnings that the health of a gateway has now."""
    health = Health("gateway")
    look_at_clock(machine.clock, health)
    document = health.document()
    return [it["says"] for it in document["troubles"]], [it["says"] for it in document["warnings"]]


@pytest.mark.parametrize("passed", [0.001, HOUR, 400 * DAY])
def test_time_that_has_passed_is_no_jump(machine: Machine, passed: float) -> None:
    machine.passed = passed

    assert machine.clock.now() == machine.wall()
    assert says(machine) == ([], [])


def test_small_corrections_and_steps_back_are_no_jumps(machine: Machine) -> None:
    for ahead in (60, -2 * HOUR, -90 * DAY, -90 * DAY + 60):
        machine.set_ahead = ahead
        assert machine.clock.now() == machine.wall()

    assert says(machine) == ([], [])


def test_a_jump_of_some_hours_is_taken_and_said_until_the_next_start(machine: Machine) -> None:
    machine.set_ahead = 9 * HOUR

    assert machine.clock.now() == machine.wall()
    machine.passed = DAY
    troubles, (warning,) = says(machine)
    assert troubles == []
    assert warning.startswith("the clock jumped ahead by 9:00:00 at 2026-11-23T18:30:00.000000Z; if that was wrong, ")


def test_by_a_clock_that_jumped_years_ahead_nothing_is_recorded_until_it_is_back(machine: Machine) -> None:
    machine.set_ahead = 73 * 365 * DAY

    for _ in range(2):
        with pytest.raises(ClockJumpedError, match="the clock jumped ahead by 26645 days, 0:00:00, to 2099-"):
            machine.clock.now()
        machine.passed += DAY
    (trouble,), warnings = says(machine)
    assert "nothing is recorded until it is back" in trouble
    assert warnings == []

    machine.set_ahead = 1
    assert machine.clock.now() == machine.wall()
    assert says(machine) == ([], [])


def test_who_starts_takes_the_clock_as_it_is(machine: Machine) -> None:
    machine.set_ahead = 73 * 365 * DAY

    assert RecordingClock(machine.wall, lambda: machine.passed).now() == machine.wall()


def test_the_machines_clock_is_taken() -> None:
    before = datetime.now(UTC)

    assert before <= RecordingClock().now() <= datetime.now(UTC)
