"""Roles in processes of their own report their work and their troubles: in health, metrics and log."""

import resource
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.installation import canary
from tests.acceptance.roles import (
    Roles,
    Serving,
    until,
)
from tests.acceptance.test_roles import starts, target
from tests.servers.postgres import PostgresServer

Samples = dict[tuple[str, ...], float]


def samples(serving: Serving) -> Samples:
    """Every sample by its name and the values of its labels, in the order of the labels' names."""
    families = text_string_to_metric_families(serving.metrics())
    return {
        (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
        for family in families
        for one in family.samples
    }


def deploy(roles: Roles) -> None:
    """A first version, a canary of the next with a pause for the timers to end, and one that waits in line for it."""
    shop = roles.manager()
    shop.configure_environments({"staging": target(roles)})
    assert shop.wait(shop.deploy(shop.create_release("1.0.0", ["web"]), "staging"), 30).succeeded
    going = shop.deploy(shop.create_release("1.1.0", ["web"]), "staging", "canary", canary(25, pause=0.2))
    waiting = shop.deploy(shop.create_release("1.2.0", ["web"]), "staging")
    assert shop.wait(going, 30).succeeded
    assert shop.wait(waiting, 30).succeeded


def test_every_role_measures_its_positions_lags_outcomes_and_latencies(on_files: Roles) -> None:
    roles = on_files
    serving = roles.start_all()
    deploy(roles)
    positions: list[tuple[str, tuple[str, ...]]] = [
        (role, ("relman_log_position",)) for role in serving if role != "executor"
    ]
    positions += [(role, ("relman_projection_position", "agenda")) for role in ("orchestrator", "timers")]
    positions += [("projector", ("relman_projection_position", "releases")), ("relay", ("relman_relay_position",))]
    with closing(roles.log()) as log:
        until(lambda: {samples(serving[role]).get(name) for role, name in positions} == {log.last_position()}, 10)
        end = log.last_position()
    metrics = {role: samples(each) for role, each in serving.items()}

    def within(role: str, name: str, *labels: str, at_least: int = 1) -> None:
        """A latency was observed so often, and its mean is more than nothing and less than the test has taken."""
        count = metrics[role][(f"{name}_count", *labels)]
        assert count >= at_least, (role, name)
        assert 0 < metrics[role][(f"{name}_sum", *labels)] / count < 30, (role, name)

    gateway = metrics["gateway"]
    assert gateway["relman_commands_total", "deployment.deploy", "accepted"] == 3
    assert gateway["relman_commands_total", "deployment.report_step", "accepted"] >= 5
    assert gateway["relman_bus_backlog", "gateway", "RELMAN_COMMANDS"] == 0
    assert gateway["relman_queue_length",] == 0
    within("gateway", "relman_command_seconds", at_least=10)
    within("gateway", "relman_batch_commands", at_least=10)

    projector = metrics["projector"]
    assert projector["relman_projection_lag", "releases"] == projector["relman_projection_parked", "releases"] == 0
    assert projector["relman_queries_total", "deployment", "answered"] >= 1
    within("projector", "relman_query_seconds")
    within("projector", "relman_projection_page_seconds")

    orchestrator = metrics["orchestrator"]
    assert orchestrator["relman_projection_lag", "agenda"] == 0
    assert orchestrator["relman_agenda_commands_total", "deployment.proceed", "accepted"] >= 1
    assert orchestrator["relman_orders_sent_total",] >= 5
    within("orchestrator", "relman_agenda_commands_seconds")

    timers = metrics["timers"]
    assert timers["relman_projection_lag", "agenda"] == timers["relman_agenda_overdue_seconds",] == 0
    within("timers", "relman_agenda_commands_seconds")
    within("timers", "relman_agenda_commands_late_seconds")

    relay = metrics["relay"]
    assert relay["relman_published_total",] == end
    assert relay["relman_publish_failures_total",] == 0
    within("relay", "relman_publish_seconds")

    executor = metrics["executor"]
    assert executor["relman_bus_backlog", "local", "RELMAN_ORDERS"] == executor["relman_orders_running",] == 0
    assert executor["relman_orders_total", "succeeded", "provision"] == 3
    within("executor", "relman_order_seconds", "provision", at_least=3)

    for role, each in metrics.items():
        assert each["relman_role_healthy", role] == 1


def test_a_store_that_hangs_is_said_by_everybody_who_needs_it_and_they_go_on(
    own_server: PostgresServer, on_own_server: Roles
) -> None:
    roles = on_own_server
    serving = roles.start_all()
    shop = roles.manager()
    shop.configure_environments({"staging": target(roles)})
    deployment = shop.deploy(shop.create_release("1.0.0", ["web"]), "staging")
    needing = [each for role, each in serving.items() if role != "executor"]
    own_server.freeze()
    for each in needing:
        wrong = f'relman_trouble{{kind="trouble",part="log",role="{each.role}"}} 1.0'
        until(lambda each=each, wrong=wrong: wrong in each.metrics(), 15)  # type: ignore[misc] # binds the loop's values
        assert each.status() == 503
        assert "log" in {one["part"] for one in each.health()["troubles"]}
    assert serving["executor"].status() == 200

    own_server.thaw()
    assert shop.wait(deployment, 60).succeeded
    for each in serving.values():
        until(lambda each=each: each.status() == 200 and not each.health()["warnings"], 20)  # type: ignore[misc] # as above
    assert len(starts(roles)) == 1
    log = (roles.root / "gateway-0.log").read_text()
    assert "the event store has not answered for" in log


def test_an_append_that_takes_long_is_said_while_it_does_and_for_a_while_after(on_own_server: Roles) -> None:
    roles = on_own_server
    roles.bus.start()
    gateway = roles.start("gateway")
    roles.start("projector")
    shop = roles.manager()

    def says() -> list[str]:
        return [each["says"] for each in gateway.health()["warnings"] if each["part"] == "appends"]

    assert roles.home.store is not None
    with psycopg.connect(roles.home.store) as connection, ThreadPoolExecutor(1) as pool:
        connection.execute("LOCK TABLE relman_log.events IN EXCLUSIVE MODE")
        created = pool.submit(shop.create_release, "1.0.0", ["web"])
        until(lambda: says() != [], 10)
        assert says()[0].startswith("an append has not come back for ")
        connection.rollback()
        created.result()
    until(lambda: says()[0].startswith("an append took "), 10)
    assert gateway.status() == 200
    assert 'relman_trouble{kind="warning",part="appends",role="gateway"} 1.0' in gateway.metrics()


def test_a_projector_that_cannot_write_says_so_and_goes_on_once_it_can(on_files: Roles) -> None:
    roles = on_files
    roles.bus.start()
    roles.start("gateway")
    projector = roles.start("projector")
    shop = roles.manager()
    shop.create_release("1.0.0", ["web"])
    until(lambda: shop.releases() != (), 10)

    def no_file_may_be_larger_than(size: int) -> None:
        resource.prlimit(projector.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    no_file_may_be_larger_than(64 * 1024)
    with ThreadPoolExecutor(1) as pool:
        created = pool.submit(shop.create_release, "1.1.0", ["web"])
        until(lambda: projector.status() == 503, 10)
        (trouble,) = projector.health()["troubles"]
        assert trouble["part"] == "writing"
        assert trouble["says"].startswith("the read models' database takes nothing in: ")
        assert 'relman_trouble{kind="trouble",part="writing",role="projector"} 1.0' in projector.metrics()
        assert len(roles.manager().releases()) == 1
        no_file_may_be_larger_than(resource.RLIM_INFINITY)
        created.result()
    assert len(shop.releases()) == 2
    until(lambda: projector.status() == 200, 10)
