"""HAProxy is replaced where its configuration changes: connections live on in the old one, until it ends too."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from release_management.adapters.local import haproxy
from release_management.adapters.local.converge import converge
from release_management.adapters.local.layout import layout
from release_management.adapters.local.settings import check_settings
from release_management.adapters.local.state import Balancer
from release_management.adapters.targets.processes import Process
from tests.adapters.component import SystemClock, gone_afterwards, runs, until
from tests.adapters.local.streams import STREAM, Streaming, asked, change, events, is_closed, lives, open_tunnel


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Streaming]:
    with gone_afterwards(Streaming(tmp_path)) as made:
        made.settings["stop_grace"] = 1
        made.run_in("blue")
        made.route(blue=100)
        yield made


def test_other_settings_reach_haproxy_and_cut_no_connection(stand: Streaming) -> None:
    stand.run_in("green", "2.0.0")
    stand.route(blue=75, green=25)
    before = stand.balancer_pid()
    with open_tunnel(stand) as tunnel, asked(stand, "/events?seconds=0.2", STREAM) as line:
        assert events(line, 1) == 1
        change(stand, answer_timeout=600, stream_timeout=7200)

        assert stand.balancer_pid() != before
        shares = haproxy.shares(layout(stand.state()), haproxy.table(stand.socket()))
        assert shares == {"blue": 75, "green": 25}
        time.sleep(1.5)
        assert lives(tunnel), "stop_grace is for what ends"
        assert events(line, 10) >= 10
        assert stand.leaving() == [before]
    until(lambda: not runs(before))
    stand.reconcile()
    assert stand.leaving() == []


def test_no_request_is_lost_while_haproxy_is_replaced(stand: Streaming) -> None:
    with stand.load() as answers:
        for seconds in (10, 20, 30):
            change(stand, answer_timeout=seconds)
    assert set(answers) == {"1.0.0"}


@pytest.mark.parametrize("how", ["", "hang"])
def test_an_instance_that_was_down_gets_no_traffic_from_another_haproxy(stand: Streaming, how: str) -> None:
    stand.settings["health_check"] = {"interval": 0.1, "timeout": 0.5}
    stand.run_in("green", "2.0.0")
    stand.route(blue=50, green=50)
    stand.fall_ill("green", how)
    until(lambda: stand.status_of("green1").startswith("DOWN"))
    stand.settings["health_check"] = {"interval": 20, "fall": 10, "timeout": 10}
    before, pid = converge(stand.folder, SystemClock()), stand.balancer_pid()
    with stand.folder.locked():
        state = stand.state()
        state.slots["green"].settings = check_settings(stand.all_settings())
        stand.folder.save(state)
    after = converge(stand.folder, SystemClock(), before)

    assert stand.balancer_pid() != pid
    assert stand.status_of("green1").startswith("DOWN")
    assert stand.versions(10) == {"1.0.0": 10}
    assert after.repaired is None, "nobody else has changed it"


def test_a_stream_to_one_slot_does_not_hold_up_the_end_of_the_other(stand: Streaming) -> None:
    stand.settings["stop_grace"] = 20
    with open_tunnel(stand) as tunnel:
        stand.run_in("green", "2.0.0")
        change(stand, "green", "2.0.0", answer_timeout=600)
        assert stand.leaving()
        began = time.monotonic()
        with capture_logs() as logs:
            stand.retire("green")
        assert time.monotonic() - began < 5
        assert lives(tunnel)
    assert [each for each in logs if each["event"] == "connections cut off"] == []


def test_streams_of_a_replaced_haproxy_live_though_the_new_one_is_killed(stand: Streaming) -> None:
    with open_tunnel(stand) as tunnel:
        replaced = stand.balancer_pid()
        change(stand, answer_timeout=10)
        os.kill(stand.balancer_pid(), signal.SIGKILL)
        stand.reconcile()
        assert stand.request() == "1.0.0"
        assert lives(tunnel)
        assert stand.leaving() == [replaced]


def test_one_whose_successor_was_never_started_is_told_to_leave_by_the_next(stand: Streaming) -> None:
    """As a kill leaves it, between the record of the new HAProxy and its start."""
    with open_tunnel(stand) as tunnel:
        state = stand.state()
        assert state.balancer is not None
        state.leaving = [state.balancer.process]
        socket = str(stand.folder.path / "none.sock")
        state.balancer = Balancer(process=Process(token=state.leaving[0].token), socket=socket, shape="")
        with stand.folder.locked():
            stand.folder.save(state)
        stand.reconcile()

        assert stand.balancer_pid() not in stand.leaving()
        assert stand.request() == "1.0.0"
        assert lives(tunnel)
    until(lambda: stand.haproxy_pids() == [stand.balancer_pid()])


def test_a_stop_ends_a_replaced_haproxy_too_when_its_grace_is_over(stand: Streaming) -> None:
    with open_tunnel(stand) as tunnel:
        before = stand.balancer_pid()
        change(stand, answer_timeout=10)
        assert stand.leaving() == [before]
        stand.stop()
        assert is_closed(tunnel)
    assert stand.haproxy_pids() == []
    assert stand.instance_pids() == []
    assert stand.leaving() == []


def test_a_stop_waits_for_the_streams_of_a_replaced_haproxy(stand: Streaming) -> None:
    stand.settings["stop_grace"] = 20
    with open_tunnel(stand) as tunnel:
        change(stand, answer_timeout=10)
        stopping = threading.Thread(target=stand.stop)
        stopping.start()
        time.sleep(1.0)
        assert lives(tunnel)
    stopping.join(10)
    assert not stopping.is_alive()
    assert stand.haproxy_pids() == []
