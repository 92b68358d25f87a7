"""What roles that are processes of their own say of their work: metrics, and log lines."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from release_management.adapters.roles.process import ROLES
from tests.acceptance.installation import canary
from tests.acceptance.roles import Roles, Serving, until
from tests.acceptance.test_roles import target

Samples = dict[tuple[str, ...], float]


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[Roles]:
    made = Roles(tmp_path, None)
    yield made
    asyncio.run(made.close())


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


def test_every_role_measures_its_positions_lags_outcomes_and_latencies(roles: Roles) -> None:
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
    said = {role: samples(each) for role, each in serving.items()}

    def within(role: str, name: str, *labels: str, at_least: int = 1) -> None:
        """A latency was observed so often, and its mean is more than nothing and less than the test has taken."""
        count = said[role][(f"{name}_count", *labels)]
        assert count >= at_least, (role, name)
        assert 0 < said[role][(f"{name}_sum", *labels)] / count < 30, (role, name)

    gateway = said["gateway"]
    assert gateway["relman_commands_total", "deployment.deploy", "accepted"] == 3
    assert gateway["relman_commands_total", "deployment.report_step", "accepted"] >= 5
    assert gateway["relman_bus_backlog", "gateway", "RELMAN_COMMANDS"] == 0
    assert gateway["relman_queue_length",] == 0
    within("gateway", "relman_command_seconds", at_least=10)
    within("gateway", "relman_batch_commands", at_least=10)

    projector = said["projector"]
    assert projector["relman_projection_lag", "releases"] == projector["relman_projection_parked", "releases"] == 0
    assert projector["relman_queries_total", "deployment", "answered"] >= 1
    within("projector", "relman_query_seconds")
    within("projector", "relman_projection_page_seconds")

    orchestrator = said["orchestrator"]
    assert orchestrator["relman_projection_lag", "agenda"] == 0
    assert orchestrator["relman_given_commands_total", "deployment.proceed", "accepted"] >= 1
    assert orchestrator["relman_orders_sent_total",] >= 5
    within("orchestrator", "relman_given_seconds")

    timers = said["timers"]
    assert timers["relman_projection_lag", "agenda"] == timers["relman_agenda_overdue_seconds",] == 0
    within("timers", "relman_given_seconds")
    within("timers", "relman_given_late_seconds")

    relay = said["relay"]
    assert relay["relman_published_total",] == end
    assert relay["relman_publish_failures_total",] == 0
    within("relay", "relman_publish_seconds")

    executor = said["executor"]
    assert executor["relman_bus_backlog", "local", "RELMAN_ORDERS"] == executor["relman_orders_running",] == 0
    assert executor["relman_orders_total", "succeeded", "provision"] == 3
    within("executor", "relman_order_seconds", "provision", at_least=3)

    for role, each in said.items():
        assert each["relman_role_healthy", role] == 1


def test_every_line_of_a_roles_log_is_json_that_says_who_when_how_bad_and_what(roles: Roles) -> None:
    serving = roles.start_all()
    roles.bus.stop()
    for each in serving.values():
        until(lambda each=each: each.status() == 503, 20)  # type: ignore[misc] # the default binds the loop's value
        each.stop()

    assert serving.keys() == ROLES.keys()
    for file in roles.root.glob("*.log"):
        role = file.name.partition("-")[0]
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert {"standing", "trouble"} <= {line["event"] for line in lines}, role
        for line in lines:
            assert line["role"] == role
            assert line["instance"] == lines[0]["instance"]
            assert line["level"] in {"info", "warning", "error"}
            assert line["timestamp"] > "2026"
