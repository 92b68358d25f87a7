"""`make chaos ARGS=--seen`: compare the output of `env show` with requests and the process table.

Blow after blow changes what runs: processes are killed or hang, balancers die or lose their port, versions are
deployed, the installation is stopped, killed and started, or restored from a backup. After each one the screen must
agree with the world, and meanwhile it may never show as well for longer than five seconds what does not serve. Alarms
are held for at most two seconds here; `tests/domain/test_damping.py` has the law that longer ones end too.
"""

import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from chaos.owned import Owned
from chaos.owner import APPLICATION
from chaos.screen import Said, Screen, agrees
from chaos.witness import Truth, Witness
from release_management.adapters.executors.local import haproxy
from release_management.adapters.executors.local.ports import free_port
from release_management.adapters.executors.local.state import LocalFolder
from tests.servers.postgres import Databases

ENVIRONMENT = "production"
REPLICAS: Mapping[str, int] = {"web": 1, "api": 2}
SCREEN_SECONDS = 5.0
"""Seconds for which the screen may show as well what does not serve."""
PATIENCE_SECONDS = 40.0
DEPLOY_SECONDS = 120.0
RECOVERIES = 0.25
"""The share of blows after which all must be well again before the next; the others hit what the last one left."""
Blow = Callable[["World"], bool]
"""Returns True if it hit anything."""


