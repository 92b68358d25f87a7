"""`make chaos ARGS=--seen`: what `env show` says is compared with what requests and the process table say.

An installation runs in this process. Blow after blow changes what runs: processes are killed or hang, balancers die or
lose their port, versions are deployed, the installation is stopped and started, or put back from a backup. After each
one the screen must agree with the world, and meanwhile it may never call well for longer than five seconds what does
not serve. Alarms are held for two seconds at most here; that longer ones end as well is a law of
`tests/domain/test_damping.py`.
"""

import json
import random
import shutil
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from release_management import ReleaseManager
from release_management.adapters.local import converge, haproxy
from release_management.adapters.local.ports import free_port
from release_management.adapters.local.state import Folder
from release_management.domain import damping

ENVIRONMENT = "production"
APPLICATION = "shop"
REPLICAS: Mapping[str, int] = {"web": 1, "api": 2}
SCREEN_SECONDS = 5.0
"""For no longer may the screen call well what does not serve."""
PATIENCE_SECONDS = 40.0
LONGEST_SECONDS = 2.0
REQUESTS = 4


@dataclass(frozen=True, slots=True)
class Truth:
    """A component by requests to its port and by the process table: the versions that answered, how many live."""

    answers: frozenset[str]
    living: int

    @property
    def serves(self) -> bool:
        """Whether every request was answered."""
        return bool(self.answers) and "" not in self.answers


