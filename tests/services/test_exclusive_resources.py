"""Configuring environments: what an executor has only once goes to one component."""

from typing import Any

from tests.services.gateway_harness import COMMAND, GatewayHarness


def target(name: str = "main", executor: str = "local", **ports: int) -> dict[str, Any]:
    components: dict[str, Any] = {name: {"command": COMMAND, "port": port} for name, port in ports.items()}
    return {"name": name, "executor": executor, "components": components}


def configure(harness: GatewayHarness, environment: str, *targets: dict[str, Any]) -> str | None:
    """None, or why it was refused."""
    outcome = harness.ask("environment.configure", {"name": environment, "targets": list(targets)})
    return outcome.reason if outcome.status == "refused" else None


def test_one_port_goes_to_one_component(harness: GatewayHarness) -> None:
    assert configure(harness, "staging", target(web=8080, api=8080)) == (
        "environment staging, target main, component api: port 8080 is that of component web on target main of "
        "environment staging, and executor local has it once; give one of them another"
    )
    assert configure(harness, "staging", target(web=8080, api=8081)) is None


def test_neither_another_target_nor_another_environment_has_it_again(harness: GatewayHarness) -> None:
    assert configure(harness, "staging", target(web=8080), target("eu", web=8081)) is None

    beside = configure(harness, "staging", target("us", web=8081))
    elsewhere = configure(harness, "production", target(web=8080))

    assert beside is not None
    assert "target us, component web: port 8081 is that of component web on target eu of environment staging" in beside
    assert elsewhere is not None
    assert elsewhere.startswith(
        "environment production, target main, component web: port 8080 is that of component web"
    )
    assert [record["subject"] for record in harness.records("environment.configured")] == ["environment:staging"]


def test_a_restated_or_released_port_is_no_collision(harness: GatewayHarness) -> None:
    assert configure(harness, "staging", target(web=8080)) is None
    assert configure(harness, "staging", target(web=8080)) is None
    assert configure(harness, "staging", target(web=8082), target("eu", web=8080)) is None
    assert configure(harness, "staging", target(), target("eu")) is None
    assert configure(harness, "production", target(web=8080)) is None


def test_two_targets_may_change_ports_at_once(harness: GatewayHarness) -> None:
    assert configure(harness, "staging", target(web=8080), target("eu", web=8081)) is None
    assert configure(harness, "staging", target(web=8081), target("eu", web=8080)) is None


def test_an_executor_that_has_nothing_only_once_takes_everything(harness: GatewayHarness) -> None:
    programs = {verb: ["true"] for verb in ("provision", "await_healthy", "route", "retire")}
    own = {"executor": "command", "components": {"web": {"commands": programs}, "api": {"commands": programs}}}

    assert configure(harness, "staging", {"name": "main", **own}) is None
    assert configure(harness, "production", {"name": "main", **own}) is None
