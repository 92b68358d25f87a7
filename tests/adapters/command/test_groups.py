"""A program ends with everything that it has started, whatever becomes of its executor; one after the other runs."""

import asyncio
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from release_management.adapters.executors.base.lock import turn
from release_management.domain.orders import Report
from release_management.domain.plan import Action
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from tests.adapters.command.harness import CommandExecutorHarness, all_gone
from tests.adapters.component import (
    is_stopped,
    runs,
    until,
)

PROVISION = ProvisionSlot(slot="blue", version="1.0.0", replicas=1)
HEALTHY = AwaitSlotHealthy(slot="blue", replicas=1)
RETIRE = RetireSlot(slot="blue")
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if sys.argv[1] == "elsewhere":
    os.setsid()
print("child", sys.argv[1], os.getpid(), file=open(sys.argv[2], "a"), flush=True)
time.sleep(600)
"""


def stubborn(harness: CommandExecutorHarness, where: str) -> str:
    """A command line for a process that ignores SIGTERM, in the program's group or `elsewhere`."""
    words = [sys.executable, "-S", "-c", STUBBORN, where, str(harness.journal)]
    return " ".join(shlex.quote(word) for word in words) + " &"


def left_by_a_killed_executor(harness: CommandExecutorHarness) -> int:
    """A process that its program started, and that had left the group."""
    harness.program("provision", f"{stubborn(harness, 'elsewhere')}\nsleep 600")
    with harness.victim(harness.order(PROVISION), "none") as victim:
        until(lambda: len(harness.pids("child")) == 1)
        victim.kill()
        victim.wait()
    [left] = harness.pids("child")
    assert runs(left)
    return left


def test_a_timeout_ends_the_whole_group_and_what_left_it(harness: CommandExecutorHarness) -> None:
    harness.settings["timeout"] = 1.0
    harness.program(
        "provision", f"trap '' TERM\n{stubborn(harness, 'here')}\n{stubborn(harness, 'elsewhere')}\nsleep 600"
    )
    report = harness.ask(harness.order(PROVISION))
    assert report.result == "errored"
    assert len(harness.pids("child")) == 2
    assert all_gone(harness.pids())


def test_sigterm_comes_first(harness: CommandExecutorHarness) -> None:
    harness.settings.update(timeout=0.3, stop_grace=10)
    harness.program("provision", f"trap 'echo told >> {harness.journal}; exit 0' TERM\nsleep 600 & wait")
    assert harness.ask(harness.order(PROVISION)).result == "errored"
    assert harness.written("told") == ["told"]


def test_processes_that_a_program_leaves_in_the_background_go_on(harness: CommandExecutorHarness) -> None:
    harness.program("provision", stubborn(harness, "here") + f"\nwhile ! grep -q child {harness.journal}; do :; done")
    harness.do(PROVISION)
    harness.do(HEALTHY)
    [left] = harness.pids("child")
    assert runs(left)
    os.kill(left, signal.SIGKILL)


def test_a_program_may_wait_for_all_of_its_children(harness: CommandExecutorHarness) -> None:
    waits = "import os\ntry:\n    while True: os.wait()\nexcept ChildProcessError: pass"
    harness.program("provision", f"exec {shlex.quote(sys.executable)} -S -c {shlex.quote(waits)}")
    assert harness.do(PROVISION, within=10).result == "succeeded"


def test_no_program_goes_on_when_the_executor_is_killed(harness: CommandExecutorHarness) -> None:
    harness.program("provision", f"trap '' TERM\n{stubborn(harness, 'here')}\nsleep 600")
    order = harness.order(PROVISION)
    with harness.victim(order, "none") as victim:
        until(lambda: len(harness.pids("child")) == 1)
        victim.kill()
        until(lambda: all_gone(harness.pids()), within=2)
    harness.program("provision", ":")
    assert harness.ask(order).result == "succeeded"
    assert len(harness.effects()) == 1


def test_processes_that_left_the_group_of_a_killed_executor_are_ended_before_the_next_program(
    harness: CommandExecutorHarness,
) -> None:
    left = left_by_a_killed_executor(harness)
    harness.program("retire", f"ps -o stat= -p {left} | grep -v Z || echo gone >> {harness.journal}")
    harness.do(RETIRE)
    assert harness.written("gone") == ["gone"]


