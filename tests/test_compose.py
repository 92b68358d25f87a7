"""docker-compose.yml against the real flags and settings of the roles: no container engine is needed for that."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from release_management.adapters.executors.installed import executor_names
from release_management.adapters.nats.access.configuration import configuration, variable
from release_management.adapters.nats.access.permissions import users
from release_management.adapters.nats.embedded.server import find_binary
from release_management.cli.app import build
from release_management.runtime.roles.declared import ROLES

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
SERVING = {name: service for name, service in OURS.items() if "command" in service}
EXAMPLE = dict(line.split("=", 1) for line in (ROOT / "deploy/example.env").read_text().splitlines() if line[0] != "#")
COMMANDS: Any = typer.main.get_command(build())


def parsed(arguments: list[str], monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]) -> dict[str, Any]:
    """Parse arguments and environment variables as the command line does, without executing anything."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    params: dict[str, Any] = COMMANDS.commands[arguments[0]].make_context(arguments[0], list(arguments[1:])).params
    return params


def filled(text: str) -> str:
    """With the example's passwords in place of `${NAME:?…}`."""
    return re.sub(r"\$\{(\w+)(?::\?[^}]*)?\}", lambda found: EXAMPLE[found[1]], text)


def settings_of(service: dict[str, Any]) -> dict[str, str]:
    return {name: filled(value) for name, value in service.get("environment", {}).items()}


def known_variables() -> set[str]:
    """Every environment variable that a command of ours reads."""
    options = [each for command in COMMANDS.commands.values() for each in command.params]
    named = {each.envvar for each in options if isinstance(getattr(each, "envvar", None), str)}
    return named | {"RELMAN_DATA", "RELMAN_AS"}


def test_every_role_has_a_service_and_executors_and_gateways_have_two() -> None:
    assert {service["command"][1] for service in SERVING.values()} == set(ROLES)
    assert SERVICES["gateway"]["deploy"]["replicas"] == 2
    assert SERVICES["executor"]["deploy"]["replicas"] == 2


@pytest.mark.parametrize("name", SERVING)
def test_a_role_s_command_and_settings_are_what_serve_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = SERVING[name]
    settings = settings_of(service)
    assert set(settings) <= known_variables()
    params = parsed(service["command"], monkeypatch, settings)
    role = service["command"][1]
    assert str(params["role"]) == role
    assert params["http"] == "0.0.0.0:8080"
    user = f"executor-{params['executor']}" if role == "executor" else role
    assert params["bus"] == f"nats://{user}:{EXAMPLE[variable(user)]}@nats:4222"
    assert user in users(executor_names())
    if role == "executor":
        assert params["executor"] in executor_names()
        assert params["store"] is None
    else:
        assert params["store"] == f"postgresql://relman:{EXAMPLE['RELMAN_POSTGRES_PASSWORD']}@postgres:5432/relman"


@pytest.mark.parametrize("name", SERVING)
def test_a_role_is_probed_where_it_answers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, program, *arguments = SERVING[name]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "relman")
    params = parsed(arguments, monkeypatch, {})
    port = settings_of(SERVING[name])["RELMAN_HTTP"].rpartition(":")[2]
    assert params["address"] == f"127.0.0.1:{port}"


@pytest.mark.parametrize("name", OURS)
def test_a_role_waits_for_what_it_needs_and_that_has_a_probe(name: str) -> None:
    for needed, how in OURS[name]["depends_on"].items():
        assert how == {"condition": "service_healthy"}
        assert SERVICES[needed]["healthcheck"]["test"]


def test_every_password_is_in_the_example_and_none_has_a_default() -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()))
    assert asked == set(EXAMPLE)
    assert not re.findall(r"\$\{\w+(?::-|-|\})", (ROOT / "docker-compose.yml").read_text())


def test_every_volume_is_declared_and_every_file_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                assert source in COMPOSE["volumes"], source


def test_the_bus_has_the_configuration_that_nats_config_prints() -> None:
    assert (ROOT / "deploy/nats.conf").read_text() == configuration(["command"], cluster=False)


def test_nats_server_takes_the_configuration_with_the_variables_that_its_container_has() -> None:
    given = settings_of(SERVICES["nats"])
    assert set(given) == {variable(user) for user in users(["command"])}
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["nats"]["volumes"])
    assert mounted["./deploy/nats.conf"] == SERVICES["nats"]["command"][1]
    path = str(ROOT / "deploy/nats.conf")
    tested = subprocess.run([str(find_binary()), "-t", "-c", path], env=given, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stderr


def test_the_image_starts_the_program_that_the_services_name() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["relman"]' in dockerfile
    for copied in re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.MULTILINE):
        for source in copied.split():
            assert (ROOT / source).exists(), source
