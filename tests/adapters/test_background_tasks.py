"""Every thread and every task that is no part of a `TaskGroup`, and why it does not end in silence.

A task of a group ends the whole group with its error, and so the role, which begins again or says why not
(`roles/passing.py`). All others are listed here, each with what happens where it ends.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2] / "release_management"
STARTS = ("Thread", "Timer", "ThreadPoolExecutor", "create_task", "ensure_future", "run_coroutine_threadsafe")
GROUPS = ("tasks", "group")

AWAITED = "whoever started it waits for it and gets its error"
KNOWN = {
    "adapters/executors/command/executor.py:_begin_look": "its error is logged, and the next round looks again",
    "adapters/executors/command/executor.py:_effect": AWAITED,
    "adapters/executors/command/executor.py:_undisturbed": AWAITED,
    "adapters/event_store/postgres/listener.py:start": "its loop keeps every error for those who wait, and goes on",
    "adapters/nats/connection.py:_answered": AWAITED,
    "adapters/nats/connection.py:_connect_again": "it begins the loop that tries for ever",
    "adapters/nats/connection.py:connect": AWAITED,
    "adapters/nats/requests/lanes.py:_begin": "its errors are answered and logged, and its place is given to the next",
    "adapters/nats/embedded/server.py:_spawn": "it hands its error to its caller; the server itself is looked after",
    "runtime/roles/kit/away.py:_answer_until_it_serves": "where it ends it is begun again",
    "runtime/roles/kit/away.py:answering_while_away": "its loop outlives every error, and logs what is a fault of ours",
    "runtime/roles/kit/probes.py:__init__": "serve_forever outlives the errors of requests",
    "runtime/roles/kit/lease.py:serve_in_turn": AWAITED,
    "runtime/roles/process.py:_until_told": AWAITED,
    "runtime/roles/process.py:run": "however it ends it ends the process; the timer only ends a process that hangs",
    "runtime/roles/projector.py:_answer": AWAITED,
    "runtime/roles/kit/store.py:watch_store": AWAITED,
    "runtime/gateway_host.py:__init__": "its loop outlives every error, and says it to whoever asks",
    "runtime/gateway_host.py:_follow": "it ends when the gateway that was deposed is closed; `close` waits for it",
    "runtime/loop_thread.py:__init__": "a loop outlives the errors of what runs on it",
    "runtime/loop_thread.py:start": AWAITED,
    "runtime/reading.py:__init__": "its error is in `failure`, which ends the role",
    "runtime/patient_reading.py:_positions": AWAITED,
    "adapters/executors/base/executor.py:__init__": "work on it is awaited",
    "adapters/executors/base/executor.py:carry_out": AWAITED,
    "services/gateway/gateway.py:__init__": "its loop outlives every error, and health says it",
    "services/threads.py:__init__": "work on it is awaited",
    "services/threads.py:in_thread": AWAITED,
}


def starts(path: Path) -> Iterator[str]:
    """The functions of a module that start a thread, or a task outside of a group."""
    for function in ast.walk(ast.parse(path.read_text())):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            owner, _, name = called.rpartition(".")
            if name in STARTS and owner not in GROUPS:
                yield f"{path.relative_to(ROOT)}:{function.name}"


def test_every_thread_and_task_has_a_stated_end() -> None:
    found = {each for path in ROOT.rglob("*.py") for each in starts(path)}
    assert found == set(KNOWN)
