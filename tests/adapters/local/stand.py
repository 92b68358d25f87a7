"""A component under test: orders for it, requests to it, and what really runs for it."""

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from pydantic import JsonValue

from release_management.adapters.local import LocalExecutor
from release_management.adapters.local.processes import free_port
from release_management.adapters.local.state import ComponentState, Folder
from release_management.domain.orders import (
    Action,
    AwaitSlotHealthy,
    Order,
    ProvisionSlot,
    Report,
    RetireSlot,
    RouteSlots,
)

ROOT = Path(__file__).parents[3]
VICTIM = Path(__file__).with_name("victim.py")


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Stand:
    """One component, with a fence that rises with every order."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.journal = folder / "journal"
        self.port = free_port(())
        self.fence = 0
        self.component = f"web-{secrets.token_hex(4)}"
        self.arguments: list[str] = []
        self.variables: dict[str, str] = {}
        self.settings: dict[str, JsonValue] = {
            "port": self.port,
            "health": "/health",
            "stop_grace": 3,
            "env": {"PYTHONPATH": str(ROOT)},
        }

    def command(self) -> list[JsonValue]:
        sample = ["{python}", "-m", "release_management.sample", "--port", "{port}", "--version", "{version}"]
        return [*sample, "--component", "{component}", "--journal", str(self.journal), *self.arguments]

    def order(self, action: Action, fence: int | None = None, within: float = 20.0) -> Order:
        self.fence = self.fence + 1 if fence is None else self.fence
        return Order(
            deployment="0190c5a0-0000-7000-8000-000000000001",
            leg="forward",
            step=self.fence if fence is None else 1000 + fence,
            attempt=1,
            fence=self.fence if fence is None else fence,
            executor="local",
            environment="prod",
            application="shop",
            target="main",
            component=self.component,
            action=action,
            settings={"command": self.command(), **self.settings},
            variables=self.variables,
            deadline=(datetime.now(UTC) + timedelta(seconds=within)).isoformat(),
        )

    def executor(self) -> LocalExecutor:
        return LocalExecutor(self.data, SystemClock())

    def ask(self, order: Order) -> Report:
        """Each time another executor: what matters must be beside the target."""
        return asyncio.run(self.executor().carry_out(order))

    def do(self, action: Action, within: float = 20.0) -> Report:
        report = self.ask(self.order(action, within=within))
        assert report.result == "succeeded", report.reason
        return report

    def run_in(self, slot: str, version: str = "1.0.0", replicas: int = 1) -> None:
        self.do(ProvisionSlot(slot=slot, version=version, replicas=replicas))
        self.do(AwaitSlotHealthy(slot=slot, replicas=replicas))

    def route(self, **weights: int) -> Report:
        return self.do(RouteSlots(weights=weights))

    def retire(self, slot: str) -> Report:
        return self.do(RetireSlot(slot=slot))

    def reconcile(self) -> None:
        asyncio.run(self.executor().reconcile())

    def stop(self) -> None:
        asyncio.run(self.executor().stop())

    @property
    def folder(self) -> Folder:
        return Folder(self.data / "targets" / "prod" / "shop" / "main" / self.component)

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
        """Which versions answered so many requests on fresh connections."""
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

    @contextmanager
    def victim(self, order: Order, point: str) -> "Iterator[subprocess.Popen[bytes]]":
        """An executor in a process of its own, which comes to grief at a certain point."""
        with subprocess.Popen(
            [sys.executable, str(VICTIM), str(self.data), order.model_dump_json(), point],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        ) as victim:
            try:
                yield victim
            finally:
                victim.kill()

    def end_everything(self) -> None:
        self.stop()
        for pid in [*self.instance_pids(), *self.haproxy_pids()]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def until(condition: Callable[[], bool], within: float = 10.0) -> None:
    give_up = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up, "it did not come to pass"
        time.sleep(0.02)


def is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def _own(belongs: Callable[[Sequence[str]], bool]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            # A child that was forked but has not begun its program yet looks like its parent.
            if process.status() != psutil.STATUS_ZOMBIE and belongs(words) and str(VICTIM) not in words:
                found.append(process)
    return found
