"""Roles that are processes of their own: they share, follow one another, and wait for what is away."""

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from release_management.adapters.executors.local.ports import free_port
from release_management.adapters.nats.wire.urls import read_url
from release_management.domain.registry import Registry
from release_management.kernel.record import Recorded
from release_management.runtime.roles.declared import ROLES
from release_management.services.ports import EventLog
from tests.acceptance.bus import published
from tests.acceptance.installation import canary
from tests.acceptance.roles import Roles, until
from tests.servers.postgres import PostgresServer

HANDOVER_SECONDS = 5.0
CARRIED_OUT = "relman_orders_total"


def target(roles: Roles) -> dict[str, Any]:
    command = ["{python}", "-m", "release_management.sample", "--port", "{port}", "--version", "{version}"]
    journal = ["--component", "{component}", "--journal", str(roles.root / "journal")]
    web = {"command": command + journal, "port": free_port(roles.ports), "health": "/health"}
    return {"targets": {"main": {"components": {"web": web}}}}


def starts(roles: Roles) -> list[str]:
    lines = (roles.root / "journal").read_text().splitlines()
    return [line for line in lines if line.startswith("start ")]


def log_of(roles: Roles) -> EventLog:
    return roles.home.open_log(Registry())


def test_a_release_goes_through_roles_that_are_processes_of_their_own(roles: Roles) -> None:
    serving = roles.start_all()
    shop = roles.manager()
    shop.configure_environments({"staging": target(roles)})
    assert shop.wait(shop.deploy(shop.create_release("1.0.0", ["web"]), "staging"), 30).succeeded
    assert len(starts(roles)) == 1
    assert [each.version for each in shop.environment("staging").running] == ["1.0.0"]
    for each in serving.values():
        assert each.health()["standing"] == "active", each.health()
        assert each.status() == 200
    assert [each.stop() for each in serving.values()] == [0] * len(serving)


def test_a_role_that_is_told_to_stop_does_not_wait_for_waiting_queries(on_files: Roles) -> None:
    roles = on_files
    roles.bus.start()
    projector = roles.start("projector")
    shop = roles.manager()

    def ask() -> None:
        with suppress(Exception):  # it is not answered any more
            shop._backend.query("releases", {}, after=1_000_000)

    threading.Thread(target=ask, daemon=True).start()
    time.sleep(0.5)
    began = time.monotonic()
    assert projector.stop() == 0
    assert time.monotonic() - began < 8, "the question waits for 10 s"


def test_a_killed_gateway_is_followed_within_5_seconds_and_nothing_that_was_acknowledged_is_lost(roles: Roles) -> None:
    roles.bus.start()
    first, second = roles.start("gateway"), roles.start("gateway")
    roles.start("projector")
    assert (first.health()["standing"], second.health()["standing"]) == ("active", "standby")
    shop = roles.manager()
    shop.configure_environments({"staging": {}})
    acknowledged = []

    def work() -> None:
        for number in range(60):
            acknowledged.append(str(shop.create_release(f"1.{number}.0", ["web"]).version))
            if number == 20:
                first.kill()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()
    assert second.health()["standing"] == "active"
    log = log_of(roles)
    created = [one.stream for one in log.read(0, 1000) if one.name == "release.created"]
    log.close()
    assert created == [f"release:shop@{version}" for version in acknowledged]
    assert len(acknowledged) == 60


def test_the_standby_serves_within_5_seconds_of_a_death(roles: Roles) -> None:
    roles.bus.start()
    first, second = roles.start("gateway"), roles.start("gateway")
    first.kill()
    assert until(lambda: second.health()["standing"] == "active", HANDOVER_SECONDS) < HANDOVER_SECONDS


def test_a_frozen_gateway_is_followed_too_and_decides_nothing_when_it_wakes(on_postgres: Roles) -> None:
    roles = on_postgres
    roles.bus.start()
    first, second = roles.start("gateway"), roles.start("gateway")
    roles.start("projector")
    shop = roles.manager()
    shop.configure_environments({"staging": {}})
    first.freeze()
    until(lambda: second.health()["standing"] == "active", HANDOVER_SECONDS + 2)
    shop.create_release("1.0.0", ["web"])
    first.thaw()
    until(lambda: first.health()["standing"] == "standby", 10)
    shop.create_release("1.1.0", ["web"])
    assert (first.health()["standing"], second.health()["standing"]) == ("standby", "active")


