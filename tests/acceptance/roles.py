"""An installation whose roles are processes of their own, as `relman serve` starts them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from release_management import ReleaseManager
from release_management.adapters.executors.local.halt import halt_all
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.wire.urls import read_url
from release_management.domain.registry import Registry
from release_management.runtime.data_directory import DataDirectory
from release_management.services.ports import EventLog

ROOT = Path(__file__).parents[2]
STATELESS = ("orchestrator", "timers", "relay", "projector", "gateway")


@dataclass
class Serving:
    """One `relman serve`."""

    role: str
    process: "subprocess.Popen[str]"
    address: str = ""

    def health(self) -> dict[str, Any]:
        document: dict[str, Any] = httpx.get(f"{self.address}/health", timeout=5, trust_env=False).json()
        return document

    def status(self) -> int:
        return httpx.get(f"{self.address}/health", timeout=5, trust_env=False).status_code

    def metrics(self) -> str:
        return httpx.get(f"{self.address}/metrics", timeout=5, trust_env=False).text

    def await_ready(self) -> "Serving":
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        self.address = told["health"].removesuffix("/health")
        return self

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def count(self, counter: str) -> float:
        """A counter of its metrics, over all labels."""
        families = text_string_to_metric_families(self.metrics())
        return sum(one.value for family in families for one in family.samples if one.name == counter)

    def freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


class Roles:
    """A folder, its store, a message bus of the test's own, and the processes that were started on them."""

    def __init__(self, root: Path, store: str | None) -> None:
        self.root = root
        self.home = DataDirectory.at(root / ".relman", store)
        self.home.prepare()
        self.home.open_log(Registry()).close()
        self.bus = NatsServer(self.home.folder)
        self.started: list[Serving] = []
        self.ports: set[int] = set()
        self._managers: list[ReleaseManager] = []

    def begin(self, role: str, executor: str = "local", **settings: str) -> Serving:
        """Start a role and do not wait for it."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
        with (self.root / f"{role}-{len(self.started)}.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "release_management.cli", "serve", role, "--json"),
                    *("--executor", executor, "--data", str(self.home.folder)),
                ],
                cwd=self.root,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        serving = Serving(role, process)
        self.started.append(serving)
        return serving

    def start(self, role: str, executor: str = "local") -> Serving:
        """Start a role; it serves, or stands by."""
        return self.begin(role, executor).await_ready()

    def start_all(self) -> dict[str, Serving]:
        """The bus and one of each role."""
        self.bus.start()
        begun = {
            role: self.begin(role) for role in ("gateway", "projector", "orchestrator", "timers", "relay", "executor")
        }
        return {role: serving.await_ready() for role, serving in begun.items()}

    def manager(self, application: str = "shop", actor: str = "alice") -> ReleaseManager:
        """A client over the bus."""
        made = ReleaseManager(application, data=self.url, actor=actor)
        self._managers.append(made)
        return made

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self.home.folder

    @property
    def url(self) -> str:
        """Its bus, as a client sees it."""
        url = read_url(self.home.folder)
        assert url is not None
        return url

    def log(self) -> EventLog:
        """The log, for the caller to close."""
        return self.home.open_log(Registry())

    async def close(self) -> None:
        """End everything."""
        for manager in self._managers:
            manager.close()
        for serving in self.started:
            if serving.process.poll() is None:
                serving.process.send_signal(signal.SIGCONT)
                serving.kill()
            if serving.process.stdout is not None:
                serving.process.stdout.close()
        self.bus.stop()
        await halt_all(self.home.folder)


def until(holds: Callable[[], bool], seconds: float) -> float:
    """Wait until something holds; how many seconds that took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - began
