"""Shares of the traffic, as clients see them."""

import socket

import pytest

from release_management.adapters.executors.local import haproxy
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots
from tests.adapters.local.harness import ExecutorHarness


def test_clients_see_the_shares_that_were_ordered(harness: ExecutorHarness) -> None:
    harness.run_in("blue", "1.0.0")
    harness.run_in("green", "2.0.0")
    assert harness.request() == "503"
    for share in (0, 5, 25, 50, 100):
        report = harness.route(blue=100 - share, green=share)
        assert report.observed == {"blue": 100 - share, "green": share}
        seen = harness.versions(2000)
        assert set(seen) <= {"1.0.0", "2.0.0"}
        assert seen["2.0.0"] / 20 == pytest.approx(share, abs=1.5)
        assert share or not seen["2.0.0"]
    assert harness.route().observed == {"blue": 0, "green": 0}
    assert harness.request() == "503"


def test_a_share_is_split_over_replicas(harness: ExecutorHarness) -> None:
    harness.run_in("blue", "1.0.0", replicas=3)
    harness.run_in("green", "2.0.0", replicas=1)
    harness.route(blue=75, green=25)
    assert harness.versions(400) == pytest.approx({"1.0.0": 300, "2.0.0": 100}, abs=4)
    harness.run_in("blue", "1.0.0", replicas=1)
    assert len(harness.instance_pids()) == 2
    assert harness.versions(400) == pytest.approx({"1.0.0": 300, "2.0.0": 100}, abs=4)


def test_blue_green_loses_no_request(harness: ExecutorHarness) -> None:
    harness.arguments = ["--delay", "0.02"]
    harness.run_in("blue", "1.0.0", replicas=2)
    harness.route(blue=100)
    with harness.load(clients=4) as answers:
        harness.run_in("green", "2.0.0", replicas=2)
        harness.route(green=100)
        harness.retire("blue")
        assert harness.versions(20) == {"2.0.0": 20}
    assert set(answers) == {"1.0.0", "2.0.0"}
    assert len(harness.instance_pids()) == 2


def test_a_slot_is_replaced_by_another_version(harness: ExecutorHarness) -> None:
    harness.run_in("blue", "1.0.0")
    harness.route(blue=100)
    harness.run_in("blue", "1.1.0")
    assert harness.versions(10) == {"1.1.0": 10}
    assert len(harness.instance_pids()) == 1


def test_an_impossible_order_is_errored_with_a_reason(harness: ExecutorHarness) -> None:
    nothing = harness.ask(harness.order(RouteSlots(weights={"blue": 100})))
    assert (nothing.result, nothing.reason) == (
        "errored",
        "nothing is provisioned in blue, so that it cannot get 100 % of the traffic",
    )
    many = harness.ask(harness.order(ProvisionSlot(slot="blue", version="1.0.0", replicas=9)))
    assert many.result == "errored"
    assert "max_replicas" in str(many.reason)
    other = harness.ask(harness.order(ProvisionSlot(slot="red", version="1.0.0", replicas=1)))
    assert other.reason == "there is no slot red; the settings name blue, green"
    assert harness.do(RouteSlots(weights={})).observed == {}
    assert harness.do(RetireSlot(slot="blue")).result == "succeeded"
    assert not harness.haproxy_pids()


def test_two_components_cannot_share_a_port(harness: ExecutorHarness) -> None:
    harness.run_in("blue")
    first, harness.component = harness.component, "other"
    report = harness.ask(harness.order(ProvisionSlot(slot="blue", version="1.0.0", replicas=1)))
    assert report.result == "errored"
    holder = f"{first} (shop in prod, target main)"
    assert report.reason == f"HAProxy cannot listen: port {harness.port} of 127.0.0.1 is taken by {holder}"
    assert harness.do(RetireSlot(slot="blue")).result == "succeeded"
    assert not harness.instance_pids()
    harness.component = first


def test_another_port_in_the_settings_moves_the_balancer(harness: ExecutorHarness) -> None:
    harness.run_in("blue")
    harness.route(blue=100)
    earlier = harness.port
    harness.settings["port"] = harness.port = haproxy_port = harness.port + 1
    harness.run_in("blue")
    assert harness.versions(10) == {"1.0.0": 10}
    harness.port = earlier
    assert harness.request() == "ConnectionRefusedError"
    harness.port = haproxy_port
    assert len(harness.starts()) == 1


def test_an_address_is_followed_when_its_port_is_taken(harness: ExecutorHarness) -> None:
    harness.run_in("blue")
    harness.route(blue=100)
    harness.stop()
    taken = harness.state().ports["blue"][0]
    with socket.create_server(("127.0.0.1", taken)):
        harness.run_in("blue")
        assert harness.state().ports["blue"][0] != taken
        assert harness.versions(10) == {"1.0.0": 10}
    assert haproxy.table(harness.socket())["blue1"].status == "UP"
