"""An executor that comes to grief: `victim.py <data> <order> <point>` carries out one order and prints the report."""

import asyncio
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from release_management.adapters.local import LocalExecutor, converge, executor, haproxy, processes
from release_management.domain.orders import Order
from tests.adapters.local.stand import SystemClock


def grieve(number: signal.Signals) -> None:
    # To this thread: a signal to the process may reach another one first, while this one goes on.
    signal.pthread_kill(threading.get_ident(), number)


def prepare(point: str) -> None:
    start, tell, once = processes.start, haproxy._tell, converge.converge

    def start_and_die(*args: Any, **kwargs: Any) -> Any:
        started = start(*args, **kwargs)
        if (args[1][0] == sys.executable) == (point == "killed after a spawn"):
            grieve(signal.SIGKILL)
        return started

    def stop_and_tell(path: str, commands: Iterable[str]) -> None:
        grieve(signal.SIGSTOP)
        tell(path, commands)

    def stop_and_converge(*args: Any) -> Any:
        grieve(signal.SIGSTOP)
        return once(*args)

    match point:
        case "killed after a spawn" | "killed after starting HAProxy":
            processes.start = start_and_die
        case "stopped holding the lock":
            haproxy._tell = stop_and_tell
        case "stopped between sections":
            vars(executor)["converge"] = stop_and_converge
        case "none":
            return
        case _:
            raise ValueError(point)


if __name__ == "__main__":
    data, text, where = sys.argv[1:]
    prepare(where)
    report = asyncio.run(LocalExecutor(Path(data), SystemClock()).carry_out(Order.model_validate_json(text)))
    print(report.model_dump_json())
