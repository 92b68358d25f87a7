"""Shares of the traffic, as clients see them."""

import socket

import pytest

from release_management.adapters.local import haproxy
from release_management.domain.orders import ProvisionSlot, RetireSlot, RouteSlots
from tests.adapters.local.stand import Stand


def test_clients_see_the_shares_that_were_ordered(stand: Stand) -> None:
    stand.run_in("blue", "1.0.0")
    stand.run_in("green", "2.0.0")
    assert stand.request() == "503"
    for share in (0, 5, 25, 50, 100):
        report = stand.route(blue=100 - share, green=share)
        assert report.observed == {"blue": 100 - share, "green": share}
        seen = stand.versions(2000)
        assert set(seen) <= {"1.0.0", "2.0.0"}
        assert seen["2.0.0"] / 20 == pytest.approx(share, abs=1.5)
        assert share or not seen["2.0.0"]
    assert stand.route().observed == {"blue": 0, "green": 0}
    assert stand.request() == "503"


def test_a_share_is_split_over_replicas(stand: Stand) -> None:
    stand.run_in("blue", "1.0.0", replicas=3)
    stand.run_in("green", "2.0.0", replicas=1)
    stand.route(blue=75, green=25)
    assert stand.versions(400) == pytest.approx({"1.0.0": 300, "2.0.0": 100}, abs=4)
    stand.run_in("blue", "1.0.0", replicas=1)
    assert len(stand.instance_pids()) == 2
    assert stand.versions(400) == pytest.approx({"1.0.0": 300, "2.0.0": 100}, abs=4)


def test_blue_green_loses_no_request(stand: Stand) -> None:
    stand.arguments = ["--delay", "0.02"]
    stand.run_in("blue", "1.0.0", replicas=2)
    stand.route(blue=100)
    with stand.load(clients=4) as answers:
        stand.run_in("green", "2.0.0", replicas=2)
        stand.route(green=100)
        stand.retire("blue")
        assert stand.versions(20) == {"2.0.0": 20}
    assert set(answers) == {"1.0.0", "2.0.0"}
    assert len(stand.instance_pids()) == 2


def test_a_slot_is_replaced_by_another_version(stand: Stand) -> None:
    stand.run_in("blue", "1.0.0")
    stand.route(blue=100)
    stand.run_in("blue", "1.1.0")
    assert stand.versions(10) == {"1.1.0": 10}
    assert len(stand.instance_pids()) == 1


def test_what_cannot_be_done_is_errored_with_a_reason(stand: Stand) -> None:
    nothing = stand.ask(stand.order(RouteSlots(weights={"blue": 100})))
    assert (nothing.result, nothing.reason) == (
        "errored",
        "nothing is provisioned in blue, so that it cannot get 100 % of the traffic",
    )
    many = stand.ask(stand.order(ProvisionSlot(slot="blue", version="1.0.0", replicas=9)))
    assert many.result == "errored"
    assert "max_replicas" in str(many.reason)
    other = stand.ask(stand.order(ProvisionSlot(slot="red", version="1.0.0", replicas=1)))
    assert other.reason == "there is no slot red; the settings name blue, green"
    assert stand.do(RouteSlots(weights={})).observed == {}
    assert stand.do(RetireSlot(slot="blue")).result == "succeeded"
    assert not stand.haproxy_pids()


def test_two_components_cannot_share_a_port(stand: Stand) -> None:
    stand.run_in("blue")
    first, stand.component = stand.component, "other"
    report = stand.ask(stand.order(ProvisionSlot(slot="blue", version="1.0.0", replicas=1)))
    assert report.result == "errored"
    holder = f"{first} (shop in prod, target main)"
    assert report.reason == f"HAProxy cannot listen: port {stand.port} of 127.0.0.1 is taken by {holder}"
    assert stand.do(RetireSlot(slot="blue")).result == "succeeded"
    assert not stand.instance_pids()
    stand.component = first


def test_another_port_in_the_settings_moves_the_balancer(stand: Stand) -> None:
    stand.run_in("blue")
    stand.route(blue=100)
    earlier = stand.port
    stand.settings["port"] = stand.port = haproxy_port = stand.port + 1
    stand.run_in("blue")
    assert stand.versions(10) == {"1.0.0": 10}
    stand.port = earlier
    assert stand.request() == "ConnectionRefusedError"
    stand.port = haproxy_port
    assert len(stand.starts()) == 1


def test_an_address_is_followed_when_its_port_is_taken(stand: Stand) -> None:
    stand.run_in("blue")
    stand.route(blue=100)
    stand.stop()
    taken = stand.state().ports["blue"][0]
    with socket.create_server(("127.0.0.1", taken)):
        stand.run_in("blue")
        assert stand.state().ports["blue"][0] != taken
        assert stand.versions(10) == {"1.0.0": 10}
    assert haproxy.table(stand.socket())["blue1"].status == "UP"
