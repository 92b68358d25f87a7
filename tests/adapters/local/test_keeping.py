"""What was asked for is kept running, and a clean stop leaves nothing."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from release_management.adapters.local import balancer, haproxy
from release_management.adapters.local.halt import halt_all
from release_management.adapters.logfiles import LOG_BYTES
from release_management.domain.orders import AwaitSlotHealthy, ProvisionSlot, Report
from tests.adapters.component import until
from tests.adapters.local.stand import Stand


def test_a_killed_balancer_comes_back_with_its_weights(stand: Stand) -> None:
    stand.run_in("blue", "1.0.0")
    stand.run_in("green", "2.0.0")
    stand.route(blue=75, green=25)
    killed = stand.balancer_pid()
    os.kill(killed, signal.SIGKILL)
    stand.reconcile()
    assert stand.balancer_pid() != killed
    assert stand.versions(200) == pytest.approx({"1.0.0": 150, "2.0.0": 50}, abs=4)
    assert len(stand.haproxy_pids()) == 1


def test_a_balancer_that_somebody_restarted_is_adopted(stand: Stand) -> None:
    stand.run_in("blue", "1.0.0")
    stand.run_in("green", "2.0.0")
    stand.route(blue=75, green=25)
    old = stand.balancer_pid()
    config = str(stand.folder.path / "haproxy.cfg")
    with subprocess.Popen([balancer.binary(), "-f", config, "-db", "-q", "-sf", str(old)]) as restarted:
        until(lambda: stand.haproxy_pids() == [restarted.pid])
        assert stand.versions(100) == pytest.approx({"1.0.0": 75, "2.0.0": 25}, abs=2)
        stand.reconcile()
        assert stand.balancer_pid() == restarted.pid
        assert stand.route(green=100).observed == {"blue": 0, "green": 100}
        assert stand.versions(50) == {"2.0.0": 50}
        stand.stop()


def test_weights_that_drifted_are_set_again(stand: Stand) -> None:
    stand.run_in("blue", "1.0.0")
    stand.run_in("green", "2.0.0")
    stand.route(blue=100)
    haproxy.ask(stand.socket(), "set server be/green1 weight 256; set server be/blue1 state maint")
    assert stand.versions(10) == {"2.0.0": 10}
    stand.reconcile()
    until(lambda: stand.request() == "1.0.0")
    assert stand.versions(50) == {"1.0.0": 50}


def test_what_a_component_and_its_balancer_write_does_not_fill_the_disk(stand: Stand) -> None:
    stand.run_in("blue", "1.0.0")
    stand.route(blue=100)
    logs = [stand.folder.log("blue1"), stand.folder.log("haproxy")]
    for log in logs:
        os.truncate(log, LOG_BYTES + 1)
    stand.reconcile()

    assert all(log.stat().st_size < LOG_BYTES for log in logs)
    assert all(log.with_name(f"{log.name}.1").stat().st_size > LOG_BYTES for log in logs)
    assert stand.folder.load().slots["blue"].instances[0].log_from == 0
    assert stand.request() == "1.0.0"


def test_a_killed_instance_is_started_again(stand: Stand) -> None:
    async def kill_one() -> None:
        executor = stand.local()
        running = asyncio.create_task(executor.run())
        os.kill(killed, signal.SIGKILL)
        while len(stand.starts()) < 3 or len(stand.instance_pids()) < 2:
            await asyncio.sleep(0.05)
        await executor.stop(keep=True)
        await running

    stand.run_in("blue", replicas=2)
    stand.route(blue=100)
    killed, other = stand.instance_pids()
    asyncio.run(asyncio.wait_for(kill_one(), 10))
    assert other in stand.instance_pids()
    assert killed not in stand.instance_pids()
    until(lambda: set(stand.versions(20)) == {"1.0.0"})


def test_what_survived_is_adopted(stand: Stand) -> None:
    stand.run_in("blue")
    before = [*stand.instance_pids(), *stand.haproxy_pids()]
    stand.reconcile()
    assert [*stand.instance_pids(), *stand.haproxy_pids()] == before


def test_a_clean_stop_leaves_no_process_and_the_next_start_restores(stand: Stand) -> None:
    stand.run_in("blue", "1.0.0", replicas=2)
    stand.run_in("green", "2.0.0")
    stand.route(blue=50, green=50)
    stand.stop()
    assert not stand.instance_pids()
    assert not stand.haproxy_pids()
    assert len([line for line in stand.journal.read_text().splitlines() if line.startswith("stop")]) == 3
    assert stand.request() == "ConnectionRefusedError"
    stand.reconcile()
    # One replica of two has its half of the slot's share, until the other is there as well.
    until(lambda: stand.versions(100) == pytest.approx({"1.0.0": 50, "2.0.0": 50}, abs=4))


def written_by_a_newer_version(stand: Stand, component: str) -> Path:
    """The state of another component, which this version cannot read."""
    state = stand.place.with_name(component) / "state.json"
    state.parent.mkdir(parents=True)
    state.write_text('{"altitude": 7}')
    return state


@pytest.mark.parametrize("neighbour", ["a", "z"])
def test_a_stop_ends_all_components_but_the_one_that_it_cannot_read_and_says_so(stand: Stand, neighbour: str) -> None:
    stand.run_in("blue", replicas=2)
    stand.route(blue=100)
    state = written_by_a_newer_version(stand, neighbour)
    with capture_logs() as logs:
        stand.stop()
    assert not stand.instance_pids()
    assert not stand.haproxy_pids()
    [left] = asyncio.run(halt_all(stand.data))
    assert left.startswith(f"what runs for prod/shop/main/{neighbour} may go on: {state} cannot be read, perhaps ")
    assert [(each["event"], each["left"]) for each in logs] == [("not everything could be ended", left)]


def test_a_component_runs_beside_one_that_cannot_be_read(stand: Stand) -> None:
    written_by_a_newer_version(stand, "a")
    stand.run_in("blue")
    stand.route(blue=100)
    assert stand.request() == "1.0.0"


def test_a_stop_lets_requests_in_flight_finish(stand: Stand) -> None:
    stand.arguments = ["--delay", "0.5"]
    stand.run_in("blue", "1.0.0")
    stand.route(blue=100)

    async def ask_and_stop() -> str:
        asking = asyncio.create_task(asyncio.to_thread(stand.request))
        await asyncio.sleep(0.2)
        await stand.local().stop()
        return await asking

    assert asyncio.run(ask_and_stop()) == "1.0.0"


def test_an_idle_client_does_not_hold_up_a_stop(stand: Stand) -> None:
    stand.run_in("blue")
    stand.route(blue=100)
    with socket.create_connection(("127.0.0.1", stand.port)) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert line.recv(1000).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        stand.stop()
        assert time.monotonic() - began < 2.0


def test_a_deep_folder_gets_a_short_socket(stand: Stand) -> None:
    stand.data = stand.data / ("deep" * 30)
    stand.run_in("blue")
    path = Path(stand.socket())
    assert len(str(path)) < 100
    stand.stop()
    assert not path.parent.exists()


def test_an_end_while_nobody_looked_is_no_failure(stand: Stand) -> None:
    order = stand.order(ProvisionSlot(slot="blue", version="1.0.0", replicas=1))
    with stand.victim(order, "none") as executor:
        assert executor.wait(20) == 0
    until(lambda: len(stand.starts()) == 1)
    [pid] = stand.instance_pids()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not stand.instance_pids())

    async def wait_and_reconcile() -> Report:
        executor = stand.local()
        running = asyncio.create_task(executor.run())
        report = await executor.carry_out(stand.order(AwaitSlotHealthy(slot="blue", replicas=1)))
        await executor.stop(keep=True)
        await running
        return report

    assert asyncio.run(wait_and_reconcile()).result == "succeeded"
    assert len(stand.starts()) == 2
