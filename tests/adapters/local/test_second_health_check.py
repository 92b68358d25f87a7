"""Health is asked again: what was found healthy may have ended since, though it answers at this instant."""

import os
import signal

import pytest

from release_management.adapters.executors.local import executor as local
from release_management.domain.orders import Order
from release_management.domain.plan import Action
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots
from tests.adapters.component import until
from tests.adapters.local.harness import ExecutorHarness

AGAIN = AwaitSlotHealthy(slot="green", replicas=1, again=True)
MORE = RouteSlots(weights={"blue": 75, "green": 25}, healthy={"green": 1})
ALL_BACK = RouteSlots(weights={"blue": 100, "green": 0}, healthy={"blue": 1})
OLD_GOES = RetireSlot(slot="blue", healthy={"green": 1})


def crash(harness: ExecutorHarness, slot: str) -> None:
    """The slot's instance ends, and another process runs in its place."""
    before = kill(harness, slot)
    until(lambda: started_again(harness, slot, before))


def kill(harness: ExecutorHarness, slot: str) -> str:
    """Kill the slot's first instance; its token."""
    process = harness.state().slots[slot].instances[0].process
    assert process is not None
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    return process.token


def started_again(harness: ExecutorHarness, slot: str, before: str) -> bool:
    harness.reconcile()
    instance = harness.state().slots[slot].instances[0]
    return instance.phase == "serving" and instance.process is not None and instance.process.token != before


@pytest.fixture
def canary(harness: ExecutorHarness) -> ExecutorHarness:
    """1.0.0 serves in blue, 2.0.0 was found healthy in green and has 5 %."""
    harness.run_in("blue")
    harness.run_in("green", "2.0.0")
    harness.route(blue=95, green=5)
    return harness


def back(harness: ExecutorHarness, action: Action) -> Order:
    """An order on the way back."""
    return harness.order(action).model_copy(update={"leg": "rollback"})


def test_a_well_candidate_gets_more_traffic_and_then_the_old_version_is_retired(canary: ExecutorHarness) -> None:
    for action in (AGAIN, MORE, RouteSlots(weights={"green": 100}, healthy={"green": 1}), AGAIN, OLD_GOES):
        canary.do(action)

    assert set(canary.versions(20)) == {"2.0.0"}


@pytest.mark.parametrize("action", [AGAIN, MORE, OLD_GOES, AwaitSlotHealthy(slot="green", replicas=1)])
def test_an_instance_that_has_ended_since_it_was_found_healthy_is_not_well_though_it_answers(
    canary: ExecutorHarness, action: Action
) -> None:
    crash(canary, "green")
    until(lambda: "2.0.0" in canary.versions(40))

    report = canary.ask(canary.order(action))

    assert report.result == ("failed" if action == AwaitSlotHealthy(slot="green", replicas=1) else "unwell")
    assert str(report.reason).startswith(
        "green1 has ended once since it was found healthy: it exited by signal 9 after"
    )
    assert canary.state().weights == {"blue": 95, "green": 5}
    assert canary.state().slots["blue"].replicas == 1


def test_more_instances_for_the_same_deployment_do_not_make_it_well_and_another_deployment_begins_anew(
    canary: ExecutorHarness,
) -> None:
    crash(canary, "green")
    twice = ProvisionSlot(slot="green", version="2.0.0", replicas=2)
    canary.do(twice)

    report = canary.ask(canary.order(AwaitSlotHealthy(slot="green", replicas=2)))
    assert "green1 has ended once since it was found healthy" in str(report.reason)

    other = {"deployment": "0190c5a0-0000-7000-8000-000000000002"}
    for action in (twice, AwaitSlotHealthy(slot="green", replicas=2), MORE):
        assert canary.ask(canary.order(action).model_copy(update=other)).result == "succeeded"


def test_a_stop_and_a_start_of_ours_is_no_end_of_its_own(canary: ExecutorHarness) -> None:
    canary.stop()
    canary.reconcile()

    canary.do(MORE)


def test_a_version_that_is_returned_to_may_have_ended_once(canary: ExecutorHarness) -> None:
    crash(canary, "blue")

    assert canary.ask(back(canary, ALL_BACK)).result == "succeeded"

    assert set(canary.versions(20)) == {"1.0.0"}


def test_a_version_that_is_dead_is_not_returned_to_until_it_is_started_again(
    canary: ExecutorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "AGAIN_SECONDS", 0.5)
    token = kill(canary, "blue")

    report = canary.ask(back(canary, ALL_BACK))
    assert report.result == "unwell"
    assert "blue1 exited" in str(report.reason)
    assert canary.state().weights == {"blue": 95, "green": 5}

    monkeypatch.undo()
    until(lambda: started_again(canary, "blue", token))
    assert canary.ask(back(canary, ALL_BACK)).result == "succeeded"


def test_one_of_several_instances_suffices_for_a_rollback(
    harness: ExecutorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "AGAIN_SECONDS", 1.0)
    harness.run_in("blue", replicas=2)
    harness.run_in("green", "2.0.0")
    harness.route(blue=50, green=50)
    kill(harness, "blue")

    assert harness.ask(back(harness, ALL_BACK)).result == "succeeded"


def test_a_slot_in_a_crash_loop_is_not_rolled_back_to(canary: ExecutorHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "AGAIN_SECONDS", 0.5)
    crash(canary, "blue")
    crash(canary, "blue")

    report = canary.ask(back(canary, ALL_BACK))

    assert (report.result, "blue1 ends again and again" in str(report.reason)) == ("unwell", True)


def test_a_stop_that_was_begun_is_finished_without_asking_again(canary: ExecutorHarness) -> None:
    canary.route(green=100)
    order = canary.order(OLD_GOES)
    with canary.victim(order, "killed once admitted") as victim:
        assert victim.wait(20) == -signal.SIGKILL
    crash(canary, "green")

    assert canary.ask(order).result == "succeeded"


def test_no_older_order_is_admitted_while_a_slot_is_checked(canary: ExecutorHarness) -> None:
    crash(canary, "green")
    older = canary.order(RouteSlots(weights={"blue": 0, "green": 100}))
    assert canary.ask(canary.order(MORE)).result == "unwell"

    assert canary.ask(older).result == "stale"
