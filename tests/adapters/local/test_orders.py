"""An order has its effect once, in the order of the fences, whatever happens to executors."""

import os
import signal

import pytest

from release_management.domain.orders import AwaitSlotHealthy, ProvisionSlot, Report, RetireSlot, RouteSlots
from tests.adapters.component import is_stopped, until
from tests.adapters.local.stand import Stand


def test_a_lower_fence_is_stale_and_changes_nothing(stand: Stand) -> None:
    stand.run_in("blue", "1.0.0")
    stand.run_in("green", "2.0.0")
    stand.route(blue=100)
    before = stand.state()
    for action in (
        RouteSlots(weights={"blue": 75, "green": 25}),
        RetireSlot(slot="green"),
        ProvisionSlot(slot="green", version="3.0.0", replicas=2),
        AwaitSlotHealthy(slot="green", replicas=1),
    ):
        report = stand.ask(stand.order(action, fence=2))
        assert (report.result, report.fence) == ("stale", 2)
    assert stand.state() == before
    assert stand.versions(50) == {"1.0.0": 50}


@pytest.mark.parametrize("point", ["killed after a spawn", "killed after starting HAProxy"])
def test_an_executor_killed_after_a_start_leaves_no_second_process(stand: Stand, point: str) -> None:
    order = stand.order(ProvisionSlot(slot="blue", version="1.0.0", replicas=2))
    with stand.victim(order, point) as victim:
        assert victim.wait(20) == -signal.SIGKILL
    assert stand.ask(order).result == "succeeded"
    stand.do(AwaitSlotHealthy(slot="blue", replicas=2))
    pids = stand.instance_pids()
    assert len(pids) == 2
    assert len(stand.haproxy_pids()) == 1
    assert sorted(int(line.split()[3]) for line in stand.starts()) == sorted(pids)


@pytest.mark.parametrize(
    ("point", "end"), [("stopped holding the lock", -signal.SIGKILL), ("stopped between sections", 0)]
)
def test_a_stopped_executor_neither_blocks_its_successor_nor_undoes_its_work(
    stand: Stand, point: str, end: int
) -> None:
    stand.run_in("blue", "1.0.0")
    stand.run_in("green", "2.0.0")
    stand.route(blue=100)
    order = stand.order(RouteSlots(weights={"blue": 75, "green": 25}))
    with stand.victim(order, point) as victim:
        until(lambda: is_stopped(victim.pid))
        assert stand.route(green=100).observed == {"blue": 0, "green": 100}
        os.kill(victim.pid, signal.SIGCONT)
        assert victim.wait(20) == end
        assert victim.stdout is not None
        said = victim.stdout.read()
    if end == 0:
        assert Report.model_validate_json(said).result == "stale"
    assert stand.versions(100) == {"2.0.0": 100}
    assert stand.ask(order).result == "stale"
