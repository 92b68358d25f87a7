"""A component under test, whichever executor it has: orders for it, in the order of their fences."""

import asyncio
import os
import secrets
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import psutil
from pydantic import JsonValue

from release_management.adapters.executors.catalog import RunningExecutor, make_executor
from release_management.domain.orders import Order, Report
from release_management.domain.plan import Action

ROOT = Path(__file__).parents[2]
VICTIM = Path(__file__).with_name("victim.py")


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Component(ABC):
    """One component, with a fence that rises with every order."""

    EXECUTOR: str

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.journal = folder / "journal"
        self.fence = 0
        self.component = f"web-{secrets.token_hex(4)}"
        self.variables: dict[str, str] = {}

    @property
    def place(self) -> Path:
        """The folder of the executor's durable state of the component."""
        return self.data / "targets" / "prod" / "shop" / "main" / self.component

    @abstractmethod
    def all_settings(self) -> dict[str, JsonValue]:
        """The component's settings for its executor."""

    @abstractmethod
    def never_healthy(self) -> None:
        """Let versions provisioned from now on run, but not become healthy."""

    @abstractmethod
    def effects(self) -> list[str]:
        """A line for every time that the component was really provisioned, as the journal outside has it."""

    @abstractmethod
    def end_everything(self) -> None:
        """Leave no process."""

    def order(self, action: Action, fence: int | None = None, within: float = 20.0) -> Order:
        self.fence = self.fence + 1 if fence is None else self.fence
        return Order(
            deployment="0190c5a0-0000-7000-8000-000000000001",
            leg="forward",
            step=self.fence if fence is None else 1000 + fence,
            attempt=1,
            fence=self.fence if fence is None else fence,
            executor=self.EXECUTOR,
            environment="prod",
            application="shop",
            target="main",
            component=self.component,
            action=action,
            settings=self.all_settings(),
            variables=self.variables,
            deadline=(datetime.now(UTC) + timedelta(seconds=within)).isoformat(),
        )

    def executor(self) -> RunningExecutor:
        return make_executor(self.EXECUTOR, self.data, SystemClock())

    def ask(self, order: Order) -> Report:
        """Each time another executor: what matters must be beside the target."""
        return asyncio.run(self.executor().carry_out(order))

    def do(self, action: Action, within: float = 20.0) -> Report:
        report = self.ask(self.order(action, within=within))
        assert report.result == "succeeded", report.reason
        return report

    def stop(self) -> None:
        asyncio.run(self.executor().stop())

    @contextmanager
    def victim(self, order: Order, point: str) -> "Iterator[subprocess.Popen[bytes]]":
        """An executor in a process of its own, which comes to grief at a certain point."""
        with subprocess.Popen(
            [sys.executable, str(VICTIM), self.EXECUTOR, str(self.data), order.model_dump_json(), point],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        ) as victim:
            try:
                yield victim
            finally:
                victim.kill()


C = TypeVar("C", bound=Component)


@contextmanager
def gone_afterwards(made: C) -> Iterator[C]:
    """A component of which nothing is left after the block."""
    try:
        yield made
    finally:
        made.end_everything()


def until(condition: Callable[[], bool], within: float = 10.0) -> None:
    give_up = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up, "it did not come to pass"
        time.sleep(0.02)


def is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