def test_programs_of_a_killed_executor_are_ended_when_the_next_one_starts(harness: CommandExecutorHarness) -> None:
    left_by_a_killed_executor(harness)

    async def start() -> None:
        executor = harness.executor()
        running = asyncio.create_task(executor.run())
        while not all_gone(harness.pids()):
            await asyncio.sleep(0.02)
        await executor.stop()
        await running

    asyncio.run(asyncio.wait_for(start(), 10))


@pytest.mark.parametrize("stopped", [False, True])
def test_a_newer_order_ends_the_program_of_another_executor_first(
    harness: CommandExecutorHarness, stopped: bool
) -> None:
    harness.program("await_healthy", "trap '' TERM\nsleep 600")
    older_runs = f"ps -o stat= -p $(sed -n 's/begin await_healthy . //p' {harness.journal}) | grep -v Z"
    harness.program("retire", f"{older_runs} && exit 1\n:")
    older = harness.order(HEALTHY)
    with harness.victim(older, "none") as victim:
        until(lambda: bool(harness.written("begin await_healthy")))
        if stopped:
            os.kill(victim.pid, signal.SIGSTOP)
            until(lambda: is_stopped(victim.pid))
        assert harness.do(RETIRE).result == "succeeded"
        assert victim.wait(20) == (-signal.SIGKILL if stopped else 0)
        assert victim.stdout is not None
        said = victim.stdout.read()
    if not stopped:
        assert Report.model_validate_json(said).result == "stale"
    assert harness.ask(older).result == "stale"
    assert not harness.written("end await_healthy")


def test_an_order_that_is_cancelled_again_and_again_still_ends_its_program_first(
    harness: CommandExecutorHarness,
) -> None:
    harness.program("await_healthy", f"trap '' TERM\n{stubborn(harness, 'elsewhere')}\nsleep 600")

    async def cancel() -> None:
        waiting = asyncio.create_task(harness.executor().carry_out(harness.order(HEALTHY)))
        while not harness.pids("child"):
            await asyncio.sleep(0.02)
        while not waiting.done():
            waiting.cancel()
            await asyncio.sleep(0.05)
        assert waiting.cancelled()
        assert all_gone(harness.pids())

    asyncio.run(asyncio.wait_for(cancel(), 10))


HOLDER = """
import fcntl, sys, time
held = open(sys.argv[1], "a")
fcntl.lockf(held, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


@contextmanager
def holding_the_turn(harness: CommandExecutorHarness) -> Iterator[int]:
    """Another process has the component's turn and does nothing; its pid."""
    harness.place.mkdir(parents=True)
    command = [sys.executable, "-S", "-c", HOLDER, str(harness.place / "turn.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            yield holder.pid
        finally:
            holder.kill()


@pytest.mark.parametrize("action", [PROVISION, HEALTHY, RETIRE])
def test_an_order_waits_for_its_turn_until_its_deadline_and_names_who_has_it(
    harness: CommandExecutorHarness, action: Action
) -> None:
    order = harness.order(action, within=1)
    with holding_the_turn(harness) as holder:
        report = harness.ask(order)
    assert report.result == "errored"
    assert str(report.reason).startswith(f"{action.verb} had no turn before its deadline: process {holder} has held ")
    assert harness.ask(order) == report
    assert not harness.written("begin")


def test_an_order_that_gives_up_its_turn_keeps_no_later_one_waiting(harness: CommandExecutorHarness) -> None:
    with holding_the_turn(harness):
        assert harness.ask(harness.order(PROVISION, within=0.3)).result == "errored"
    assert harness.do(RETIRE).result == "succeeded"


def test_an_order_that_waits_behind_one_of_its_own_process_says_so(harness: CommandExecutorHarness) -> None:
    async def wait() -> Report:
        harness.place.mkdir(parents=True)
        async with turn(harness.place / "turn.lock", 0):
            return await harness.executor().carry_out(harness.order(PROVISION, within=0.5))

    report = asyncio.run(asyncio.wait_for(wait(), 10))
    assert report.result == "errored"
    assert f": process {os.getpid()} has held turn.lock for " in str(report.reason)


def test_the_same_order_at_two_executors_runs_once(harness: CommandExecutorHarness) -> None:
    harness.program("provision", "sleep 0.5")
    order = harness.order(PROVISION)
    with harness.victim(order, "none") as other:
        until(lambda: bool(harness.written("begin provision")))
        report = harness.ask(order)
        assert other.wait(20) == 0
        assert other.stdout is not None
        assert Report.model_validate_json(other.stdout.read()) == report
    assert len(harness.written("begin provision")) == 1