@pytest.mark.timeout(240)
def test_executors_of_one_name_share_its_orders_and_the_death_of_one_does_not_matter(on_files: Roles) -> None:
    roles = on_files
    serving = roles.start_all()
    sharing = serving["executor"], roles.start("executor")
    shop = roles.manager()
    shop.configure_environments({"staging": target(roles)})
    deployed = 0
    while deployed < 2 or (deployed < 10 and not all(each.count(CARRIED_OUT) for each in sharing)):
        release = shop.create_release(f"1.{deployed}.0", ["web"])
        assert shop.wait(shop.deploy(release, "staging"), 30).succeeded
        deployed += 1
    assert all(each.count(CARRIED_OUT) for each in sharing)

    deployment = shop.deploy(shop.create_release("2.0.0", ["web"]), "staging")
    sharing[0].kill()
    assert shop.wait(deployment, 60).succeeded
    assert len(starts(roles)) == deployed + 1
    assert sharing[1].health()["standing"] == "active"


@pytest.mark.timeout(240)
def test_orchestrator_timers_and_relay_are_followed_and_everything_happens_once(on_postgres: Roles) -> None:
    roles = on_postgres
    first = roles.start_all()
    second = {role: roles.start(role) for role in ("orchestrator", "timers", "relay")}
    assert {role: (first[role].health()["standing"], each.health()["standing"]) for role, each in second.items()} == (
        dict.fromkeys(second, ("active", "standby"))
    )
    shop = roles.manager()
    shop.configure_environments({"staging": target(roles)})
    shop.configure_deployment_strategy("canary", canary(10, 20, 40, 80, pause=0.5))
    assert shop.wait(shop.deploy(shop.create_release("1.0.0", ["web"]), "staging"), 30).succeeded
    deployment = shop.deploy(shop.create_release("1.1.0", ["web"]), "staging")
    for (role, follower), weight in zip(second.items(), (10, 20, 40), strict=True):
        until(lambda weight=weight: (shop.deployment(deployment).weight or 0) >= weight, 30)  # type: ignore[misc] # the default binds the loop's value
        first[role].kill()
        until(lambda each=follower: each.health()["standing"] == "active", 2 * HANDOVER_SECONDS)  # type: ignore[misc] # as above
    assert shop.wait(deployment, 60).succeeded

    log = roles.log()
    records = log.read(0, 1000)
    log.close()
    assert published(roles, len(records)) == [one.record for one in records]
    assert len(starts(roles)) == 2
    assert [one.stream for one in records if one.name == "command.refused"] == []
    steps = Counter(step_of(one) for one in records if one.name.startswith("deployment.step_"))
    assert len(steps) > 20
    assert set(steps.values()) == {1}
    assert second["orchestrator"].count("relman_orders_sent_total") > 0
    assert second["relay"].count("relman_published_total") > 0


def step_of(recorded: Recorded) -> tuple[object, ...]:
    """Return the step that a record begins or ends, which must happen once."""
    data = json.loads(recorded.record)["data"]
    return recorded.stream, recorded.name, data["leg"], data["step"]


def test_roles_that_are_started_before_the_bus_wait_for_it(on_files: Roles) -> None:
    roles = on_files
    began = [roles.begin(role) for role in ("relay", "executor", "projector", "orchestrator", "timers", "gateway")]
    time.sleep(1.0)
    roles.bus.start()
    for serving in began:
        assert serving.await_ready().health()["standing"] == "active"


def test_roles_wait_for_a_store_that_is_away_say_so_and_go_on(on_own_server: Roles, own_server: PostgresServer) -> None:
    roles = on_own_server
    serving = roles.start_all()
    shop = roles.manager()
    shop.configure_environments({"staging": target(roles)})
    assert shop.wait(shop.deploy(shop.create_release("1.0.0", ["web"]), "staging"), 30).succeeded
    deployment = shop.deploy(shop.create_release("1.1.0", ["web"]), "staging")
    own_server.kill()
    for role in ("gateway", "projector", "orchestrator", "timers", "relay"):
        until(lambda role=role: serving[role].status() == 503, 20)  # type: ignore[misc] # the default binds the loop's value
        assert serving[role].health()["troubles"], role
    assert serving["executor"].status() == 200
    own_server.start()
    assert shop.wait(deployment, 60).succeeded
    for each in serving.values():
        until(lambda each=each: each.status() == 200, 20)  # type: ignore[misc] # as above
    assert len(starts(roles)) == 2


