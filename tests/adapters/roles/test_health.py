"""A role's health, and its endpoints for probes and Prometheus."""

import json
import socket
import struct
import time
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from release_management.runtime.roles.kit.health import Health
from release_management.runtime.roles.kit.probes import AddressTakenError, HealthServer


@pytest.fixture
def health() -> Health:
    return Health("relay")


@pytest.fixture
def server(health: Health) -> Iterator[HealthServer]:
    made = HealthServer(health)
    yield made
    made.close()


def well(health: Health) -> bool:
    return health.is_well


def ask(server: HealthServer, path: str) -> httpx.Response:
    return httpx.get(f"http://{server.address}{path}", timeout=5, trust_env=False)


def test_a_role_is_not_healthy_before_it_serves(health: Health) -> None:
    assert not well(health)
    health.set_status("active")
    assert well(health)


def test_a_standby_is_healthy(health: Health) -> None:
    health.set_status("standby")
    assert health.is_well


def test_a_trouble_makes_it_ill_until_it_is_cleared_and_a_warning_does_not(health: Health) -> None:
    health.set_status("active")
    health.warn("lag", "12 records behind")
    assert well(health)
    health.trouble("store", "the database does not answer")
    assert not well(health)
    health.clear("store")
    assert well(health)


def test_no_probe_is_told_the_password_in_an_address(health: Health, server: HealthServer) -> None:
    health.trouble("store", "postgresql://relman:hunter22@db/relman does not answer")

    assert "postgresql://relman:***@db/relman" in ask(server, "/health").text
    assert "hunter22" not in ask(server, "/health").text + ask(server, "/metrics").text


def test_a_part_has_one_thing_wrong_at_most_and_remembers_since_when(health: Health) -> None:
    health.set_status("active")
    health.warn("lag", "12 records behind")
    first = health.document()["warnings"][0]["since"]
    health.warn("lag", "20 records behind")
    assert [(each["says"], each["since"]) for each in health.document()["warnings"]] == [("20 records behind", first)]
    health.trouble("lag", "too far behind")
    assert health.document()["warnings"] == []
    assert [each["says"] for each in health.document()["troubles"]] == ["too far behind"]


def test_a_trouble_in_serving_is_over_once_it_serves_again(health: Health) -> None:
    health.set_status("active")
    health.set_status("starting")
    health.trouble("serving", "the bus is away")
    health.set_status("standby")
    assert health.is_well


def test_probes_hear_503_while_it_is_not_well_and_the_reason(health: Health, server: HealthServer) -> None:
    health.set_status("active")
    assert ask(server, "/health").status_code == 200
    health.trouble("store", "größer als gedacht")
    answer = ask(server, "/health")
    assert answer.status_code == 503
    assert [each["says"] for each in json.loads(answer.content)["troubles"]] == ["größer als gedacht"]
    assert ask(server, "/live").status_code == 200


def test_prometheus_hears_whether_it_is_well(health: Health, server: HealthServer) -> None:
    health.set_status("active")
    assert 'relman_role_healthy{role="relay"} 1.0' in ask(server, "/metrics").text
    health.trouble("store", "away")
    assert 'relman_role_healthy{role="relay"} 0.0' in ask(server, "/metrics").text


@pytest.mark.parametrize(
    ("says", "standing"),
    [
        (["trouble"], (1, 0)),
        (["warn"], (0, 1)),
        (["trouble", "warn"], (0, 1)),
        (["warn", "trouble"], (1, 0)),
        (["trouble", "trouble"], (1, 0)),
        (["trouble", "clear"], (0, 0)),
        (["warn", "clear", "clear"], (0, 0)),
    ],
)
def test_prometheus_hears_what_is_wrong(
    health: Health, server: HealthServer, says: list[str], standing: tuple[int, int]
) -> None:
    part = f"store {' '.join(says)}"
    for each in says:
        getattr(health, each)(*([part] if each == "clear" else [part, "away"]))

    families = text_string_to_metric_families(ask(server, "/metrics").text)
    found = {
        one.labels["kind"]: one.value
        for family in families
        if family.name == "relman_trouble"
        for one in family.samples
        if (one.labels["role"], one.labels["part"]) == ("relay", part)
    }
    assert (found.get("trouble", 0), found.get("warning", 0)) == standing


def test_anything_else_is_not_found(server: HealthServer) -> None:
    assert ask(server, "/../etc/passwd").status_code == 404


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:port", "0.0.0.0", "::1:0", "[nonsense]:0", "[::1]"])
def test_a_malformed_address_is_refused_in_words(health: Health, address: str) -> None:
    with pytest.raises(AddressTakenError, match=r"is no address for probes; write HOST:PORT, such as 127\.0\.0\.1:0"):
        HealthServer(health, address)


def test_the_health_server_listens_on_ipv6_too(health: Health) -> None:
    server = HealthServer(health, "[::1]:0")
    assert server.address.startswith("[::1]:")
    assert ask(server, "/live").status_code == 200
    server.close()


@pytest.mark.parametrize("address", ["127.0.0.1:70000", "256.0.0.1:0"])
def test_an_address_that_cannot_be_listened_on_is_refused_in_words(health: Health, address: str) -> None:
    with pytest.raises(AddressTakenError, match="cannot be listened on"):
        HealthServer(health, address)


def test_a_taken_address_is_refused_in_words(health: Health, server: HealthServer) -> None:
    with pytest.raises(AddressTakenError, match="name a free HOST:PORT, or port 0"):
        HealthServer(health, server.address)


def test_a_probe_that_hangs_up_leaves_no_traceback(
    server: HealthServer, health: Health, capfd: pytest.CaptureFixture[str]
) -> None:
    health.details["padding"] = "x" * 10_000_000
    host, _, port = server.address.rpartition(":")
    for asked in (b"GET /health HTTP/1.1\r\n\r\n", b"GET /metr", b"\xff\xfe\r\n\r\n", b""):
        with socket.create_connection((host, int(port)), timeout=5) as probe:
            # Hang up with a reset, while the answer is still being written.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            probe.sendall(asked)
            time.sleep(0.1)
    health.details.clear()

    assert ask(server, "/live").status_code == 200
    assert "Traceback" not in "".join(capfd.readouterr())