class World:
    """The installation, and the blows that can hit it."""

    def __init__(self, folder: Path, seed: int, databases: Databases | None = None) -> None:
        self.folder = folder
        self.faults: list[str] = []
        self.done: Counter[str] = Counter()
        self.screen = Screen()
        self._random = random.Random(seed)
        self._ports = {component: free_port(()) for component in REPLICAS}
        self._versions = iter(f"1.{number}.0" for number in range(10_000))
        self._relapse: dict[str, float] = {}
        self._witness = Witness(folder.name, self._ports)
        self._installed = Owned(folder, databases)

    def begin(self) -> None:
        """Deploy a first version of everything."""
        self._installed.start()
        components = {component: self._settings(component, replicas) for component, replicas in REPLICAS.items()}
        targets = {"main": {"components": components}}
        manager = self._installed.manager
        manager.configure_environments({ENVIRONMENT: {"tier": "testing", "targets": targets}})
        manager.configure_deployment_strategy(
            "rolling", {"scale_down_delay": 0, "abort_scale_down_delay": 0}, environment=ENVIRONMENT
        )
        self.deploy()
        self.agree("the first deployment")

    def _settings(self, component: str, replicas: int) -> dict[str, Any]:
        command = ["{python}", "-m", "release_management.sample", "--port", "{port}", "--version", "{version}"]
        marked = [*command, "--component", self._witness.name(component)]
        port = self._ports[component]
        return {"command": marked, "port": port, "health": "/health", "replicas": replicas, "stop_grace": 1}

    def strike(self, blow: Blow | None = None) -> None:
        """Strike a blow that hits something, drawn at random if none is given, and compare."""
        while not (struck := blow or self._draw())(self):
            time.sleep(0.1)
        self.done[struck.__name__] += 1
        self.agree(struck.__name__)
        if self._random.random() < RECOVERIES:
            self.agree(f"the recovery from {struck.__name__}", well=True)

    def _draw(self) -> Blow:
        return self._random.choices(list(BLOWS), list(BLOWS.values()))[0]

    # Blows on what runs

    def kill_an_instance(self) -> bool:
        """kill -9 of one process."""
        return self._kill(self._witness.processes(self._component())[:1])

    def kill_them_all(self) -> bool:
        """kill -9 of all processes of a component."""
        return self._kill(self._witness.processes(self._component()))

    def hang(self) -> bool:
        """Stop all processes of a component until the screen has shown it."""
        component = self._component()
        return self._hang(component, self._witness.processes(component))

    def hang_one_of_several(self) -> bool:
        """Stop one process of a component that has more, until the screen has shown it."""
        component = max(REPLICAS, key=lambda component: REPLICAS[component])
        processes = self._witness.processes(component)
        return len(processes) > 1 and self._hang(component, processes[:1])

    def _hang(self, component: str, stopped: list[psutil.Process]) -> bool:
        for process in stopped:
            with suppress(psutil.Error):
                process.suspend()
        try:
            self.agree(f"hang of {len(stopped)} of {component}")
        finally:
            for process in stopped:
                with suppress(psutil.Error):
                    process.resume()
        return bool(stopped)

    def kill_the_balancer(self) -> bool:
        """kill -9 of a component's HAProxy."""
        return self._kill_balancer(self._component())

    def close_the_port(self) -> bool:
        """Close the port of a component's HAProxy, which lives on."""
        return self._tell_balancer("shutdown frontend clients")

    def take_the_port(self) -> bool:
        """Kill a component's HAProxy, and let another program take its port until the screen has shown it."""
        component = self._component()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self._kill_balancer(component)
            with suppress(OSError), socket.create_server(("127.0.0.1", self._ports[component])):
                self.agree(f"the loss of the port of {component}")
                return True
        return False

    def change_weights(self) -> bool:
        """Take a server out of a component's HAProxy by hand."""
        return self._tell_balancer("set server be/blue1 state maint; set server be/green1 state maint")

    # Blows on the installation

    def deploy(self) -> bool:
        """Deploy another version of everything."""
        self._await_success(self._begin_deployment())
        return True

    def restart(self) -> bool:
        """Stop cleanly, back up, and start. In between the screen knows nothing."""
        self._installed.stop()
        self._expect_unknown("while nothing runs")
        self._installed.back_up()
        self._start()
        return True

    def restore(self) -> bool:
        """Restore the last backup; what ran then does not run any more."""
        self._installed.stop()
        if not self._installed.has_backup:
            self._installed.back_up()
        self._installed.put_back()
        self._expect_unknown("in a restored folder")
        self._start()
        return True

    def crash(self) -> bool:
        """kill -9 the installation; what it deployed goes on running."""
        self._installed.crash()
        self._expect_unknown("after a crash")
        self._start()
        return True

    def crash_while_deploying(self) -> bool:
        """kill -9 the installation in the middle of a deployment, which then goes on."""
        deployment = self._begin_deployment()
        time.sleep(self._random.uniform(0.0, 2.0))
        self.crash()
        self._await_success(deployment)
        return True

    def _start(self) -> None:
        self._installed.start()
        self._relapse.clear()

    def _begin_deployment(self) -> str:
        manager = self._installed.manager
        release = manager.create_release(next(self._versions), list(REPLICAS))
        return manager.deploy(release, ENVIRONMENT).id

    def _await_success(self, deployment: str) -> None:
        ended = self._installed.manager.wait(deployment, DEPLOY_SECONDS)
        if ended.phase != "Succeeded":
            self.faults.append(f"deployment {deployment} is {ended.phase}: {ended.reason}")

    def _expect_unknown(self, when: str) -> None:
        with self._installed.unattended() as manager:
            for component, shown in self.screen.read(manager.environment(ENVIRONMENT)).items():
                if shown["condition"] != "unknown":
                    self.faults.append(f"{component} is said to be {shown['condition']} {when}")

    def _kill(self, processes: Iterable[psutil.Process]) -> bool:
        killed = 0
        for process in processes:
            with suppress(psutil.Error):
                process.kill()
                process.wait(5)
                killed += 1
        return killed > 0

    def _kill_balancer(self, component: str) -> bool:
        balancer = self._folder(component).load().balancer
        with suppress(psutil.Error):
            if balancer is not None:
                found = psutil.Process(balancer.process.pid)
                # A process that the folder (an older backup above all) names may be another program by now, even this
                # one.
                return "haproxy" in found.name() and self._kill([found])
        return False

    def _tell_balancer(self, command: str) -> bool:
        balancer = self._folder(self._component()).load().balancer
        if balancer is not None:
            with suppress(OSError):
                haproxy.ask(balancer.socket, command)
                return True
        return False

    def _component(self) -> str:
        return self._random.choice(sorted(REPLICAS))

    def _folder(self, component: str) -> LocalFolder:
        return LocalFolder(self._installed.data / "targets" / ENVIRONMENT / APPLICATION / "main" / component)

    # The screen and the world

    def agree(self, after: str, *, well: bool = False) -> None:
        """Wait until the screen agrees with the world, and with `well` until all is well; else note a fault."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            before = self._witness.look()
            shown = self.screen.read(self._installed.manager.environment(ENVIRONMENT))
            truth = self._witness.look()
            wrong = [
                f"{component} is said to be {shown[component]} and is {truth[component]}, was {before[component]}"
                for component, replicas in REPLICAS.items()
                if before[component] != truth[component]
                or not agrees(shown[component], truth[component], replicas)
                or (well and shown[component]["condition"] != "well")
            ]
            false = [
                component
                for component in REPLICAS
                if self._well_for_too_long(component, shown[component], before[component], truth[component])
            ]
            self.faults += [f"after {after}: {each} is said to be well and does not serve" for each in false]
            if not wrong or false:
                return
            if time.monotonic() > deadline:
                self.faults.append(f"after {after}: {'; '.join(wrong)}")
                return
            time.sleep(0.1)

    def _well_for_too_long(self, component: str, shown: Said, before: Truth, truth: Truth) -> bool:
        if shown["condition"] != "well" or before.serves or truth.serves:
            self._relapse.pop(component, None)
            return False
        return time.monotonic() - self._relapse.setdefault(component, time.monotonic()) > SCREEN_SECONDS

    def close(self) -> None:
        """End everything."""
        self.faults += self.screen.faults
        self._installed.stop()


BLOWS: Mapping[Blow, int] = {
    World.kill_an_instance: 6,
    World.kill_them_all: 2,
    World.hang: 1,
    World.hang_one_of_several: 1,
    World.kill_the_balancer: 2,
    World.close_the_port: 2,
    World.take_the_port: 1,
    World.change_weights: 2,
    World.deploy: 2,
    World.restart: 1,
    World.restore: 1,
    World.crash: 1,
    World.crash_while_deploying: 1,
}
"""The blows, with their relative frequencies."""


def law(
    folder: Path,
    seed: int,
    blows: int,
    databases: Databases | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> World:
    """Strike this many blows, each followed by the comparison. Return the world, closed, with its faults."""
    world = World(folder, seed, databases)
    try:
        world.begin()
        for number in range(blows):
            world.strike()
            told(number + 1)
        world.agree("the last blow", well=True)
    finally:
        world.close()
    return world
