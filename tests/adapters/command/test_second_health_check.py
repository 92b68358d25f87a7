"""Health is asked again by the program for `await_healthy`, before the program that relies on it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from release_management.adapters.executors.base.executor import AGAIN_SECONDS
from release_management.adapters.executors.command import executor as command
from release_management.domain.plan import Action
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots
from tests.adapters.command.harness import CommandExecutorHarness

ROUTE = RouteSlots(weights={"blue": 50, "green": 50}, healthy={"green": 2})
RETIRE = RetireSlot(slot="blue", healthy={"green": 2})


@pytest.mark.parametrize("action", [ROUTE, RETIRE])
def test_the_program_is_asked_first_and_told_that_it_was_healthy_before(
    harness: CommandExecutorHarness, tmp_path: Path, action: Action
) -> None:
    harness.program("await_healthy", f"env | sort > {tmp_path}/env")

    harness.do(action, within=300)

    assert [line.split()[1] for line in harness.written("begin")] == ["await_healthy", action.verb]
    env = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    asked = {name: env[f"RELMAN_{name.upper()}"] for name in ("verb", "slot", "replicas", "again")}
    assert asked == {"verb": "await_healthy", "slot": "green", "replicas": "2", "again": "1"}
    left = (datetime.fromisoformat(env["RELMAN_DEADLINE"]) - datetime.now(UTC)).total_seconds()
    assert left <= AGAIN_SECONDS


@pytest.mark.parametrize(
    ("body", "result", "reason"),
    [
        ("echo it restarts; exit 1", "unwell", 'exited with code 1; its last line was "it restarts"'),
        ("echo no disk; exit 3", "errored", 'exited with code 3; its last line was "no disk"'),
    ],
)
@pytest.mark.parametrize("action", [ROUTE, RETIRE])
def test_unless_it_says_that_all_is_well_the_order_is_not_begun(
    harness: CommandExecutorHarness, action: Action, body: str, result: str, reason: str
) -> None:
    harness.program("await_healthy", body)

    report = harness.ask(harness.order(action))

    assert (report.result, report.reason) == (result, reason)
    assert harness.written(f"begin {action.verb}") == []


@pytest.mark.parametrize("action", [ROUTE, AwaitSlotHealthy(slot="green", replicas=1, again=True)])
def test_a_program_that_waits_for_health_as_if_it_were_the_first_time_is_ended_soon(
    harness: CommandExecutorHarness, action: Action, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "AGAIN_SECONDS", 0.5)
    harness.never_healthy()

    report = harness.ask(harness.order(action, within=300))

    assert report.result in ("unwell", "failed")
    assert "await_healthy took longer than 0." in str(report.reason)


def test_an_order_that_was_begun_is_finished_without_asking_again(harness: CommandExecutorHarness) -> None:
    harness.do(ProvisionSlot(slot="green", version="2.0.0", replicas=2))
    order = harness.order(RETIRE)
    with harness.victim(order, "killed once admitted") as victim:
        victim.wait(20)
    harness.program("await_healthy", "exit 1")

    assert harness.ask(order).result == "succeeded"
