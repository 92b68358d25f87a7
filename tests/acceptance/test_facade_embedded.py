"""`ReleaseManager` that owns its folder: it starts what moves a deployment, and ends it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from release_management import (
    NotReachableError,
    Refused,
    ReleaseManager,
)
from tests.acceptance.installation import (
    ROOT,
    Installation,
    canary,
    until,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Only its targets and its journal are used: the managers here have data of their own."""
    made = Installation(tmp_path_factory.mktemp("site"))
    yield made
    made.end_everything()


def test_a_release_walks_to_production_and_back_in_memory(site: Installation) -> None:
    before = {each.pid for each in psutil.Process().children(recursive=True)}
    with ReleaseManager("shop", data=":memory:", actor="alice") as alice:
        bob = ReleaseManager.on(alice._backend, "shop", actor="bob")
        alice.configure_environments({"staging": site.target("web"), "production": site.target("web")})
        alice.setup_release_pipeline("main")
        alice.configure_deployment_strategy("canary", canary(25, pause=None))
        first = alice.create_release("1.0.0", ["web"])
        assert {each.pid for each in psutil.Process().children(recursive=True)} == before

        planned = alice.plan_deployment(first, "staging", strategy="recreate")
        staged = alice.wait(alice.deploy(planned))
        assert (staged.id, staged.strategy, staged.succeeded) == (planned.id, "recreate", True)

        waiting = alice.deploy(first, "production")
        assert (waiting.phase, waiting.awaits_person, alice.wait(waiting).id) == ("AwaitingApproval", True, waiting.id)
        with pytest.raises(Refused, match="may not approve it; somebody else must"):
            alice.approve(waiting)
        bob.approve(waiting)
        assert alice.wait(waiting).succeeded
        (runs,) = [one for one in alice.environment("production").running if one.replicas]
        assert (runs.version, runs.intended, runs.observed, runs.role) == ("1.0.0", 100, 100, "stable")

        second = alice.create_release("1.1.0", ["web"])
        going = alice.wait(alice.deploy(second, "staging"))
        assert (going.phase, going.weight, going.awaits_person) == ("Paused", 25, True)
        assert "shop@1.1.0 → staging   canary   Paused at 25 %" in str(going)
        with pytest.raises(Refused, match="is Paused; its traffic can be changed only while it is Planned"):
            alice.setup_canary_deployment(second, traffic_percentage=50)
        with pytest.raises(Refused, match=f"deployment {going.id} .* is Paused with canary; abort it before"):
            alice.deploy(second, "staging", strategy="recreate")
        assert alice.deploy(second, "staging").id == going.id
        assert alice.wait(alice.promote(going)).succeeded
        assert alice.deploy(second, "staging").id == going.id

        back = alice.rollback(going, reason="the numbers are wrong")
        assert (back.release, back.reverts) == ("shop@1.0.0", going.id)
        bob.promote(back, full=True)
        until(lambda: alice.environment("staging").running[0].version is not None)
        assert "by alice: the numbers are wrong" in str(alice.history())
    assert {each.pid for each in psutil.Process().children(recursive=True)} == before


def test_a_bus_that_dies_under_a_waiting_script_comes_back(site: Installation) -> None:
    with ReleaseManager("shop", data=":memory:") as shop:
        shop.configure_environments({"staging": site.target("web")})
        going = shop.deploy(shop.create_release("1.0.0", ["web"]), "staging")
        (bus,) = [each for each in psutil.Process().children() if each.name() == "nats-server"]
        bus.kill()

        assert shop.wait(going, 30).succeeded


def test_programs_under_way_have_ended_when_their_manager_is_closed(tmp_path: Path) -> None:
    program, noted = tmp_path / "deploy.sh", tmp_path / "pids"
    program.write_text(f'#!/bin/sh\n[ $1 = await_healthy ] || exit 0\ntrap "" TERM\necho $$ >> {noted}\nsleep 600\n')
    program.chmod(0o755)
    commands = {verb: [str(program), verb] for verb in ("provision", "await_healthy", "retire")}
    workers = {f"worker-{number}": {"commands": commands, "stop_grace": 0.5} for number in range(6)}
    target = {"targets": {"main": {"executor": "command", "routes": "none", "components": workers}}}
    with ReleaseManager("post", data=":memory:") as post:
        post.configure_environments({"qa": target})
        post.deploy(post.create_release("1.0.0", list(workers)), "qa", strategy="recreate")
        until(lambda: noted.exists() and len(noted.read_text().splitlines()) == len(workers))
    assert [pid for pid in noted.read_text().split() if psutil.pid_exists(int(pid))] == []


def test_a_second_manager_on_a_folder_is_told_by_whom_it_is_in_use(tmp_path: Path) -> None:
    sentence = "in use by this very process; close the other ReleaseManager first"
    with ReleaseManager(data=tmp_path), pytest.raises(NotReachableError, match=sentence):
        ReleaseManager(data=tmp_path)


@pytest.mark.parametrize("ending", ["", "1 / 0"])
def test_a_script_that_ends_without_closing_leaves_nothing_behind(
    site: Installation, tmp_path: Path, ending: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from release_management import ReleaseManager\n"
        "shop = ReleaseManager('shop')\n"
        f"shop.configure_environments({{'staging': {site.target('web')!r}}})\n"
        "print(shop.wait(shop.deploy(shop.create_release('1.0.0', ['web']), 'staging')).phase)\n"
        f"{ending}\n"
    )
    command = [sys.executable, str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

    assert ran.stdout == "Succeeded\n"
    assert ran.stderr == "" or ran.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert [pid for pid in psutil.pids() if _works_in(pid, tmp_path)] == []


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return any(str(folder) in word for word in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False
