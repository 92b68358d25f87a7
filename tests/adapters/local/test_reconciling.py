"""The intended processes are kept running, and a clean stop leaves none."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from release_management.adapters.executors.local import balancer, haproxy
from release_management.adapters.executors.local.halt import halt_all
from release_management.adapters.system.log_files import LOG_BYTES
from release_management.domain.orders import Report
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.provision import ProvisionSlot
from tests.adapters.component import until
from tests.adapters.local.harness import ExecutorHarness


def test_a_killed_balancer_comes_back_with_its_weights(harness: ExecutorHarness) -> None:
    harness.run_in("blue", "1.0.0")
    harness.run_in("green", "2.0.0")
    harness.route(blue=75, green=25)
    killed = harness.balancer_pid()
    os.kill(killed, signal.SIGKILL)
    harness.reconcile()
    assert harness.balancer_pid() != killed
    assert harness.versions(200) == pytest.approx({"1.0.0": 150, "2.0.0": 50}, abs=4)
    assert len(harness.haproxy_pids()) == 1


def test_a_balancer_that_somebody_restarted_is_adopted(harness: ExecutorHarness) -> None:
    harness.run_in("blue", "1.0.0")
    harness.run_in("green", "2.0.0")
    harness.route(blue=75, green=25)
    old = harness.balancer_pid()
    config = str(harness.folder.path / "haproxy.cfg")
    with subprocess.Popen([balancer.binary(), "-f", config, "-db", "-q", "-sf", str(old)]) as restarted:
        until(lambda: harness.haproxy_pids() == [restarted.pid])
        assert harness.versions(100) == pytest.approx({"1.0.0": 75, "2.0.0": 25}, abs=2)
        harness.reconcile()
        assert harness.balancer_pid() == restarted.pid
        assert harness.route(green=100).observed == {"blue": 0, "green": 100}
        assert harness.versions(50) == {"2.0.0": 50}
        harness.stop()


def test_weights_that_drifted_are_set_again(harness: ExecutorHarness) -> None:
    harness.run_in("blue", "1.0.0")
    harness.run_in("green", "2.0.0")
    harness.route(blue=100)
    haproxy.ask(harness.socket(), "set server be/green1 weight 256; set server be/blue1 state maint")
    assert harness.versions(10) == {"2.0.0": 10}
    harness.reconcile()
    until(lambda: harness.request() == "1.0.0")
    assert harness.versions(50) == {"1.0.0": 50}


def test_logs_of_a_component_and_its_balancer_do_not_fill_the_disk(harness: ExecutorHarness) -> None:
    harness.run_in("blue", "1.0.0")
    harness.route(blue=100)
    logs = [harness.folder.log("blue1"), harness.folder.log("haproxy")]
    for log in logs:
        os.truncate(log, LOG_BYTES + 1)
    harness.reconcile()

    assert all(log.stat().st_size < LOG_BYTES for log in logs)
    assert all(log.with_name(f"{log.name}.1").stat().st_size > LOG_BYTES for log in logs)
    assert harness.folder.load().slots["blue"].instances[0].log_from == 0
    assert harness.request() == "1.0.0"


def test_a_killed_instance_is_started_again(harness: ExecutorHarness) -> None:
    async def kill_one() -> None:
        executor = harness.local()
        running = asyncio.create_task(executor.run())
        os.kill(killed, signal.SIGKILL)
        while len(harness.starts()) < 3 or len(harness.instance_pids()) < 2:
            await asyncio.sleep(0.05)
        await executor.stop(keep=True)
        await running

    harness.run_in("blue", replicas=2)
    harness.route(blue=100)
    killed, other = harness.instance_pids()
    asyncio.run(asyncio.wait_for(kill_one(), 10))
    assert other in harness.instance_pids()
    assert killed not in harness.instance_pids()
    until(lambda: set(harness.versions(20)) == {"1.0.0"})


def test_surviving_processes_are_adopted(harness: ExecutorHarness) -> None:
    harness.run_in("blue")
    before = [*harness.instance_pids(), *harness.haproxy_pids()]
    harness.reconcile()
    assert [*harness.instance_pids(), *harness.haproxy_pids()] == before


def test_a_clean_stop_leaves_no_process_and_the_next_start_restores(harness: ExecutorHarness) -> None:
    harness.run_in("blue", "1.0.0", replicas=2)
    harness.run_in("green", "2.0.0")
    harness.route(blue=50, green=50)
    harness.stop()
    assert not harness.instance_pids()
    assert not harness.haproxy_pids()
    assert len([line for line in harness.journal.read_text().splitlines() if line.startswith("stop")]) == 3
    assert harness.request() == "ConnectionRefusedError"
    harness.reconcile()
    # One replica of two has its half of the slot's share, until the other is there as well.
    until(lambda: harness.versions(100) == pytest.approx({"1.0.0": 50, "2.0.0": 50}, abs=4))


def written_by_a_newer_version(harness: ExecutorHarness, component: str) -> Path:
    """The state of another component, which this version cannot read."""
    state = harness.place.with_name(component) / "state.json"
    state.parent.mkdir(parents=True)
    state.write_text('{"altitude": 7}')
    return state


@pytest.mark.parametrize("neighbour", ["a", "z"])
def test_a_stop_ends_all_components_but_the_one_that_it_cannot_read_and_says_so(
    harness: ExecutorHarness, neighbour: str
) -> None:
    harness.run_in("blue", replicas=2)
    harness.route(blue=100)
    state = written_by_a_newer_version(harness, neighbour)
    with capture_logs() as logs:
        harness.stop()
    assert not harness.instance_pids()
    assert not harness.haproxy_pids()
    [left] = asyncio.run(halt_all(harness.data))
    assert left.startswith(f"what runs for prod/shop/main/{neighbour} may go on: {state} cannot be read, perhaps ")
    assert [(each["event"], each["left"]) for each in logs] == [("not everything could be ended", left)]


def test_a_component_runs_beside_one_that_cannot_be_read(harness: ExecutorHarness) -> None:
    written_by_a_newer_version(harness, "a")
    harness.run_in("blue")
    harness.route(blue=100)
    assert harness.request() == "1.0.0"


def test_a_stop_lets_requests_in_flight_finish(harness: ExecutorHarness) -> None:
    harness.arguments = ["--delay", "0.5"]
    harness.run_in("blue", "1.0.0")
    harness.route(blue=100)

    async def ask_and_stop() -> str:
        asking = asyncio.create_task(asyncio.to_thread(harness.request))
        await asyncio.sleep(0.2)
        await harness.local().stop()
        return await asking

    assert asyncio.run(ask_and_stop()) == "1.0.0"


def test_an_idle_client_does_not_hold_up_a_stop(harness: ExecutorHarness) -> None:
    harness.run_in("blue")
    harness.route(blue=100)
    with socket.create_connection(("127.0.0.1", harness.port)) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert line.recv(1000).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        harness.stop()
        assert time.monotonic() - began < 2.0


def test_a_deep_folder_gets_a_short_socket(harness: ExecutorHarness) -> None:
    harness.data = harness.data / ("deep" * 30)
    harness.run_in("blue")
    path = Path(harness.socket())
    assert len(str(path)) < 100
    harness.stop()
    assert not path.parent.exists()


def test_an_end_while_nobody_looked_is_no_failure(harness: ExecutorHarness) -> None:
    order = harness.order(ProvisionSlot(slot="blue", version="1.0.0", replicas=1))
    with harness.victim(order, "none") as executor:
        assert executor.wait(20) == 0
    until(lambda: len(harness.starts()) == 1)
    [pid] = harness.instance_pids()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not harness.instance_pids())

    async def wait_and_reconcile() -> Report:
        executor = harness.local()
        running = asyncio.create_task(executor.run())
        report = await executor.carry_out(harness.order(AwaitSlotHealthy(slot="blue", replicas=1)))
        await executor.stop(keep=True)
        await running
        return report

    assert asyncio.run(wait_and_reconcile()).result == "succeeded"
    assert len(harness.starts()) == 2
