"""The executor says of a component what is so: by the process table, by requests, by HAProxy and by the kernel."""

import asyncio
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from contextlib import closing

import psutil
import pytest

from release_management.adapters.executors.base.look import Look
from release_management.adapters.executors.local import haproxy
from release_management.adapters.executors.local.answers import ErrorRate
from release_management.adapters.executors.local.executor import LocalExecutor
from release_management.domain.plan.steps.provision import ProvisionSlot
from tests.adapters.component import until
from tests.adapters.local.harness import ExecutorHarness


def look(harness: ExecutorHarness, executor: LocalExecutor | None = None) -> Look:
    [found] = asyncio.run((executor or harness.local()).look())
    return found


def settled(harness: ExecutorHarness, executor: LocalExecutor, wanted: Callable[[Look], bool]) -> Look:
    """Look and reconcile, as in the executor's life, until what is wanted is seen."""

    async def live() -> Look:
        give_up = time.monotonic() + 20
        while True:
            [seen] = await executor.look()
            if wanted(seen) or time.monotonic() > give_up:
                return seen
            await executor.reconcile()
            await asyncio.sleep(0.05)

    return asyncio.run(live())


@pytest.fixture
def serving(harness: ExecutorHarness) -> ExecutorHarness:
    harness.run_in("blue", "1.0.0")
    harness.route(blue=100)
    return harness


def test_a_serving_slot_is_well_with_its_instances_and_its_real_share(harness: ExecutorHarness) -> None:
    harness.run_in("blue", "1.0.0", replicas=2)
    harness.run_in("green", "2.0.0")
    harness.route(blue=75, green=25)

    seen = look(harness).seen

    assert (seen.environment, seen.application, seen.target, seen.component) == (
        *("prod", "shop", "main"),
        harness.component,
    )
    assert (seen.condition, seen.reason, seen.fence) == ("well", None, harness.fence)
    assert [
        (each.slot, each.version, each.condition, each.wanted, each.running, each.healthy) for each in seen.slots
    ] == [
        ("blue", "1.0.0", "well", 2, 2, 2),
        ("green", "2.0.0", "well", 1, 1, 1),
    ]
    assert {each.slot: each.share for each in seen.slots} == {"blue": 75, "green": 25}


def test_a_killed_process_is_down_at_the_next_look(serving: ExecutorHarness) -> None:
    [pid] = serving.instance_pids()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not serving.instance_pids())

    found = look(serving)

    assert (found.seen.condition, found.seen.slots[0].running) == ("down", 0)
    assert found.seen.reason is not None
    assert "blue1 exited" in found.seen.reason
    assert not found.settles


def test_a_slot_that_lost_one_of_two_instances_is_degraded(harness: ExecutorHarness) -> None:
    harness.run_in("blue", replicas=2)
    harness.route(blue=100)
    os.kill(harness.instance_pids()[0], signal.SIGKILL)
    until(lambda: len(harness.instance_pids()) == 1)

    seen = look(harness).seen

    assert (seen.condition, seen.slots[0].running, seen.slots[0].wanted) == ("degraded", 1, 2)


def test_a_process_that_hangs_is_down_though_it_lives(serving: ExecutorHarness) -> None:
    [pid] = serving.instance_pids()
    os.kill(pid, signal.SIGSTOP)
    try:
        seen = look(serving).seen
        assert (seen.condition, seen.slots[0].running, seen.slots[0].healthy) == ("down", 1, 0)
        assert seen.reason is not None
        assert "does not answer GET /health" in seen.reason
    finally:
        os.kill(pid, signal.SIGCONT)


def test_an_instance_in_a_crash_loop_says_how_often_and_why_it_ends(serving: ExecutorHarness) -> None:
    executor = serving.local()
    for ends in (1, 2, 3):
        os.kill(serving.instance_pids()[0], signal.SIGKILL)
        settled(serving, executor, lambda found, ends=ends: found.seen.slots[0].restarts == ends)  # type: ignore[misc] # bound at once
        settled(serving, executor, lambda found: found.seen.slots[0].running == 1)
    os.kill(serving.instance_pids()[0], signal.SIGKILL)

    seen = settled(serving, executor, lambda found: found.seen.slots[0].restarts == 4).seen

    assert seen.condition == "down"
    assert seen.reason is not None
    assert seen.reason.startswith("restarted 4 times in 60 s; blue1 exited by signal 9 after")
    asyncio.run(executor.stop(keep=True))


def test_a_version_that_answers_only_errors_is_down_though_its_health_is_well(harness: ExecutorHarness) -> None:
    harness.arguments = ["--errors"]
    harness.run_in("blue")
    harness.route(blue=100)
    executor = harness.local()
    assert look(harness, executor).seen.condition == "well", "nobody has asked it anything"
    assert harness.versions(20) == {"503": 20}

    seen = look(harness, executor).seen

    assert (seen.condition, seen.slots[0].healthy) == ("down", 1)
    assert seen.reason is not None
    assert seen.reason.startswith("blue answered 20 of 20 requests with errors")


