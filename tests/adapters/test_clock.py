"""The clock by which records are stamped, and its jumps."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from release_management.adapters.system.clock import RecordingClock, WatchedClock
from release_management.runtime.roles.kit.clocks import look_at_clock
from release_management.runtime.roles.kit.health import Health
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


def test_small_corrections_are_no_jumps(machine: Machine) -> None:
    for ahead in (60, -60, -HOUR, -60):
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


@pytest.mark.parametrize("back", [2 * HOUR, 90 * DAY])
def test_a_jump_back_is_taken_and_said_too(machine: Machine, back: float) -> None:
    machine.set_ahead = -back

    assert machine.clock.now() == machine.wall()
    troubles, (warning,) = says(machine)
    assert troubles == []
    assert warning.startswith(f"the clock jumped back by {timedelta(seconds=back)} at 2026-")
    assert "what falls due waits for longer" in warning


@pytest.mark.parametrize(
    ("jumps", "counted"),
    [([60.0], 0), ([2 * HOUR], 1), ([-2 * HOUR], 1), ([2 * HOUR, 0.0], 2), ([40 * DAY], 1), ([40 * DAY, 0.0], 1)],
)
def test_jumps_are_counted_and_logged(machine: Machine, jumps: list[float], counted: int) -> None:
    def count() -> float:
        return REGISTRY.get_sample_value("relman_clock_jumps_total") or 0.0

    before = count()
    with capture_logs() as logs:
        for machine.set_ahead in jumps:
            says(machine)
            says(machine)

    assert count() - before == counted
    assert len([line for line in logs if line["event"].startswith("the clock jumped")]) == counted


def test_a_clock_that_is_not_for_recording_accepts_a_jump_of_years_and_warns(machine: Machine) -> None:
    clock = WatchedClock(machine.wall, lambda: machine.passed)
    machine.set_ahead = 73 * 365 * DAY

    assert clock.now() == machine.wall()
    assert clock.warning is not None
    assert clock.warning.startswith("the clock jumped ahead by 26645 days, 0:00:00 at 2099-")


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


def test_a_new_process_accepts_the_clock_as_it_is(machine: Machine) -> None:
    machine.set_ahead = 73 * 365 * DAY

    assert RecordingClock(machine.wall, lambda: machine.passed).now() == machine.wall()


def test_the_machines_clock_is_taken() -> None:
    before = datetime.now(UTC)

    assert before <= RecordingClock().now() <= datetime.now(UTC)
