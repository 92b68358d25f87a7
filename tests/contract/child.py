"""Tasks of the contract suite in other processes: `python -m tests.contract.child TASK BACKEND WHERE …`."""

import itertools
import json
import sys
import time
from collections.abc import Callable

from release_management.services.ports import (
    Append,
    Appended,
    EventLog,
)
from tests.contract.backends import open_log
from tests.contract.commands import command, seen


def write(log: EventLog, writer: str, count: str) -> None:
    """Append to a stream of one's own and to one that all writers share, again wherever another was faster."""
    own = f"own:{writer}"
    for number in range(int(count)):
        status = None
        while not isinstance(status, Appended):
            shared = log.read_stream("shared:all", after=number)
            at = shared[-1].version if shared else number
            expects = {own: seen(2 * number), "shared:all": seen(at)}
            (status,) = log.append(
                [command(f"{number}", expects, {own: 2, "shared:all": 1}, sender=writer, content=f"{at}")]
            )


def forever(log: EventLog, sender: str) -> None:
    """Append batches of three commands with six records until killed; each batch is acknowledged by a line."""
    for number in itertools.count():
        stream = f"batch:{sender}-{number}"
        batch: list[Append] = []
        written = 0
        for count in (1, 2, 3):
            expects = {stream: seen(0, written)}
            batch.append(command(f"{number}.{count}", expects, {stream: count}, sender=sender))
            written += count
        log.append(batch)
        print(json.dumps(number), flush=True)


def tail(log: EventLog, until: str) -> None:
    """Follow the log and print every position, up to one."""
    after = 0
    while after < int(until) and log.wait(after, 20):
        for recorded in log.read(after, limit=7):
            print(recorded.position, flush=True)
            after = recorded.position


def hold(log: EventLog, role: str) -> None:
    """Take a role, say its number, keep it, and say when it is lost."""
    lease = log.take(role)
    assert lease is not None
    print(lease.number, flush=True)
    while lease.is_held():
        time.sleep(0.25)
    print("lost", flush=True)


def create(log: EventLog) -> None:
    """Open the store, which makes it, and say which it is."""
    print(log.store_id)


if __name__ == "__main__":
    tasks: dict[str, Callable[..., None]] = {
        "create": create,
        "forever": forever,
        "hold": hold,
        "tail": tail,
        "write": write,
    }
    task, backend, where, *arguments = sys.argv[1:]
    opened = open_log(backend, where)
    tasks[task](opened, *arguments)
    opened.close()
