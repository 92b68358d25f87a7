"""Two versions of a component that stand beside each other, each with settings of its own."""

import time
from pathlib import Path

import pytest

from release_management.adapters.executors.local import haproxy
from release_management.adapters.executors.local.ports import free_port
from release_management.domain.plan.steps.provision import ProvisionSlot
from tests.adapters.component import until
from tests.adapters.local.harness import ExecutorHarness

GREETER = str(Path(__file__).with_name("greeter.py"))


def configure(harness: ExecutorHarness, health: str = "/old", greeting: str = "hello", port: int | None = None) -> None:
    """Set the settings and variables of later orders."""
    harness.settings |= {
        "command": ["{python}", GREETER, "{port}", "{version}", harness.component, str(harness.journal)],
        "health": health,
        "env": {"HEALTH": health},
        "port": harness.port if port is None else port,
    }
    harness.variables = {"GREETING": greeting}


def status(harness: ExecutorHarness, server: str) -> str:
    return haproxy.table(harness.socket())[server].status


@pytest.fixture
def old(harness: ExecutorHarness) -> ExecutorHarness:
    """It serves with its first settings."""
    configure(harness)
    harness.run_in("blue")
    harness.route(blue=100)
    return harness


def on(harness: ExecutorHarness, port: int) -> str:
    """Return the answer on a port."""
    before, harness.port = harness.port, port
    try:
        return harness.request()
    finally:
        harness.port = before


def test_each_version_is_asked_for_its_own_health(old: ExecutorHarness) -> None:
    with old.load() as answers:
        configure(old, health="/new", greeting="hi")
        old.run_in("green", "2.0.0")
        time.sleep(1.0)  # several checks of the balancer
        assert (status(old, "blue1"), status(old, "green1")) == ("UP", "UP")
        old.route(blue=50, green=50)
        assert set(old.versions(20)) == {"1.0.0 hello", "2.0.0 hi"}
        old.route(green=100)
        old.retire("blue")
    assert set(answers) == {"1.0.0 hello", "2.0.0 hi"}


def test_the_way_back_has_the_settings_from_before(old: ExecutorHarness) -> None:
    with old.load() as answers:
        configure(old, health="/new", greeting="hi")
        old.run_in("green", "2.0.0")
        old.route(blue=50, green=50)
        configure(old)
        old.run_in("blue")
        old.route(blue=100)
        old.retire("green")
        time.sleep(0.5)
        assert status(old, "blue1") == "UP"
        assert old.versions(20) == {"1.0.0 hello": 20}
    assert set(answers) == {"1.0.0 hello", "2.0.0 hi"}


def test_both_ports_answer_while_both_versions_stand(old: ExecutorHarness) -> None:
    new_port = free_port({old.port})
    assert on(old, new_port) == "ConnectionRefusedError"
    with old.load() as answers:
        configure(old, port=new_port, greeting="hi")
        old.run_in("green", "2.0.0")
        assert on(old, new_port) == "1.0.0 hello"
        old.route(green=100)
        assert (on(old, old.port), on(old, new_port)) == ("2.0.0 hi", "2.0.0 hi")
    assert set(answers) == {"1.0.0 hello", "2.0.0 hi"}
    old.retire("blue")
    assert (on(old, old.port), on(old, new_port)) == ("ConnectionRefusedError", "2.0.0 hi")


def test_a_port_that_was_left_is_taken_up_again_on_the_way_back(old: ExecutorHarness) -> None:
    new_port = free_port({old.port})
    configure(old, port=new_port, greeting="hi")
    old.run_in("green", "2.0.0")
    old.route(green=100)
    old.retire("blue")
    configure(old)
    old.run_in("blue")
    assert on(old, old.port) == "2.0.0 hi"
    old.route(blue=100)
    old.retire("green")
    assert (on(old, old.port), on(old, new_port)) == ("1.0.0 hello", "ConnectionRefusedError")


def test_a_port_that_is_taken_leaves_the_old_version_as_it_is(old: ExecutorHarness, tmp_path: Path) -> None:
    other = ExecutorHarness(tmp_path)
    other.component = "other"
    try:
        other.run_in("blue", "9.0.0")
        other.route(blue=100)
        configure(old, port=other.port)
        report = old.ask(old.order(ProvisionSlot(slot="green", version="2.0.0", replicas=1)))
        assert report.result == "errored"
        said = f"port {other.port} of 127.0.0.1 is that of other (shop in prod, target main), which serves"
        assert report.reason == said
        assert old.versions(10) == {"1.0.0 hello": 10}
        old.retire("green")
        assert old.versions(10) == {"1.0.0 hello": 10}
        assert other.versions(10) == {"9.0.0": 10}
    finally:
        other.end_everything()


def test_more_replicas_than_the_old_version_may_have(old: ExecutorHarness) -> None:
    old.settings["max_replicas"] = 6
    with old.load() as answers:
        old.run_in("green", "2.0.0", replicas=6)
        old.route(green=100)
        assert old.versions(30) == {"2.0.0 hello": 30}
        old.settings["max_replicas"] = 2
        old.run_in("blue", "1.0.0", replicas=2)
        assert len(old.instance_pids()) == 8, "a provision of one slot leaves the other as it is"
        old.route(blue=100)
        old.retire("green")
    assert set(answers) == {"1.0.0 hello", "2.0.0 hello"}


def test_other_settings_are_not_taken_over_from_a_route_that_takes_all_traffic_away(old: ExecutorHarness) -> None:
    port = free_port({old.port})
    configure(old, port=port)
    old.route()
    old.retire("blue")
    assert old.request() == "503", "nothing has come yet, so the port of what was there is held"
    old.run_in("green", "2.0.0")
    old.route(green=100)
    assert (old.request(), on(old, port)) == ("ConnectionRefusedError", "2.0.0 hello")


def test_a_balancer_that_is_restored_has_both_ports(old: ExecutorHarness) -> None:
    port = free_port({old.port})
    configure(old, port=port)
    old.run_in("green", "2.0.0")
    old.route(blue=50, green=50)
    old.stop()
    old.reconcile()
    until(lambda: set(old.versions(6)) == {"1.0.0 hello", "2.0.0 hello"})
    assert on(old, port) in ("1.0.0 hello", "2.0.0 hello")
