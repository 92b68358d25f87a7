"""Waiting for health, and what is said of a bad build."""

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from release_management.adapters.executors.base import variables
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.provision import ProvisionSlot
from tests.adapters.component import until
from tests.adapters.local.harness import ExecutorHarness


def test_a_crash_looping_build_fails_with_what_it_said(harness: ExecutorHarness, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    harness.variables = {"PASSWORD": f"file:{secret}"}
    code = "import os; print('cannot log in with ' + os.environ['PASSWORD']); raise SystemExit(3)"
    order = harness.order(ProvisionSlot(slot="blue", version="1.0.0", replicas=1))
    order = order.model_copy(update={"settings": {**order.settings, "command": ["{python}", "-c", code]}})
    assert harness.ask(order).result == "succeeded"
    report = harness.ask(harness.order(AwaitSlotHealthy(slot="blue", replicas=1)))
    assert report.result == "failed"
    assert "blue1 exited with code 3" in str(report.reason)
    assert 'its last line was "cannot log in with ***"' in str(report.reason)
    assert b"hunter2" not in (harness.folder.path / "state.json").read_bytes()


def test_a_restart_after_a_crash_backs_off(harness: ExecutorHarness) -> None:
    order = harness.order(ProvisionSlot(slot="blue", version="1.0.0", replicas=1))
    crashing = ["{python}", "-S", "-c", "raise SystemExit(1)"]
    harness.ask(order.model_copy(update={"settings": {**order.settings, "command": crashing}}))
    ends = time.monotonic() + 2.5
    while time.monotonic() < ends:
        harness.reconcile()
        time.sleep(0.05)
    [instance] = harness.state().slots["blue"].instances
    assert instance.exits == 2
    assert 1.0 < instance.not_before - instance.since <= 2.0


def test_an_unhealthy_build_fails_at_its_deadline(harness: ExecutorHarness) -> None:
    harness.arguments = ["--fail"]
    harness.do(ProvisionSlot(slot="blue", version="1.0.0", replicas=1))
    report = harness.ask(harness.order(AwaitSlotHealthy(slot="blue", replicas=1), within=1.0))
    assert report.result == "failed"
    assert "blue1 answers GET /health with 503" in str(report.reason)


def test_health_must_last(harness: ExecutorHarness) -> None:
    harness.do(ProvisionSlot(slot="blue", version="1.0.0", replicas=2))
    began = time.monotonic()
    harness.do(AwaitSlotHealthy(slot="blue", replicas=2, min_ready=1.0))
    assert time.monotonic() - began >= 1.0
    late = harness.ask(harness.order(AwaitSlotHealthy(slot="blue", replicas=2, min_ready=9.0), within=0.5))
    assert (late.result, "not for long enough" in str(late.reason)) == ("failed", True)


def test_an_instance_that_ends_after_it_was_healthy_and_before_min_ready_is_over_fails(
    harness: ExecutorHarness,
) -> None:
    harness.do(ProvisionSlot(slot="blue", version="1.0.0", replicas=1))
    harness.do(AwaitSlotHealthy(slot="blue", replicas=1))
    [pid] = harness.instance_pids()
    ending = threading.Timer(1.0, os.kill, (pid, signal.SIGKILL))
    ending.start()

    report = harness.ask(harness.order(AwaitSlotHealthy(slot="blue", replicas=1, min_ready=20.0), within=60.0))

    ending.join()
    assert report.result == "failed"
    assert "blue1" in str(report.reason)


@pytest.mark.parametrize(
    ("variables", "command", "reason"),
    [
        ({"KEY": "env:NO_SUCH"}, None, "the variable KEY refers to env:NO_SUCH"),
        ({}, ["/no/such/program"], "No such file or directory: '/no/such/program'"),
        ({}, ["run", "{prot}"], "unknown placeholder {prot}"),
    ],
)
def test_an_instance_that_cannot_be_started_is_errored(
    harness: ExecutorHarness, variables: dict[str, str], command: list[str] | None, reason: str
) -> None:
    harness.variables = variables
    order = harness.order(ProvisionSlot(slot="blue", version="1.0.0", replicas=1))
    if command is not None:
        order = order.model_copy(update={"settings": {**order.settings, "command": command}})
    report = harness.ask(order)
    assert report.result == "errored"
    assert reason in str(report.reason)
    assert not harness.instance_pids()


def test_an_old_secret_is_masked_by_an_executor_that_never_read_it(harness: ExecutorHarness, tmp_path: Path) -> None:
    old = "ghp_Ab3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z"
    secret = tmp_path / "secret"
    secret.write_text(old)
    harness.variables = {"TOKEN": f"file:{secret}"}
    code = (
        "import os, sys, time, pathlib\n"
        f"while not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.02)\n"
        "sys.exit('x' * 180 + ' no more: ' + os.environ['TOKEN'] + ', sorry')"
    )
    order = harness.order(ProvisionSlot(slot="blue", version="1.0.0", replicas=1))
    order = order.model_copy(update={"settings": {**order.settings, "command": ["{python}", "-c", code]}})
    assert harness.ask(order).result == "succeeded"
    secret.write_text("another-value-of-today")
    variables._remembered.clear()  # as in a process of its own, begun after the change
    executor = harness.local()
    asyncio.run(executor.reconcile())

    (tmp_path / "go").touch()

    def ended() -> str | None:
        asyncio.run(executor.reconcile())
        return harness.state().slots["blue"].instances[0].last_exit

    until(lambda: ended() is not None)

    said = str(ended())
    assert "no more: ***" in said
    assert not {old[at : at + 5] for at in range(len(old) - 4)} & {said[at : at + 5] for at in range(len(said) - 4)}
