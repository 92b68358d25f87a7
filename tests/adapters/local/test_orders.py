"""An order has its effect once, in the order of the fences, whatever happens to executors."""

import asyncio
import os
import signal

import pytest

from release_management.domain.orders import AwaitSlotHealthy, ProvisionSlot, Report, RetireSlot, RouteSlots
from tests.adapters.local.stand import Stand, is_stopped, until


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


def test_the_same_order_gets_the_same_report(stand: Stand) -> None:
    order = stand.order(ProvisionSlot(slot="blue", version="1.0.0", replicas=1))
    first = stand.ask(order)
    assert first.result == "succeeded"
    assert stand.ask(order).model_dump_json() == first.model_dump_json()
    stand.do(AwaitSlotHealthy(slot="blue", replicas=1))
    assert stand.ask(order).model_dump_json() == first.model_dump_json()
    assert len(stand.starts()) == len(stand.instance_pids()) == 1


def test_orders_asked_at_the_same_time_start_one_process(stand: Stand) -> None:
    order = stand.order(ProvisionSlot(slot="blue", version="1.0.0", replicas=1))

    async def together() -> list[Report]:
        return await asyncio.gather(*(stand.executor().carry_out(order) for _ in range(5)))

    assert len({report.model_dump_json() for report in asyncio.run(together())}) == 1
    stand.do(AwaitSlotHealthy(slot="blue", replicas=1))
    assert len(stand.starts()) == len(stand.instance_pids()) == 1


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


def test_a_higher_fence_ends_a_wait_for_health(stand: Stand) -> None:
    stand.arguments = ["--fail"]
    stand.do(ProvisionSlot(slot="blue", version="1.0.0", replicas=1))

    async def overtake() -> tuple[Report, Report]:
        executor = stand.executor()
        waiting = asyncio.create_task(executor.carry_out(stand.order(AwaitSlotHealthy(slot="blue", replicas=1))))
        await asyncio.sleep(0.3)
        retired = await executor.carry_out(stand.order(RetireSlot(slot="blue")))
        return await waiting, retired

    waited, retired = asyncio.run(overtake())
    assert (waited.result, retired.result) == ("stale", "succeeded")
    assert not stand.instance_pids()


def test_an_order_cut_short_by_a_stop_has_no_report(stand: Stand) -> None:
    stand.arguments = ["--fail"]
    stand.do(ProvisionSlot(slot="blue", version="1.0.0", replicas=1))
    order = stand.order(AwaitSlotHealthy(slot="blue", replicas=1))

    async def cut() -> None:
        executor = stand.executor()
        waiting = asyncio.create_task(executor.carry_out(order))
        await asyncio.sleep(0.2)
        await executor.stop(keep=True)
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cut())
    assert len(stand.instance_pids()) == 1
    assert all(answer.fence != order.fence for answer in stand.state().answers)
