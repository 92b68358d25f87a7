"""What processes that we start get of our own environment is a list; no secret of ours is on it."""

import ast
import time
from pathlib import Path

import psutil
import pytest

import release_management
from release_management.adapters.environment import inherited, of_executor, of_role
from release_management.adapters.home import Home
from release_management.adapters.nats.server import NatsServer
from release_management.adapters.stack.supervisor import Part, Supervisor

STARTS = {"Popen", "run", "call", "check_call", "check_output", "create_subprocess_exec", "create_subprocess_shell"}
STARTS |= {"execv", "execve", "execvp", "posix_spawn", "spawnv", "system", "popen"}
WITH_ALL_OF_OURS = {
    "adapters/nats/guard.py": "it is started with a list itself, and becomes the server",
    "cli/background.py": "it is `relman up` itself, in the background",
    "cli/secret_arguments.py": "it is this program once more",
}
SECRETS = {
    "RELMAN_STORE": "postgresql://relman:hunter22@h/relman",
    "RELMAN_BUS": "nats://client:hunter22@h",
    "AWS_SECRET_ACCESS_KEY": "hunter22",
}


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
def test_neither_what_is_deployed_nor_a_role_gets_a_secret_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", "/run/pgpass")

    assert not SECRETS.keys() & inherited().keys()
    assert not SECRETS.keys() & of_role().keys()
    assert of_role()["PGPASSFILE"] == "/run/pgpass"
    assert SECRETS.keys() & of_executor().keys() == {"AWS_SECRET_ACCESS_KEY"}, "an order may refer to it"
    assert "PGPASSFILE" not in of_executor()


@pytest.mark.usefixtures("_secrets")
def test_the_bus_server_gets_no_secret_of_ours(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    server.start()
    try:
        assert server.pid is not None
        environment = psutil.Process(server.pid).environ()
    finally:
        server.stop()

    assert "hunter22" not in " ".join(environment.values())
    assert "PATH" in environment


@pytest.mark.usefixtures("_secrets")
@pytest.mark.parametrize("role", ["executor", "road", "projector"])
def test_no_part_of_up_gets_the_store(tmp_path: Path, role: str) -> None:
    supervisor = Supervisor(Home(tmp_path), {"part": Part(role, "command")})
    tmp_path.joinpath("logs").mkdir()
    supervisor._start("part")
    child = psutil.Process(supervisor._children["part"].pid)
    try:
        give_up = time.monotonic() + 30
        while child.cmdline() and "release_management.adapters.roles" not in child.cmdline():
            assert time.monotonic() < give_up
            time.sleep(0.01)
        environment = child.environ()
    finally:
        child.kill()
        supervisor._children["part"].communicate()

    assert not {"RELMAN_STORE", "RELMAN_BUS"} & environment.keys()
