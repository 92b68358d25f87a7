"""A port that two components claim is that of the one that serves, however everything is started again."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from release_management.adapters.executors.local.converge import converge
from release_management.domain.plan.steps.provision import ProvisionSlot
from tests.adapters.component import (
    SystemClock,
    gone_afterwards,
    until,
)
from tests.adapters.local.harness import ExecutorHarness


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[ExecutorHarness]:
    """It was deployed, and serves."""
    with gone_afterwards(named(tmp_path, "b-serving")) as made:
        made.run_in("blue")
        made.route(blue=100)
        yield made


@pytest.fixture
def other(tmp_path: Path, serving: ExecutorHarness) -> Iterator[ExecutorHarness]:
    """Its first deployment wants the same port. It comes first in every listing."""
    with gone_afterwards(named(tmp_path, "a-other")) as made:
        made.port = serving.port
        made.settings["port"] = serving.port
        yield made


def named(folder: Path, component: str) -> ExecutorHarness:
    made = ExecutorHarness(folder)
    made.component = component
    return made


def try_to_deploy(other: ExecutorHarness) -> str:
    report = other.ask(other.order(ProvisionSlot(slot="blue", version="9.0.0", replicas=1)))
    assert report.result == "errored"
    assert report.reason is not None
    return report.reason


def kill_everything(*stands: ExecutorHarness) -> None:
    """As a power cut does."""
    pids = [pid for harness in stands for pid in (*harness.instance_pids(), *harness.haproxy_pids())]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not any(harness.instance_pids() + harness.haproxy_pids() for harness in stands))


def began_before(first: tuple[ExecutorHarness, str], second: tuple[ExecutorHarness, str]) -> bool:
    """Return True if one slot's process began before another's: pids are given in turn, and wrap around.

    The system's own start times are too coarse: both can begin within one of its clock ticks.
    """
    pids = int(Path("/proc/sys/kernel/pid_max").read_text())
    return (pid(*second) - pid(*first)) % pids < pids // 2


def pid(harness: ExecutorHarness, slot: str) -> int:
    [instance] = harness.state().slots[slot].instances
    assert instance.process is not None
    assert instance.process.pid is not None
    return instance.process.pid


def restore_after_a_crash(harness: ExecutorHarness) -> None:
    """Restore after a crash; a process that was found dead rests for a second before it is restarted."""

    def serves() -> bool:
        harness.reconcile()
        return harness.request() == "1.0.0"

    until(serves)


def test_a_deployment_is_told_which_component_has_the_port(serving: ExecutorHarness, other: ExecutorHarness) -> None:
    said = f"port {serving.port} of 127.0.0.1 is that of b-serving (shop in prod, target main), which serves"
    assert try_to_deploy(other).startswith(said)


def test_the_balancer_of_what_serves_may_be_dead_for_a_moment(serving: ExecutorHarness, other: ExecutorHarness) -> None:
    os.kill(serving.balancer_pid(), signal.SIGKILL)
    until(lambda: not serving.haproxy_pids())

    assert "which serves" in try_to_deploy(other)
    serving.reconcile()

    assert serving.request() == "1.0.0"


@pytest.mark.parametrize("gone_back", [True, False])
def test_after_a_clean_stop_the_port_is_that_of_what_serves(
    serving: ExecutorHarness, other: ExecutorHarness, gone_back: bool
) -> None:
    try_to_deploy(other)
    if gone_back:
        other.retire("blue")
    serving.stop()

    serving.reconcile()

    until(lambda: serving.request() == "1.0.0")
    assert other.haproxy_pids() == []


@pytest.mark.parametrize("gone_back", [True, False])
def test_after_a_power_cut_the_port_is_that_of_what_serves(
    serving: ExecutorHarness, other: ExecutorHarness, gone_back: bool
) -> None:
    try_to_deploy(other)
    if gone_back:
        other.retire("blue")
    kill_everything(serving, other)

    restore_after_a_crash(serving)
    assert other.haproxy_pids() == []


def test_a_component_that_took_the_port_of_a_serving_one_returns_it(
    serving: ExecutorHarness, other: ExecutorHarness
) -> None:
    """It was started by a version that did not look."""
    serving.stop()
    state = serving.state()
    state.settings = None
    serving.folder.save(state)  # out of the way for a moment
    other.do(ProvisionSlot(slot="blue", version="9.0.0", replicas=1))
    serving.run_in("blue")
    serving.route(blue=100)

    assert serving.request() == "1.0.0"
    other.reconcile()
    assert serving.request() == "1.0.0"
    assert other.haproxy_pids() == []


def test_of_two_that_serve_the_first_keeps_the_port(serving: ExecutorHarness, other: ExecutorHarness) -> None:
    try_to_deploy(other)
    state = other.state()
    state.weights = {"blue": 100}  # a deployment that had come as far as its first share
    other.folder.save(state)
    kill_everything(serving, other)

    restore_after_a_crash(serving)
    assert other.haproxy_pids() == []


def test_a_component_that_was_given_up_does_not_keep_its_port(serving: ExecutorHarness, other: ExecutorHarness) -> None:
    try_to_deploy(other)
    serving.retire("blue")

    other.run_in("blue", "9.0.0")
    other.route(blue=100)

    assert other.request() == "9.0.0"
    assert serving.haproxy_pids() == []


def test_a_component_of_which_nothing_shall_run_is_not_started_again(serving: ExecutorHarness) -> None:
    serving.retire("blue")
    serving.stop()
    serving.reconcile()

    assert serving.haproxy_pids() == []


def test_a_port_that_another_program_has_is_tried_again_with_longer_pauses(serving: ExecutorHarness) -> None:
    serving.stop()
    clock = Clock()
    with socket.create_server(("127.0.0.1", serving.port)):
        tries = []
        for _ in range(60):
            progress = converge(serving.folder, clock)
            assert progress.balancer is not None
            assert f"port {serving.port} of 127.0.0.1 is taken by process {os.getpid()} (" in progress.balancer
            state = serving.state()
            assert state.setback is not None
            tries.append(state.setback.tries)
            clock.seconds += 1.0
    assert 4 < tries[-1] < 10

    clock.seconds += 30.0
    progress = converge(serving.folder, clock)

    assert progress.balancer is None
    assert serving.state().setback is None
    until(lambda: serving.request() == "1.0.0")


def test_a_new_order_does_not_wait_for_the_next_try(serving: ExecutorHarness) -> None:
    serving.stop()
    with socket.create_server(("127.0.0.1", serving.port)):
        for _ in range(3):
            serving.reconcile()

    serving.route(blue=100)

    until(lambda: serving.request() == "1.0.0")


def test_a_serving_component_is_started_first(serving: ExecutorHarness, other: ExecutorHarness) -> None:
    other.port = other.settings["port"] = serving.port + 1
    other.do(ProvisionSlot(slot="blue", version="9.0.0", replicas=1))
    serving.stop()

    serving.reconcile()

    assert began_before((serving, "blue"), (other, "blue"))


def test_the_slot_that_has_the_traffic_is_started_first(serving: ExecutorHarness) -> None:
    serving.do(ProvisionSlot(slot="green", version="2.0.0", replicas=1))
    serving.route(green=100)
    serving.stop()

    serving.reconcile()

    assert began_before((serving, "green"), (serving, "blue"))


def test_the_executor_says_what_it_cannot_keep_running(serving: ExecutorHarness) -> None:
    serving.stop()
    executor = serving.local()
    with socket.create_server(("127.0.0.1", serving.port)):
        asyncio.run(executor.reconcile())
        [trouble] = executor.troubles()
        assert trouble.part == f"prod/shop/main/{serving.component}"
        assert trouble.affects_traffic
        assert f"port {serving.port} of 127.0.0.1 is taken by process" in trouble.says
    serving.route(blue=100)
    asyncio.run(executor.reconcile())
    assert executor.troubles() == []


class Clock(SystemClock):
    """Ours to put forward."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.seconds)
