"""The program for `observe` says how a component is; where it does not, that is unknown."""

import asyncio
import json
import time

import pytest

from release_management.adapters.executors.command.executor import CommandExecutor
from release_management.domain.condition import Observation
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots
from tests.adapters.command.harness import CommandExecutorHarness
from tests.adapters.component import SystemClock


def look(harness: CommandExecutorHarness, body: str | None) -> Observation:
    """Return the observation by this shell script as `observe`; None: there is no such program."""
    if body is not None:
        harness.program("observe", body)
        harness.settings["commands"] = {**harness.all_settings()["commands"], "observe": [str(harness.path("observe"))]}  # type: ignore[dict-item] # it is a map
    harness.do(ProvisionSlot(slot="blue", version="1.0.0", replicas=2))
    harness.do(RouteSlots(weights={"blue": 100}))

    async def once() -> Observation:
        executor = CommandExecutor(harness.data, SystemClock())
        try:
            async with asyncio.timeout(20):
                while not (looks := await executor.look()):
                    await asyncio.sleep(0.05)
            return looks[0].seen
        finally:
            await executor.stop()

    return asyncio.run(once())


def says(document: object) -> str:
    return f"echo '{json.dumps(document)}'"


def test_without_a_program_it_is_unknown(harness: CommandExecutorHarness) -> None:
    seen = look(harness, None)

    assert (seen.condition, seen.slots) == ("unknown", ())
    assert seen.reason == "nobody can look: its settings have no program for observe"


@pytest.mark.parametrize(
    ("healthy", "condition", "whole"), [(2, "well", "well"), (1, "degraded", "degraded"), (0, "down", "down")]
)
def test_the_counts_say_how_it_is(harness: CommandExecutorHarness, healthy: int, condition: str, whole: str) -> None:
    seen = look(harness, says({"slots": {"blue": {"running": 2, "healthy": healthy, "share": 100}}}))

    [slot] = seen.slots
    assert (slot.slot, slot.version, slot.wanted, slot.running, slot.healthy) == ("blue", "1.0.0", 2, 2, healthy)
    assert (slot.condition, slot.share, seen.condition) == (condition, 100, whole)
    assert seen.fence == harness.fence


def test_the_programs_own_word_and_reason_count(harness: CommandExecutorHarness) -> None:
    seen = look(harness, says({"condition": "degraded", "reason": "the queue is long"}))

    assert (seen.condition, seen.reason) == ("degraded", "the queue is long")
    assert [(slot.condition, slot.running) for slot in seen.slots] == [("degraded", None)]


def test_observe_is_told_the_intended_state_and_the_component(harness: CommandExecutorHarness) -> None:
    asked, named = harness.journal.with_name("asked"), harness.journal.with_name("named")

    look(harness, f'cat > {asked}; echo "$RELMAN_VERB $RELMAN_COMPONENT" > {named}; {says({"condition": "well"})}')

    place = {"environment": "prod", "application": "shop", "target": "main", "component": harness.component}
    slots = {"blue": {"version": "1.0.0", "replicas": 2}}
    assert json.loads(asked.read_text()) == {**place, "slots": slots, "weights": {"blue": 100}}
    assert named.read_text().split() == ["observe", harness.component]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("exit 3", "observe exited with code 3; it wrote nothing"),
        ("echo no; exit 1", 'observe exited with code 1; its last line was "no"'),
        ("true", "what observe says cannot be used"),
        ("echo '{\"altitude\": 7}'", "what observe says cannot be used: altitude"),
        ('echo \'{"condition": "well", "condition": "down"}\'', "what observe says cannot be used"),
    ],
)
def test_a_program_that_does_not_say_how_it_is_leaves_it_unknown(
    harness: CommandExecutorHarness, body: str, reason: str
) -> None:
    seen = look(harness, body)

    assert seen.condition == "unknown"
    assert seen.reason is not None
    assert seen.reason.startswith(reason)


def test_a_program_that_takes_too_long_is_ended_and_leaves_it_unknown(harness: CommandExecutorHarness) -> None:
    harness.settings["observe_timeout"] = 0.3
    began = time.monotonic()

    seen = look(harness, "sleep 600")

    assert seen.condition == "unknown"
    assert seen.reason == "observe took longer than 0.3 s and was ended"
    assert time.monotonic() - began < 20


def test_a_retired_slot_is_no_longer_observed(harness: CommandExecutorHarness) -> None:
    look(harness, says({"condition": "well"}))
    harness.do(RetireSlot(slot="blue"))

    assert harness.folder.load().slots == {}


def test_a_settings_check_names_an_unusable_time(harness: CommandExecutorHarness) -> None:
    harness.settings["observe_timeout"] = 60

    report = harness.ask(harness.order(ProvisionSlot(slot="blue", version="1.0.0", replicas=1)))

    assert report.result == "errored"
    assert report.reason is not None
    assert "observe_timeout" in report.reason
