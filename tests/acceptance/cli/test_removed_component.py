"""A component that is given up is stopped by a plan: processes and port. Real processes behind a real HAProxy."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
import yaml

from release_management.adapters.executors.local.ports import free_port
from tests.acceptance.cli.conftest import Types, typist
from tests.acceptance.cli.harness import (
    Answer,
    CommandLine,
    until,
)

COMMAND = ["{python}", "-m", "release_management.sample", "--port", "{port}", "--version", "{version}"]


@pytest.fixture(scope="module", name="ports")
def _ports() -> dict[str, int]:
    web = free_port(())
    api = free_port({web})
    return {"web": web, "api": api, "lab": free_port({web, api})}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[CommandLine]:
    """Environment qa with the components web and api, environment lab with web, and `relman up`."""
    cli = CommandLine(tmp_path_factory.mktemp("shop"))
    web, api, lab = ({"command": COMMAND, "port": port, "health": "/health"} for port in ports.values())
    environments = {"qa": environment(web=web, api=api), "lab": environment(web=lab)}
    (cli.folder / "relman.yaml").write_text(yaml.safe_dump({"environments": environments}))
    try:
        cli.done("up", "--detach")
        yield cli
    finally:
        cli.end_everything()


def environment(**components: dict[str, Any]) -> dict[str, Any]:
    return {"tier": "testing", "targets": {"main": {"executor": "local", "components": components}}}


@pytest.fixture(name="relman")
def _relman(shop: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Types]:
    yield typist(shop.folder, monkeypatch, capsys)
    structlog.reset_defaults()


def done(answer: Answer) -> str:
    assert answer.code == 0, answer
    return answer.out


def bring(relman: Types, version: str, *components: str, create: tuple[str, ...] = ()) -> None:
    """Create a release and deploy it to qa."""
    named = [word for component in components for word in ("--component", component)]
    done(relman("release", "create", f"shop@{version}", *named, *create))
    assert "Succeeded" in done(relman("deploy", f"shop@{version}", "qa", "--strategy", "recreate", "--wait"))


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
            return int(response.status) == 200
    except (urllib.error.URLError, OSError):
        return False


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def test_a_component_that_a_release_no_longer_names_is_stopped(relman: Types, ports: dict[str, int]) -> None:
    bring(relman, "1.0.0", "web", "api")
    assert answers(ports["web"])
    bring(relman, "1.1.0", "web", create=("--partial",))
    assert answers(ports["api"]), "a partial release leaves alone what it does not name"

    done(relman("release", "create", "shop@2.0.0", "--component", "web"))
    planned = done(relman("deploy", "shop@2.0.0", "qa", "--strategy", "recreate", "--dry-run"))
    assert "stop the stable version of api on main" in planned
    done(relman("deploy", "shop@2.0.0", "qa", "--strategy", "recreate", "--wait"))

    assert answers(ports["web"])
    until(lambda: is_free(ports["api"]))


def test_an_environment_is_renamed_retired_and_taken_back(relman: Types, ports: dict[str, int]) -> None:
    done(relman("release", "create", "tool@1.0.0", "--component", "web"))
    done(relman("deploy", "tool@1.0.0", "lab", "--strategy", "recreate", "--wait"))
    done(relman("env", "rename", "lab", "Laboratory"))
    assert "lab (Laboratory, testing)" in done(relman("env", "show", "lab"))

    assert "environment lab is being retired" in done(relman("env", "retire", "lab", "--reason", "moved"))
    until(lambda: "retired at" in done(relman("env", "show", "lab")))
    until(lambda: is_free(ports["lab"]))
    assert "lab " not in done(relman("env", "list"))
    refused = relman("deploy", "tool@1.0.0", "lab")
    assert refused.code == 1
    assert "lab is retired; to take it back: relman env keep lab" in refused.err

    done(relman("env", "keep", "lab"))
    assert "Succeeded" in done(relman("deploy", "tool@1.0.0", "lab", "--strategy", "recreate", "--wait"))
    assert answers(ports["lab"])
    assert "the environment is retired" in done(relman("audit", "log", "--environment", "lab"))
