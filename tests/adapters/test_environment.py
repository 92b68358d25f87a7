"""The environments of child processes are lists of variables; no secret of ours is on them."""

import ast
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import release_management
from release_management.adapters.nats.embedded.server import MEMORY, NatsServer
from release_management.adapters.system.process_environment import (
    check_passed,
    inherited,
    of_executor,
    of_role,
)
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.supervisor import Part, Supervisor

STARTS = {"Popen", "run", "call", "check_call", "check_output", "create_subprocess_exec", "create_subprocess_shell"}
STARTS |= {"execv", "execve", "execvp", "posix_spawn", "spawnv", "system", "popen"}
WITH_ALL_OF_OURS = {
    "adapters/nats/embedded/parent_watchdog.py": "it is started with a list itself, and becomes the server",
    "cli/kit/background.py": "it is `relman up` itself, in the background",
    "cli/kit/secret_arguments.py": "it is this program once more",
}
SECRETS = {
    "RELMAN_STORE": "postgresql://relman:hunter22@h/relman",
    "RELMAN_BUS": "nats://client:hunter22@h",
    "AWS_SECRET_ACCESS_KEY": "hunter22",
    "DATABASE_URL": "postgresql://app:hunter22@h/app",
    "SSH_AUTH_SOCK": "/run/hunter22",
    "HTTPS_PROXY": "http://me:hunter22@proxy",
}
EVERYBODY = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_ALL", "LC_TIME", "TZ", "TMPDIR"}
EVERYBODY |= {"XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}
EVERYBODY |= {"PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
LET_THROUGH = {"SSH_AUTH_SOCK", "AWS_SECRET_ACCESS_KEY"}
SOME = {"PGPASSFILE", "PGPASSWORD", "PYTHONDEVMODE"}


@pytest.fixture
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def starts(path: Path) -> list[ast.Call]:
    """The calls of a module that start a process."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return [
        call
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in STARTS
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id in ("subprocess", "os", "asyncio")
        and (call.func.value.id, call.func.attr) != ("asyncio", "run")
    ]


def test_whatever_starts_a_process_says_what_environment_it_gets() -> None:
    package = Path(release_management.__file__).parent
    modules = {str(path.relative_to(package)): starts(path) for path in package.rglob("*.py")}

    unsaid = {
        f"{name}:{call.lineno}"
        for name, calls in modules.items()
        for call in calls
        if name not in WITH_ALL_OF_OURS and "env" not in {keyword.arg for keyword in call.keywords}
    }

    assert unsaid == set()
    assert sum(map(len, modules.values())) >= 7
    assert all(modules[name] for name in WITH_ALL_OF_OURS)


@pytest.mark.usefixtures("_secrets")
@pytest.mark.parametrize(
    ("made", "gets"),
    [
        (inherited, EVERYBODY),
        (of_role, EVERYBODY | SOME),
        (of_executor, EVERYBODY | {"PYTHONDEVMODE"}),
        (lambda: of_executor(["SSH_AUTH_SOCK", "AWS_*"]), EVERYBODY | {"PYTHONDEVMODE", *LET_THROUGH}),
    ],
    ids=["what is deployed", "a role", "an executor", "an executor for which the operator names some"],
)
def test_each_kind_of_process_inherits_a_list_of_variables(
    monkeypatch: pytest.MonkeyPatch, made: Callable[[], dict[str, str]], gets: set[str]
) -> None:
    for name in os.environ.keys() - SECRETS.keys():
        monkeypatch.delenv(name)
    for name in EVERYBODY | SOME:
        monkeypatch.setenv(name, f"/{name}")

    assert made().keys() == gets


@pytest.mark.parametrize("name", ["RELMAN_STORE", "RELMAN_*", "REL*", "*", "A=B", "", "1A", "A*B", "A B", "A\0"])
def test_neither_ours_nor_what_is_no_name_can_be_let_through(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(name))):
        check_passed(name)


@pytest.mark.usefixtures("_secrets")
def test_the_bus_server_gets_what_is_on_the_list(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    server.start()
    try:
        assert server.pid is not None
        environment = psutil.Process(server.pid).environ()
    finally:
        server.stop()

    assert environment == {**inherited(), "GOMEMLIMIT": MEMORY}
    assert "PATH" in environment


@pytest.mark.usefixtures("_secrets")
@pytest.mark.parametrize(
    ("role", "passed", "gets"),
    [
        ("executor", ["SSH_AUTH_SOCK"], lambda: of_executor(["SSH_AUTH_SOCK"])),
        ("road", ["SSH_AUTH_SOCK"], lambda: of_executor(["SSH_AUTH_SOCK"])),
        ("executor", [], of_executor),
        ("projector", ["SSH_AUTH_SOCK"], of_role),
    ],
)
def test_a_part_of_up_gets_what_is_on_its_list(
    tmp_path: Path, role: str, passed: list[str], gets: Callable[[], dict[str, str]]
) -> None:
    supervisor = Supervisor(DataDirectory(tmp_path), {"part": Part(role, "command")}, passed=passed)
    tmp_path.joinpath("logs").mkdir()
    supervisor._start("part")
    child = psutil.Process(supervisor._children["part"].pid)
    try:
        give_up = time.monotonic() + 30
        while "release_management.runtime.roles" not in child.cmdline():
            assert time.monotonic() < give_up
            time.sleep(0.01)
        environment = child.environ()
    finally:
        child.kill()
        supervisor._children["part"].communicate()

    assert environment == gets()
    assert ("SSH_AUTH_SOCK" in environment) == (bool(passed) and role != "projector")