def test_a_balancer_that_was_killed_is_down_until_it_is_started_again(serving: ExecutorHarness) -> None:
    executor = serving.local()
    os.kill(serving.balancer_pid(), signal.SIGKILL)
    until(lambda: not serving.haproxy_pids())

    assert look(serving, executor).seen.condition == "down"
    assert settled(serving, executor, lambda found: found.seen.condition == "well").seen.condition == "well"
    assert serving.request() == "1.0.0"


def test_a_balancer_that_lost_its_port_is_down_and_is_replaced(serving: ExecutorHarness) -> None:
    executor = serving.local()
    haproxy.ask(serving.socket(), "shutdown frontend clients")

    seen = look(serving, executor).seen

    assert (seen.condition, seen.slots[0].condition) == ("down", "well")
    assert seen.reason == f"HAProxy has closed port {serving.port}"
    assert settled(serving, executor, lambda found: found.seen.condition == "well").seen.condition == "well"
    until(lambda: serving.request() == "1.0.0")


def test_a_port_that_another_program_has_taken_is_not_ours(serving: ExecutorHarness) -> None:
    executor = serving.local()
    os.kill(serving.balancer_pid(), signal.SIGKILL)
    until(lambda: not serving.haproxy_pids())
    with closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", serving.port))
        other.listen()
        asyncio.run(executor.reconcile())

        assert look(serving, executor).seen.condition == "down"


def test_weights_that_somebody_else_set_are_drift_though_they_are_set_back(harness: ExecutorHarness) -> None:
    harness.run_in("blue", "1.0.0")
    harness.run_in("green", "2.0.0")
    harness.route(blue=100)
    executor = harness.local()
    asyncio.run(executor.reconcile())
    haproxy.ask(harness.socket(), "set server be/green1 weight 256")
    asyncio.run(executor.reconcile())

    seen = look(harness, executor).seen

    assert (seen.condition, {each.slot: each.share for each in seen.slots}) == ("drifted", {"blue": 100, "green": 0})
    assert seen.reason == "HAProxy was changed by somebody else: green1 had weight 256 instead of 0; it was set back"
    assert look(harness, executor).seen.condition == "well"


def test_shares_that_somebody_else_set_are_drift_before_they_are_set_back(harness: ExecutorHarness) -> None:
    harness.run_in("blue", "1.0.0")
    harness.run_in("green", "2.0.0")
    harness.route(blue=100)
    haproxy.ask(harness.socket(), "set server be/green1 weight 1")

    seen = look(harness).seen

    assert (seen.condition, {each.slot: each.share for each in seen.slots}) == ("drifted", {"blue": 50, "green": 50})


def test_a_restored_folder_with_nothing_listening_is_down_at_once(serving: ExecutorHarness) -> None:
    backup = serving.data.with_name("backup")
    shutil.copytree(serving.data, backup)
    serving.end_everything()
    shutil.rmtree(serving.data)
    backup.rename(serving.data)

    assert look(serving).seen.condition == "down"


def test_a_state_that_cannot_be_read_is_unknown(serving: ExecutorHarness) -> None:
    kept = (serving.place / "state.json").read_bytes()
    (serving.place / "state.json").write_text('{"altitude": 7}')

    seen = look(serving).seen

    assert seen.condition == "unknown"
    assert seen.reason is not None
    assert "cannot be read" in seen.reason
    (serving.place / "state.json").write_bytes(kept)


def test_an_instance_that_starts_for_the_first_time_is_no_news_yet(harness: ExecutorHarness) -> None:
    harness.never_healthy()
    executor = harness.local()
    harness.do(ProvisionSlot(slot="blue", version="1.0.0", replicas=1))

    found = look(harness, executor)

    assert found.settles
    assert found.seen.condition != "well"


def test_a_component_of_which_nothing_should_run_is_well_without_slots(serving: ExecutorHarness) -> None:
    serving.route()
    serving.retire("blue")

    seen = look(serving).seen

    assert (seen.condition, seen.slots) == ("well", ())


def test_a_look_that_fails_leaves_one_component_unknown_and_the_others_seen(
    serving: ExecutorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = serving.place.with_name("other")
    other.mkdir()
    shutil.copy(serving.place / "state.json", other)
    judge = ErrorRate.judge

    def fail(*_: object) -> None:
        monkeypatch.setattr(ErrorRate, "judge", judge)
        raise psutil.AccessDenied(1)

    monkeypatch.setattr(ErrorRate, "judge", fail)

    seen = [each.seen for each in asyncio.run(serving.local().look())]

    assert sorted(each.condition for each in seen) == ["unknown", "well"]
    assert [each.reason for each in seen if each.condition == "unknown"] == ["the look failed: AccessDenied: (pid=1)"]
    shutil.rmtree(other)
