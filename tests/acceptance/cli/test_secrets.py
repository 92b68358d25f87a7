"""No password of an address is ever shown: not by a command, not in the list of processes, not in a log."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from release_management.adapters.nats import client
from release_management.cli.kit.secret_arguments import without_secrets
from release_management.runtime import patient
from tests.acceptance.cli.conftest import Types
from tests.acceptance.cli.harness import CommandLine
from tests.acceptance.cli.test_every_command import ARGUMENTS, COMMANDS
from tests.servers.postgres import Databases

SECRET = "hunter22"
ADDRESSES = (
    f"nats://client:{SECRET}@127.0.0.1:1",
    f"nats://client:p@{SECRET}/w:rd@127.0.0.1:1",
    f"nats://{SECRET}@127.0.0.1:1,tls://client:%40{SECRET}@127.0.0.1:2",
)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "relman events tail"])
def test_no_command_prints_the_password_of_its_bus(name: str, relman: Types, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.1)
    monkeypatch.setattr(patient, "FIRST_SECONDS", 0.1)
    for address in ADDRESSES:
        answer = relman(*name.split()[1:], *ARGUMENTS.get(name, ()), "--json", "--data", address)
        assert SECRET not in answer.out + answer.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("up", "--store", f"postgresql://relman:{SECRET}@127.0.0.1:1/relman?sslpassword={SECRET}"),
        ("up", "--store", f"postgresql://relman:{SECRET}@127.0.0.1:x/relman"),
        ("serve", "gateway", "--store", f"mysql://relman:{SECRET}@db/relman"),
        ("serve", "gateway", f"--bus=nats://relman:{SECRET}@h:0"),
    ],
)
def test_neither_does_one_that_cannot_use_its_store_or_bus(cli: CommandLine, arguments: tuple[str, ...]) -> None:
    answer = cli.relman(*arguments, "--json")

    assert answer.code != 0
    assert SECRET not in answer.out + answer.err


def test_arguments_with_a_password_become_variables() -> None:
    store, bus = f"postgresql://u:{SECRET}@db/relman", f"nats://u:{SECRET}@h"
    line = ["python", "-m", "x", "serve", "gateway", "--store", store, f"--bus={bus}", "--data", "here", "--json"]

    kept, variables = without_secrets(line)

    assert kept == ["python", "-m", "x", "serve", "gateway", "--data", "here", "--json"]
    assert variables == {"RELMAN_STORE": store, "RELMAN_BUS": bus}
    assert without_secrets(kept) == (kept, {})


def test_a_running_up_shows_the_password_of_its_store_nowhere(cli: CommandLine, postgres_server: Databases) -> None:
    store = postgres_server.new_database()
    secret = urlsplit(store).password
    assert secret
    process = cli.start("up", "--store", store, "--json")
    try:
        assert process.stdout is not None
        told = ""
        while (line := process.stdout.readline()) and line != "}\n":
            told += line
        assert '"pid"' in told, process.stderr.read() if process.stderr else ""
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        arguments = " ".join(word for one in family for word in one.cmdline())
        assert len(family) > 5
        assert "up" in family[0].cmdline()
        assert secret not in arguments + told
        health = cli.relman("health", "--json")
        assert secret not in health.out + health.err
        down = cli.done("down", "--json")
        assert secret not in down.out
        assert secret not in "".join(process.communicate(timeout=30))
        for log in (cli.data / "logs").iterdir():
            assert secret not in log.read_text(), log
    finally:
        process.kill()
        process.communicate()


def test_a_fault_in_a_log_is_told_without_the_password() -> None:
    program = (
        "from release_management.runtime.program_log import log_everything\n"
        "import structlog, logging\n"
        "log_everything(role='x')\n"
        f"try:\n    raise ValueError('cannot reach postgresql://u:{SECRET}@db/x')\n"
        "except ValueError:\n    structlog.get_logger().exception('a fault')\n"
        f"logging.getLogger('lib').warning('nats://u:{SECRET}@h is away')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)

    assert SECRET not in done.stdout + done.stderr
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["a fault", "nats://u:***@h is away"]


@pytest.mark.parametrize(
    "error", [f"ValueError('postgresql://u:{SECRET}@db/x')", f"BusAwayError('nats://u:{SECRET}@h is away')"]
)
def test_a_role_that_ends_says_why_without_the_password(error: str, tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\n"
        "from release_management.runtime.data_directory import DataDirectory\n"
        "from release_management.runtime.roles.declared import ROLES, Role\n"
        "from release_management.runtime.roles.process import run\n"
        "from release_management.services.ports.bus import BusAwayError\n"
        "def breaks(*given):\n"
        f"    raise {error}\n"
        "ROLES['relay'] = Role('relay', breaks)\n"
        f"print(run('relay', DataDirectory(Path({str(tmp_path)!r}))))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout == "1\n"
    assert ":***@" in done.stderr
    assert SECRET not in done.stderr
