"""A component under test: orders for it, requests to it, and what really runs for it."""

import asyncio
import json
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from pydantic import JsonValue

from release_management.adapters.executors.local.executor import LocalExecutor
from release_management.adapters.executors.local.ports import free_port
from release_management.adapters.executors.local.state import ComponentState, LocalFolder
from release_management.domain.orders import Report
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots
from tests.adapters.component import (
    ROOT,
    VICTIM,
    Component,
    SystemClock,
)


class ExecutorHarness(Component):
    """One component of the executor `local`."""

    EXECUTOR = "local"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port(())
        self.arguments: list[str] = []
        self.settings: dict[str, JsonValue] = {
            "port": self.port,
            "health": "/health",
            "stop_grace": 3,
            "env": {"PYTHONPATH": str(ROOT)},
        }

    def command(self) -> list[JsonValue]:
        sample = ["{python}", "-m", "release_management.sample", "--port", "{port}", "--version", "{version}"]
        return [*sample, "--component", "{component}", "--journal", str(self.journal), *self.arguments]

    def all_settings(self) -> dict[str, JsonValue]:
        return {"command": self.command(), **self.settings}

    def never_healthy(self) -> None:
        self.arguments = ["--fail"]

    def effects(self) -> list[str]:
        return self.starts()

    def local(self) -> LocalExecutor:
        return LocalExecutor(self.data, SystemClock())

    def run_in(self, slot: str, version: str = "1.0.0", replicas: int = 1) -> None:
        self.do(ProvisionSlot(slot=slot, version=version, replicas=replicas))
        self.do(AwaitSlotHealthy(slot=slot, replicas=replicas))

    def route(self, **weights: int) -> Report:
        return self.do(RouteSlots(weights=weights))

    def retire(self, slot: str) -> Report:
        return self.do(RetireSlot(slot=slot))

    def reconcile(self) -> None:
        asyncio.run(self.local().reconcile())

    @property
    def folder(self) -> LocalFolder:
        return LocalFolder(self.place)

    def state(self) -> ComponentState:
        return self.folder.load()

    def socket(self) -> str:
        balancer = self.state().balancer
        assert balancer is not None
        return balancer.socket

    def balancer_pid(self) -> int:
        balancer = self.state().balancer
        assert balancer is not None
        assert balancer.process.pid is not None
        return balancer.process.pid

    def instance_pids(self) -> list[int]:
        """The processes that really run for the component, whatever the state says."""
        return [each.pid for each in _own(lambda words: str(self.journal) in words and self.component in words)]

    def haproxy_pids(self) -> list[int]:
        return [each.pid for each in _own(lambda words: str(self.folder.path / "haproxy.cfg") in words)]

    def starts(self) -> list[str]:
        """The journal's start lines."""
        if not self.journal.exists():
            return []
        return [line for line in self.journal.read_text().splitlines() if line.startswith("start")]

    def versions(self, count: int) -> Counter[str]:
        """Return the versions that answered this many requests on fresh connections."""
        return Counter(self.request() for _ in range(count))

    def request(self, path: str = "/") -> str:
        """The version that answered; else the status, or the name of the error."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as line:
                line.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                answer = b""
                while chunk := line.recv(65536):
                    answer += chunk
        except OSError as error:
            return type(error).__name__
        head, _, body = answer.partition(b"\r\n\r\n")
        status = head.split(b" ")[1].decode() if head else "nothing"
        return str(json.loads(body)["version"]) if status == "200" else status

    @contextmanager
    def load(self, clients: int = 2) -> Iterator[Counter[str]]:
        """Keeps asking while the block runs; what was answered is complete after it."""
        answers: Counter[str] = Counter()
        over = threading.Event()

        def client() -> None:
            while not over.is_set():
                answers[self.request()] += 1

        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield answers
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def end_everything(self) -> None:
        self.stop()
        for pid in [*self.instance_pids(), *self.haproxy_pids()]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _own(belongs: Callable[[Sequence[str]], bool]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            # A child that was forked but has not begun its program yet looks like its parent.
            if process.status() != psutil.STATUS_ZOMBIE and belongs(words) and str(VICTIM) not in words:
                found.append(process)
    return found
