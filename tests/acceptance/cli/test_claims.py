"""A port with which another application runs is refused by every way to plan, naming who has it, until it is free."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
import yaml

from release_management import Refused, ReleaseManager
from release_management.adapters.executors.local.ports import free_port
from tests.acceptance.cli.conftest import Types, typist
from tests.acceptance.cli.harness import CommandLine

COMMAND = ["{python}", "-m", "release_management.sample", "--port", "{port}", "--version", "{version}"]
AT_ONCE = {"strategy": "recreate", "options": {"scale_down_delay": 0}}


@pytest.fixture
def relman(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Types]:
    yield typist(cli.folder, monkeypatch, capsys)
    structlog.reset_defaults()


def declare(cli: CommandLine, **ports: int) -> None:
    """Each application's `web` with its port, and a release of it."""
    stated: dict[str, Any] = {
        "applications": {
            name: {"components": {"web": {"command": COMMAND, "port": port, "health": "/health"}}}
            for name, port in ports.items()
        },
        "environments": {"staging": {"targets": {"main": {}}}},
        "policies": dict.fromkeys(ports, AT_ONCE),
        "releases": [{"application": name, "version": "1.0.0", "components": ["web"]} for name in ports],
    }
    (cli.folder / "relman.yaml").write_text(yaml.safe_dump(stated))


def test_a_port_is_refused_until_the_application_that_has_it_has_left_it(cli: CommandLine, relman: Types) -> None:
    left = free_port(())
    other = free_port({left})
    declare(cli, shop=left)
    cli.done("up", "--detach")
    cli.done("deploy", "shop@1.0.0", "staging", "--wait")
    declare(cli, shop=other, api=left)
    cli.done("apply", "relman.yaml")
    sentence = (
        f"web on main in staging: port {left} is that of component web of shop on target main of environment staging, "
        "and executor local has it once; give one of them another, and deploy that first"
    )

    for asked in (("--dry-run",), ("--wait",), ("--wait", "--json")):
        answer = relman("deploy", "api@1.0.0", "staging", *asked)
        assert answer.code == 1, answer
        assert sentence in answer.out + answer.err
    with ReleaseManager("api", data=str(cli.folder / ".relman"), actor="alice") as manager:
        for plan in (manager.plan_deployment, manager.preview_deployment, manager.deploy):
            with pytest.raises(Refused) as refused:
                plan("1.0.0", "staging")
            assert str(refused.value) == sentence

    cli.done("deploy", "shop@1.0.0", "staging", "--wait")
    assert "Succeeded" in cli.done("deploy", "api@1.0.0", "staging", "--wait").out