class World:
    """The installation, and what can happen to it. `store` is a database's URL, or None for files."""

    def __init__(self, folder: Path, seed: int, store: str | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.faults: list[str] = []
        self.done: Counter[str] = Counter()
        self._store = store
        self._random = random.Random(seed)
        self._ports = {component: free_port(()) for component in REPLICAS}
        self._versions = iter(f"1.{number}.0" for number in range(10_000))
        self._relapse: dict[str, float] = {}
        self._manager = self._open()

    def _open(self) -> ReleaseManager:
        return ReleaseManager(APPLICATION, data=str(self.data), store=self._store, actor="alice")

    def begin(self) -> None:
        """Deploy a first version of everything."""
        components = {component: self._settings(component, replicas) for component, replicas in REPLICAS.items()}
        target = {"main": {"components": components}}
        self._manager.configure_environments(
            {ENVIRONMENT: {"tier": "testing", "targets": target}},
        )
        self._manager.configure_deployment_strategy(
            "rolling", {"scale_down_delay": 0, "abort_scale_down_delay": 0}, environment=ENVIRONMENT
        )
        self.deploy()

    def _settings(self, component: str, replicas: int) -> dict[str, Any]:
        command = ["{python}", "-m", "release_management.sample", "--port", "{port}", "--version", "{version}"]
        marked = [*command, "--component", f"{self.folder.name}-{component}"]
        port = self._ports[component]
        return {"command": marked, "port": port, "health": "/health", "replicas": replicas, "stop_grace": 1}

    # Blows

    def strike(self) -> str:
        """One blow, drawn at random; its name."""
        blows: list[tuple[int, Callable[[], None]]] = [
            (6, self.kill_an_instance),
            (2, self.kill_them_all),
            (2, self.hang),
            (2, self.kill_the_balancer),
            (2, self.close_the_port),
            (2, self.change_weights),
            (2, self.deploy),
            (1, self.restart),
            (1, self.restore),
        ]
        blow = self._random.choices([blow for _, blow in blows], [weight for weight, _ in blows])[0]
        blow()
        self.done[blow.__name__] += 1
        return blow.__name__

    def deploy(self) -> None:
        """Another version of everything."""
        version = next(self._versions)
        release = self._manager.create_release(version, list(REPLICAS))
        self._manager.wait(self._manager.deploy(release, ENVIRONMENT), 120)

    def kill_an_instance(self) -> None:
        """kill -9 of one process."""
        for process in self._processes(self._component())[:1]:
            _kill(process)

    def kill_them_all(self) -> None:
        """kill -9 of all processes of a component."""
        for process in self._processes(self._component()):
            _kill(process)

    def hang(self) -> None:
        """All processes of a component are stopped until the screen has said so."""
        component = self._component()
        stopped = self._processes(component)
        for process in stopped:
            with suppress(psutil.Error):
                process.suspend()
        try:
            self.agree(f"hang of {component}")
        finally:
            for process in stopped:
                with suppress(psutil.Error):
                    process.resume()

    def kill_the_balancer(self) -> None:
        """kill -9 of a component's HAProxy."""
        balancer = self._folder(self._component()).load().balancer
        if balancer is not None and balancer.process.pid is not None:
            with suppress(psutil.Error):
                _kill(psutil.Process(balancer.process.pid))

    def close_the_port(self) -> None:
        """A component's HAProxy lives, but no longer listens."""
        self._tell_balancer("shutdown frontend clients")

    def change_weights(self) -> None:
        """Somebody takes a server out of a component's HAProxy by hand."""
        self._tell_balancer("set server be/blue1 state maint; set server be/green1 state maint")

    def restart(self) -> None:
        """A clean stop, and a start. While it does not run the screen knows nothing."""
        self._manager.close()
        self._manager = self._open()
        self._expect_unknown("before it was started again")
        self._manager._backend.start_road()

    def restore(self) -> None:
        """The folder is put back as it was; what ran then does not run any more."""
        self._manager.close()
        if self._store is None:
            backup = self.folder / "backup"
            shutil.copytree(self.data, backup)
            shutil.rmtree(self.data)
            backup.rename(self.data)
        self._manager = self._open()
        self._expect_unknown("in a restored folder")
        self._manager._backend.start_road()

    def _expect_unknown(self, when: str) -> None:
        for component, shown in self._shown().items():
            if shown["condition"] != "unknown":
                self.faults.append(f"{component} is said to be {shown['condition']} {when}")

    def _tell_balancer(self, command: str) -> None:
        balancer = self._folder(self._component()).load().balancer
        if balancer is not None:
            with suppress(OSError):
                haproxy.ask(balancer.socket, command)

    def _component(self) -> str:
        return self._random.choice(sorted(REPLICAS))

    def _folder(self, component: str) -> Folder:
        return Folder(self.data / "targets" / ENVIRONMENT / APPLICATION / "main" / component)

    # The screen and the world

    def agree(self, after: str) -> None:
        """Wait until the screen says what is; a fault where it does not come to that, or is well for too long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            before = {component: self._truth(component) for component in REPLICAS}
            shown = self._shown()
            truth = {component: self._truth(component) for component in REPLICAS}
            wrong = [
                f"{component} is said to be {shown[component]} and is {truth[component]}"
                for component in REPLICAS
                if before[component] == truth[component] and not _agrees(shown[component], truth[component], component)
            ]
            wrong += [f"{component} changes" for component in REPLICAS if before[component] != truth[component]]
            too_long = [
                component
                for component in REPLICAS
                if self._well_for_too_long(component, shown[component], before[component], truth[component])
            ]
            self.faults += [f"after {after}: {each} is said to be well and does not serve" for each in too_long]
            if not wrong or too_long:
                return
            if time.monotonic() > deadline:
                self.faults.append(f"after {after}: {'; '.join(wrong)}")
                return
            time.sleep(0.1)

    def _well_for_too_long(self, component: str, shown: Mapping[str, Any], before: Truth, truth: Truth) -> bool:
        if shown["condition"] != "well" or before.serves or truth.serves:
            self._relapse.pop(component, None)
            return False
        return time.monotonic() - self._relapse.setdefault(component, time.monotonic()) > SCREEN_SECONDS

    def _shown(self) -> dict[str, dict[str, Any]]:
        environment = self._manager.environment(ENVIRONMENT)
        slots = [slot for slot in environment.running if slot.replicas]
        return {
            each.component: {
                "condition": each.condition,
                "reason": each.reason,
                "running": each.running,
                "versions": frozenset(slot.version for slot in slots if slot.component == each.component),
            }
            for each in environment.conditions
        }

    def _truth(self, component: str) -> Truth:
        answers = frozenset(self._ask(component) for _ in range(REQUESTS))
        return Truth(answers, len(self._processes(component)))

    def _ask(self, component: str) -> str:
        """The version that answered; "" where none did."""
        request = urllib.request.Request(f"http://127.0.0.1:{self._ports[component]}/", headers={"Connection": "close"})
        try:
            with urllib.request.urlopen(request, timeout=1.0) as answer:
                return str(json.load(answer)["version"])
        except (OSError, ValueError):
            return ""

    def _processes(self, component: str) -> list[psutil.Process]:
        """The component's processes that live, by the process table."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                mine = f"{self.folder.name}-{component}" in process.cmdline()
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def close(self) -> None:
        """End everything."""
        self._manager.close()


def _agrees(shown: Mapping[str, Any], truth: Truth, component: str) -> bool:
    """Whether what is shown of a component is what is."""
    if shown["running"] != truth.living:
        return False
    if not truth.serves:
        return bool(shown["condition"] == "down")
    if truth.living < REPLICAS[component]:
        return bool(shown["condition"] == "degraded")
    return bool(shown["condition"] == "well" and truth.answers == shown["versions"])


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.Error):
        process.kill()
        process.wait(5)


def law(
    folder: Path, seed: int, blows: int, store: str | None = None, told: Callable[[int], None] = lambda _: None
) -> World:
    """So many blows, each followed by the comparison. The world says what was found, and is closed."""
    damping.LONGEST_HOLD = LONGEST_SECONDS
    converge.LONGEST_BACKOFF = LONGEST_SECONDS
    world = World(folder, seed, store)
    try:
        world.begin()
        world.agree("the first deployment")
        for number in range(blows):
            world.agree(world.strike())
            told(number + 1)
    finally:
        world.close()
    return world
