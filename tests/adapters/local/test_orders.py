"""An order has its effect once, in the order of the fences, whatever happens to executors."""

import os
import signal

import pytest

from release_management.domain.orders import Report
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots
from tests.adapters.component import is_stopped, until
from tests.adapters.local.harness import ExecutorHarness


def test_a_lower_fence_is_stale_and_changes_nothing(harness: ExecutorHarness) -> None:
    harness.run_in("blue", "1.0.0")
    harness.run_in("green", "2.0.0")
    harness.route(blue=100)
    before = harness.state()
    for action in (
        RouteSlots(weights={"blue": 75, "green": 25}),
        RetireSlot(slot="green"),
        ProvisionSlot(slot="green", version="3.0.0", replicas=2),
        AwaitSlotHealthy(slot="green", replicas=1),
    ):
        report = harness.ask(harness.order(action, fence=2))
        assert (report.result, report.fence) == ("stale", 2)
    assert harness.state() == before
    assert harness.versions(50) == {"1.0.0": 50}


@pytest.mark.parametrize("point", ["killed after a spawn", "killed after starting HAProxy"])
def test_an_executor_killed_after_a_start_leaves_no_second_process(harness: ExecutorHarness, point: str) -> None:
    order = harness.order(ProvisionSlot(slot="blue", version="1.0.0", replicas=2))
    with harness.victim(order, point) as victim:
        assert victim.wait(20) == -signal.SIGKILL
    assert harness.ask(order).result == "succeeded"
    harness.do(AwaitSlotHealthy(slot="blue", replicas=2))
    pids = harness.instance_pids()
    assert len(pids) == 2
    assert len(harness.haproxy_pids()) == 1
    assert sorted(int(line.split()[3]) for line in harness.starts()) == sorted(pids)


@pytest.mark.parametrize(
    ("point", "end"), [("stopped holding the lock", -signal.SIGKILL), ("stopped between sections", 0)]
)
def test_a_stopped_executor_neither_blocks_its_successor_nor_undoes_its_work(
    harness: ExecutorHarness, point: str, end: int
) -> None:
    harness.run_in("blue", "1.0.0")
    harness.run_in("green", "2.0.0")
    harness.route(blue=100)
    order = harness.order(RouteSlots(weights={"blue": 75, "green": 25}))
    with harness.victim(order, point) as victim:
        until(lambda: is_stopped(victim.pid))
        assert harness.route(green=100).observed == {"blue": 0, "green": 100}
        os.kill(victim.pid, signal.SIGCONT)
        assert victim.wait(20) == end
        assert victim.stdout is not None
        said = victim.stdout.read()
    if end == 0:
        assert Report.model_validate_json(said).result == "stale"
    assert harness.versions(100) == {"2.0.0": 100}
    assert harness.ask(order).result == "stale"
