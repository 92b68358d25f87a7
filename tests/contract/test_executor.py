"""An executor carries out each order once in effect, in the order of the fences, whatever happens to it."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from release_management.domain.orders import Report
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots
from tests.adapters.command.harness import CommandExecutorHarness
from tests.adapters.component import Component, gone_afterwards
from tests.adapters.local.harness import ExecutorHarness

PROVISION = ProvisionSlot(slot="blue", version="1.0.0", replicas=1)
HEALTHY = AwaitSlotHealthy(slot="blue", replicas=1)
RETIRE = RetireSlot(slot="blue")


@pytest.fixture(params=[ExecutorHarness, CommandExecutorHarness], ids=lambda made: made.EXECUTOR)
def component(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Component]:
    with gone_afterwards(request.param(tmp_path)) as made:
        yield made


def test_every_verb_succeeds(component: Component) -> None:
    for action in (PROVISION, HEALTHY, RouteSlots(weights={"blue": 100}), RouteSlots(weights={"blue": 0}), RETIRE):
        report = component.do(action)
        assert (report.fence, report.attempt, report.reason) == (component.fence, 1, None)


def test_the_same_order_gets_the_same_report(component: Component) -> None:
    order = component.order(PROVISION)
    first = component.ask(order)
    assert first.result == "succeeded"
    assert component.ask(order).model_dump_json() == first.model_dump_json()
    component.do(HEALTHY)
    assert component.ask(order).model_dump_json() == first.model_dump_json()
    assert len(component.effects()) == 1


def test_orders_asked_at_the_same_time_have_one_effect(component: Component) -> None:
    order = component.order(PROVISION)

    async def together() -> list[Report]:
        return await asyncio.gather(*(component.executor().carry_out(order) for _ in range(5)))

    assert len({report.model_dump_json() for report in asyncio.run(together())}) == 1
    component.do(HEALTHY)
    assert len(component.effects()) == 1


def test_a_lower_fence_is_stale_and_changes_nothing(component: Component) -> None:
    component.fence = 10
    component.do(PROVISION)
    component.do(HEALTHY)
    kept, effects = kept_files(component), component.effects()
    for action in (RouteSlots(weights={"blue": 100}), RETIRE, PROVISION, HEALTHY):
        report = component.ask(component.order(action, fence=2))
        assert (report.result, report.fence) == ("stale", 2)
    assert kept_files(component) == kept
    assert component.effects() == effects


@pytest.mark.parametrize("point", ["killed once admitted", "killed before its report is stored"])
def test_the_fence_survives_the_executor_and_the_order_is_carried_out_again(component: Component, point: str) -> None:
    component.fence = 10
    order = component.order(PROVISION)
    with component.victim(order, point) as victim:
        assert victim.wait(20) == -signal.SIGKILL
    assert component.ask(component.order(RETIRE, fence=9)).result == "stale"
    assert component.ask(order).result == "succeeded"
    assert component.do(HEALTHY).result == "succeeded"


def test_a_report_is_stored_before_it_is_given(component: Component) -> None:
    order = component.order(PROVISION)
    with component.victim(order, "killed with its report stored") as victim:
        assert victim.wait(20) == -signal.SIGKILL
        assert victim.stdout is not None
        assert victim.stdout.read() == b""
    component.do(HEALTHY)
    effects = component.effects()
    report = component.ask(order)
    assert (report.result, report.fence) == ("succeeded", order.fence)
    assert component.effects() == effects
    assert len(effects) == 1


def test_a_newer_order_overtakes_one_in_flight(component: Component) -> None:
    component.never_healthy()
    component.do(PROVISION)

    async def overtake() -> tuple[Report, Report]:
        executor = component.executor()
        waiting = asyncio.create_task(executor.carry_out(component.order(HEALTHY)))
        await asyncio.sleep(0.3)
        retired = await executor.carry_out(component.order(RETIRE))
        return await waiting, retired

    waited, retired = asyncio.run(asyncio.wait_for(overtake(), 15))
    assert (waited.result, retired.result) == ("stale", "succeeded")


def test_health_that_nobody_had_time_to_look_at_is_not_the_releases_fault(component: Component) -> None:
    component.never_healthy()
    component.do(PROVISION)
    report = component.ask(component.order(HEALTHY, within=0))
    assert (report.result, report.reason) == ("errored", "there was no time left for await_healthy")
    assert component.ask(component.order(HEALTHY, within=1)).result == "failed"


def test_an_order_cut_short_by_a_stop_has_no_report(component: Component) -> None:
    component.never_healthy()
    component.do(PROVISION)
    order = component.order(HEALTHY, within=3)

    async def cut() -> None:
        executor = component.executor()
        waiting = asyncio.create_task(executor.carry_out(order))
        await asyncio.sleep(0.3)
        await executor.stop(keep=True)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(asyncio.CancelledError):
            await executor.carry_out(order)

    asyncio.run(cut())
    assert component.ask(order).result == "failed"


def kept_files(component: Component) -> dict[str, bytes]:
    """Return the executor's files of the component."""
    return {path.name: path.read_bytes() for path in component.place.glob("*.json")}
