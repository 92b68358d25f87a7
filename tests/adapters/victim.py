"""An executor that comes to grief: `victim.py <executor> <data> <order> <point>` carries out one order and reports."""

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from release_management.adapters.executors.base import processes
from release_management.adapters.executors.base.executor import FencedExecutor
from release_management.adapters.executors.catalog import make_executor
from release_management.adapters.executors.local import converge, executor, haproxy
from release_management.domain.orders import Order
from tests.adapters.component import SystemClock


def grieve(number: signal.Signals) -> None:
    # To this thread: a signal to the process may reach another one first, while this one goes on.
    signal.pthread_kill(threading.get_ident(), number)


def first(number: signal.Signals, function: Callable[..., Any]) -> Callable[..., Any]:
    def grieve_first(*args: Any, **kwargs: Any) -> Any:
        grieve(number)
        return function(*args, **kwargs)

    return grieve_first


def then(number: signal.Signals, function: Callable[..., Any]) -> Callable[..., Any]:
    def grieve_then(*args: Any, **kwargs: Any) -> Any:
        function(*args, **kwargs)
        grieve(number)

    return grieve_then


def prepare(point: str) -> None:
    ours: Any = FencedExecutor
    start, tell, once = processes.start, haproxy._tell, converge.converge

    def start_and_die(*args: Any, **kwargs: Any) -> Any:
        started = start(*args, **kwargs)
        if (args[1][0] == sys.executable) == (point == "killed after a spawn"):
            grieve(signal.SIGKILL)
        return started

    def stop_and_tell(path: str, commands: Iterable[str]) -> None:
        grieve(signal.SIGSTOP)
        tell(path, commands)

    match point:
        case "killed after a spawn" | "killed after starting HAProxy":
            processes.start = start_and_die
        case "killed once admitted":
            ours._admit = then(signal.SIGKILL, ours._admit)
        case "killed before its report is stored":
            ours._finish = first(signal.SIGKILL, ours._finish)
        case "killed with its report stored":
            ours._finish = then(signal.SIGKILL, ours._finish)
        case "stopped holding the lock":
            haproxy._tell = stop_and_tell
        case "stopped between sections":
            vars(executor)["converge"] = first(signal.SIGSTOP, once)
        case "none":
            return
        case _:
            raise ValueError(point)


if __name__ == "__main__":
    name, data, text, where = sys.argv[1:]
    prepare(where)
    report = asyncio.run(make_executor(name, Path(data), SystemClock()).carry_out(Order.model_validate_json(text)))
    print(report.model_dump_json())
