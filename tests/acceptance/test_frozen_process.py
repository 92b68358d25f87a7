"""An all-in-one process that is stopped in mid-deployment and continues after a rollback by another changes nothing."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from release_management import ReleaseManager
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.runtime.data_directory import DataDirectory
from tests.acceptance.installation import (
    ROOT,
    Installation,
    canary,
    until,
)

LONGEST_DELAY = 0.06
"""Seconds within which the road is stopped after the order to route was recorded."""


def frozen_while_routing(installation: Installation, deployment: str, road: int, seed: int) -> None:
    """Stop the road at a random moment after the first shift of traffic was ordered."""
    until(lambda: any(data["action"]["verb"] == "route" for data in installation.data(deployment, "step_started")))
    time.sleep(random.Random(seed).uniform(0, LONGEST_DELAY))
    installation.freeze(road)


def no_double_facts(installation: Installation, deployment: str) -> None:
    for name in ("started", "aborting", "rolled_back"):
        assert installation.facts(deployment).count(name) == 1
    steps = [
        (name, data["leg"], data["step"], data["attempt"])
        for name in ("step_started", "step_succeeded")
        for data in installation.data(deployment, name)
    ]
    assert {step: times for step, times in Counter(steps).items() if times > 1} == {}


def begun(installation: Installation, shop: ReleaseManager) -> str:
    """1.0.0 serves, 1.1.0 begins as a canary that nobody promotes."""
    shop.configure_environments({"staging": installation.target("web")})
    shop.configure_deployment_strategy("canary", canary(25, pause=None))
    assert shop.wait(shop.deploy(shop.create_release("1.0.0", ["web"]), "staging"), 30).succeeded
    return shop.deploy(shop.create_release("1.1.0", ["web"]), "staging").id


def test_a_stopped_road_whose_supervisor_died_wakes_up_after_the_rollback(installation: Installation) -> None:
    installation.start()
    deployment = begun(installation, installation.manager())
    road = psutil.Process(installation.pid("road"))
    frozen_while_routing(installation, deployment, road.pid, seed=1)
    installation.kill_supervisor()

    with ReleaseManager("shop", data=str(installation.folder), actor="bob") as successor:
        successor.abort(deployment, reason="nobody is there any more")
        assert installation.ended(deployment) == "rolled_back"
        assert installation.shares() == {"1.0.0": 100}
        before = installation.log.last_position()

        with suppress(psutil.NoSuchProcess):
            road.resume()
        until(lambda: not road.is_running() or road.status() == psutil.STATUS_ZOMBIE)

        assert installation.shares() == {"1.0.0": 100}
        assert installation.log.last_position() == before
        no_double_facts(installation, deployment)
        assert successor.wait(successor.deploy("1.1.0", "staging", "recreate"), 30).succeeded


@contextmanager
def roads(installation: Installation, server: NatsServer) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Roads without a supervisor: they outlive one another's death, and wake up to work on."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        yield started
    finally:
        for road in started:
            road.send_signal(signal.SIGCONT)
            road.terminate()
        for road in started:
            road.communicate(timeout=30)
        server.stop()


def add_road(installation: Installation, started: list["subprocess.Popen[bytes]"]) -> int:
    command = [sys.executable, "-m", "release_management.runtime.roles", "road", str(installation.folder), "-"]
    with (installation.root / "roads.log").open("ab") as log:
        road = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    started.append(road)
    assert road.stdout is not None
    assert road.stdout.readline() == b"ready\n"
    return road.pid


def test_a_stopped_road_that_works_on_when_it_wakes_up_beside_its_successor(installation: Installation) -> None:
    DataDirectory(installation.folder).prepare()
    server = NatsServer(installation.folder)
    server.start()
    with roads(installation, server) as started:
        first = add_road(installation, started)
        projector = [sys.executable, "-m", "release_management.runtime.roles", "projector"]
        reading = subprocess.Popen(
            [*projector, str(installation.folder), "-"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(reading)
        assert reading.stdout is not None
        assert reading.stdout.readline() == b"ready\n"
        shop = ReleaseManager("shop", data=server.url, actor="alice")
        deployment = begun(installation, shop)
        frozen_while_routing(installation, deployment, first, seed=4)

        add_road(installation, started)
        shop.abort(deployment, reason="somebody stands on the hose")
        assert installation.ended(deployment) == "rolled_back"
        assert installation.shares() == {"1.0.0": 100}
        os.kill(first, signal.SIGCONT)

        again = shop.wait(shop.deploy("1.1.0", "staging"), 40)
        assert (again.phase, installation.shares()) == ("Paused", {"1.0.0": 75, "1.1.0": 25})
        assert shop.wait(shop.promote(again), 40).succeeded
        assert installation.shares() == {"1.1.0": 100}
        no_double_facts(installation, deployment)
        shop.close()
