"""HAProxy is replaced where its configuration changes: connections live on in the old one, until it ends too."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from release_management.adapters.executors.base.processes import Process
from release_management.adapters.executors.local import haproxy
from release_management.adapters.executors.local.converge import converge
from release_management.adapters.executors.local.layout import layout
from release_management.adapters.executors.local.settings import check_settings
from release_management.adapters.executors.local.state import Balancer
from tests.adapters.component import (
    SystemClock,
    gone_afterwards,
    runs,
    until,
)
from tests.adapters.local.streams import (
    STREAM,
    Streaming,
    asked,
    change,
    events,
    is_closed,
    lives,
    open_tunnel,
)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Streaming]:
    with gone_afterwards(Streaming(tmp_path)) as made:
        made.settings["stop_grace"] = 1
        made.run_in("blue")
        made.route(blue=100)
        yield made


def test_other_settings_reach_haproxy_and_cut_no_connection(harness: Streaming) -> None:
    harness.run_in("green", "2.0.0")
    harness.route(blue=75, green=25)
    before = harness.balancer_pid()
    with open_tunnel(harness) as tunnel, asked(harness, "/events?seconds=0.2", STREAM) as line:
        assert events(line, 1) == 1
        change(harness, answer_timeout=600, stream_timeout=7200)

        assert harness.balancer_pid() != before
        shares = haproxy.shares(layout(harness.state()), haproxy.table(harness.socket()))
        assert shares == {"blue": 75, "green": 25}
        time.sleep(1.5)
        assert lives(tunnel), "stop_grace is for what ends"
        assert events(line, 10) >= 10
        assert harness.leaving() == [before]
    until(lambda: not runs(before))
    harness.reconcile()
    assert harness.leaving() == []


def test_no_request_is_lost_while_haproxy_is_replaced(harness: Streaming) -> None:
    with harness.load() as answers:
        for seconds in (10, 20, 30):
            change(harness, answer_timeout=seconds)
    assert set(answers) == {"1.0.0"}


@pytest.mark.parametrize("how", ["", "hang"])
def test_an_instance_that_was_down_gets_no_traffic_from_another_haproxy(harness: Streaming, how: str) -> None:
    harness.settings["health_check"] = {"interval": 0.1, "timeout": 0.5}
    harness.run_in("green", "2.0.0")
    harness.route(blue=50, green=50)
    harness.fall_ill("green", how)
    until(lambda: harness.status_of("green1").startswith("DOWN"))
    harness.settings["health_check"] = {"interval": 20, "fall": 10, "timeout": 10}
    before, pid = converge(harness.folder, SystemClock()), harness.balancer_pid()
    with harness.folder.locked():
        state = harness.state()
        state.slots["green"].settings = check_settings(harness.all_settings())
        harness.folder.save(state)
    after = converge(harness.folder, SystemClock(), before)

    assert harness.balancer_pid() != pid
    assert harness.status_of("green1").startswith("DOWN")
    assert harness.versions(10) == {"1.0.0": 10}
    assert after.repaired is None, "nobody else has changed it"


def test_a_stream_to_one_slot_does_not_hold_up_the_end_of_the_other(harness: Streaming) -> None:
    harness.settings["stop_grace"] = 20
    with open_tunnel(harness) as tunnel:
        harness.run_in("green", "2.0.0")
        change(harness, "green", "2.0.0", answer_timeout=600)
        assert harness.leaving()
        began = time.monotonic()
        with capture_logs() as logs:
            harness.retire("green")
        assert time.monotonic() - began < 18
        assert lives(tunnel)
    assert [each for each in logs if each["event"] == "connections cut off"] == []


def test_streams_of_a_replaced_haproxy_live_though_the_new_one_is_killed(harness: Streaming) -> None:
    with open_tunnel(harness) as tunnel:
        replaced = harness.balancer_pid()
        change(harness, answer_timeout=10)
        os.kill(harness.balancer_pid(), signal.SIGKILL)
        harness.reconcile()
        assert harness.request() == "1.0.0"
        assert lives(tunnel)
        assert harness.leaving() == [replaced]


def test_a_balancer_whose_successor_was_never_started_is_told_to_leave_by_the_next(harness: Streaming) -> None:
    """As a kill leaves it, between the record of the new HAProxy and its start."""
    with open_tunnel(harness) as tunnel:
        state = harness.state()
        assert state.balancer is not None
        state.leaving = [state.balancer.process]
        socket = str(harness.folder.path / "none.sock")
        state.balancer = Balancer(process=Process(token=state.leaving[0].token), socket=socket, shape="")
        with harness.folder.locked():
            harness.folder.save(state)
        harness.reconcile()

        assert harness.balancer_pid() not in harness.leaving()
        assert harness.request() == "1.0.0"
        assert lives(tunnel)
    until(lambda: harness.haproxy_pids() == [harness.balancer_pid()])


def test_a_stop_ends_a_replaced_haproxy_too_when_its_grace_is_over(harness: Streaming) -> None:
    with open_tunnel(harness) as tunnel:
        before = harness.balancer_pid()
        change(harness, answer_timeout=10)
        assert harness.leaving() == [before]
        harness.stop()
        assert is_closed(tunnel)
    assert harness.haproxy_pids() == []
    assert harness.instance_pids() == []
    assert harness.leaving() == []


def test_a_stop_waits_for_the_streams_of_a_replaced_haproxy(harness: Streaming) -> None:
    harness.settings["stop_grace"] = 20
    with open_tunnel(harness) as tunnel:
        change(harness, answer_timeout=10)
        stopping = threading.Thread(target=harness.stop)
        stopping.start()
        time.sleep(1.0)
        assert lives(tunnel)
    stopping.join(10)
    assert not stopping.is_alive()
    assert harness.haproxy_pids() == []