def assert_every_line_says_who_when_how_bad_and_what(roles: Roles, role: str) -> None:
    (file,) = roles.root.glob(f"{role}-*.log")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {"standing", "trouble"} <= {line["event"] for line in lines}, role
    for line in lines:
        assert line["role"] == role
        assert line["instance"] == lines[0]["instance"]
        assert line["level"] in {"info", "warning", "error"}
        assert line["timestamp"] > "2026"


def test_roles_wait_for_a_bus_that_is_away_say_so_and_go_on(on_files: Roles) -> None:
    roles = on_files
    serving = roles.start_all()
    shop = roles.manager()
    shop.configure_environments({"staging": target(roles)})
    deployment = shop.deploy(shop.create_release("1.0.0", ["web"]), "staging")
    url = roles.bus.url
    roles.bus.stop()
    for each in serving.values():
        until(lambda each=each: each.status() == 503, 20)  # type: ignore[misc] # the default binds the loop's value
    roles.bus.start()
    assert roles.bus.url == url
    for each in serving.values():
        until(lambda each=each: each.status() == 200, 20)  # type: ignore[misc] # as above
    assert shop.wait(deployment, 60).succeeded
    assert len(starts(roles)) == 1
    for each in serving.values():
        each.stop()
    assert serving.keys() == ROLES.keys()
    for role in serving:
        assert_every_line_says_who_when_how_bad_and_what(roles, role)


def test_a_role_that_meets_records_of_a_newer_version_says_which_and_ends(on_postgres: Roles) -> None:
    roles = on_postgres
    roles.bus.start()
    gateway = roles.start("gateway")
    gateway.stop()
    import psycopg

    assert roles.home.store is not None
    with psycopg.connect(roles.home.store, autocommit=True) as connection:
        connection.execute("INSERT INTO relman_log.kinds VALUES ('flag.dimmed', 7)")
    again = roles.begin("gateway")
    assert again.process.wait(20) != 0
    last = (roles.root / "gateway-1.log").read_text().strip().splitlines()[-1]
    assert "flag.dimmed (schema version 7)" in last
    assert last.startswith("error: ")


def test_metrics_are_what_prometheus_reads(on_files: Roles) -> None:
    roles = on_files
    serving = roles.start_all()
    shop = roles.manager()
    shop.configure_environments({"staging": {}})
    shop.create_release("1.0.0", ["web"])
    until(lambda: "relman_projection_position" in serving["projector"].metrics(), 5)

    def samples(role: str) -> dict[str, float]:
        families = text_string_to_metric_families(serving[role].metrics())
        return {f"{one.name}{sorted(one.labels.items())}": one.value for family in families for one in family.samples}

    gateway = samples("gateway")
    assert gateway["relman_commands_total[('command', 'release.create'), ('status', 'accepted')]"] == 1
    assert gateway["relman_lease_held[('role', 'gateway')]"] == 1
    assert gateway["relman_bus_connected[]"] == 1
    assert gateway["relman_command_seconds_count[]"] >= 2
    until(lambda: samples("relay").get("relman_relay_position[]", 0) >= 3, 10)
    until(lambda: samples("projector")["relman_projection_lag[('projection', 'releases')]"] == 0, 10)
    assert httpx.get(f"{serving['relay'].address}/nothing", trust_env=False).status_code == 404


def test_a_second_gateway_in_a_process_of_ones_own_is_refused_with_what_would_be_right(roles: Roles) -> None:
    roles.bus.start()
    roles.start("gateway")
    from release_management import ReleaseManager
    from release_management.adapters.nats.client import NotReachableError

    with pytest.raises(NotReachableError, match="be its client: --data nats://"):
        ReleaseManager("shop", data=str(roles.home.folder))
    assert read_url(roles.home.folder) is not None
