"""HAProxy's time-outs and health checks: settings of a component, with two versions beside each other."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import JsonValue

from release_management.adapters.executors.local.layout import layout
from release_management.adapters.executors.local.settings import check_settings
from release_management.domain.plan.steps.provision import ProvisionSlot
from tests.adapters.component import gone_afterwards, until
from tests.adapters.local.streams import (
    SILENCE,
    Streaming,
    asked,
    change,
    is_closed,
    status,
)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Streaming]:
    with gone_afterwards(Streaming(tmp_path)) as made:
        yield made


def served(harness: Streaming) -> None:
    harness.run_in("blue")
    harness.route(blue=100)


def slow_answer(harness: Streaming) -> int:
    with asked(harness, f"/slow?seconds={SILENCE}") as line:
        return status(line)


def test_a_component_that_says_nothing_has_the_settings_that_are_documented(harness: Streaming) -> None:
    served(harness)
    written = (harness.folder.path / "haproxy.cfg").read_text()
    for line in (
        "timeout connect 1000ms",
        "timeout server 300000ms",
        "timeout client 300000ms",
        "timeout tunnel 3600000ms",
        "set-timeout server 3600000ms if { req.hdr(accept) -m sub text/event-stream }",
        "timeout http-keep-alive 5000ms",
        "timeout http-request 10s",
        "maxconn 2000",
        "timeout check 1000ms",
        "inter 200ms fall 2 rise 1",
    ):
        assert line in written


@pytest.mark.parametrize(
    "other",
    [
        {"balancer": {"connect_timeout": 2}},
        {"balancer": {"answer_timeout": 2}},
        {"balancer": {"stream_timeout": 2}},
        {"balancer": {"keep_alive": 2}},
        {"health_check": {"timeout": 2}},
        {"health_check": {"interval": 2}},
        {"health_check": {"rise": 3}},
        {"health_check": {"fall": 3}},
    ],
)
def test_each_of_them_is_part_of_the_shape_that_another_haproxy_is_started_for(
    harness: Streaming, other: dict[str, JsonValue]
) -> None:
    served(harness)
    state = harness.state()
    before = layout(state).shape
    state.slots["blue"].settings = check_settings({**harness.all_settings(), **other})
    assert layout(state).shape != before


def test_the_same_settings_start_no_other_haproxy(harness: Streaming) -> None:
    served(harness)
    before = harness.balancer_pid()
    change(harness, answer_timeout="5m", keep_alive=5)
    harness.reconcile()
    assert harness.balancer_pid() == before


def test_a_changed_time_out_takes_effect(harness: Streaming) -> None:
    harness.settings["balancer"] = {"answer_timeout": 0.5}
    served(harness)
    assert slow_answer(harness) == 504
    change(harness, answer_timeout=10)
    assert slow_answer(harness) == 200
    change(harness, answer_timeout=0.5)
    assert slow_answer(harness) == 504


def test_while_two_versions_stand_the_longer_time_out_holds(harness: Streaming) -> None:
    harness.settings["balancer"] = {"answer_timeout": 0.5}
    served(harness)
    harness.settings["balancer"] = {"answer_timeout": 10}
    harness.run_in("green", "2.0.0")
    assert slow_answer(harness) == 200, "the old version, before the new one has any traffic"
    harness.retire("green")
    assert slow_answer(harness) == 504, "and back"

    harness.run_in("green", "2.0.0")
    harness.route(green=100)
    harness.retire("blue")
    harness.settings["balancer"] = {"answer_timeout": 0.5}
    harness.run_in("blue", "3.0.0")
    harness.route(blue=100)
    assert slow_answer(harness) == 200, "what was there is kept for the way back"
    harness.retire("green")
    assert slow_answer(harness) == 504


def test_a_connection_may_be_idle_as_long_as_the_component_says(harness: Streaming) -> None:
    def closed_when_idle() -> bool:
        with asked(harness, "/") as line:
            assert status(line) == 200
            line.settimeout(SILENCE)
            try:
                return is_closed(line)
            except TimeoutError:
                return False

    harness.settings["balancer"] = {"keep_alive": 0.3}
    served(harness)
    assert closed_when_idle()
    change(harness, keep_alive=30)
    assert not closed_when_idle()


def test_each_slot_is_asked_for_health_as_its_own_settings_say(harness: Streaming) -> None:
    harness.settings["health_check"] = {"interval": 0.2, "fall": 1}
    served(harness)
    harness.settings["health_check"] = {"interval": 0.5, "fall": 8}
    harness.run_in("green", "2.0.0")
    harness.route(blue=50, green=50)
    for slot in ("blue", "green"):
        harness.fall_ill(slot)
    until(lambda: harness.status_of("blue1").startswith("DOWN"), within=2)
    assert harness.status_of("green1").startswith("UP")
    assert {status_of_one(harness) for _ in range(5)} == {200}
    until(lambda: harness.status_of("green1").startswith("DOWN"))


def status_of_one(harness: Streaming) -> int:
    with asked(harness, "/") as line:
        return status(line)


def test_a_new_instance_gets_traffic_after_as_many_checks_as_it_says(harness: Streaming) -> None:
    harness.settings["health_check"] = {"interval": 0.5, "rise": 4}
    began = time.monotonic()
    served(harness)
    assert time.monotonic() - began > 1.4
    assert status_of_one(harness) == 200


def test_a_health_check_is_as_patient_as_the_component_says(harness: Streaming) -> None:
    harness.settings["health"] = "/slow?seconds=1.2"
    harness.settings["health_check"] = {"timeout": 3}
    served(harness)
    harness.settings["health_check"] = {"timeout": 0.5, "fall": 1}
    harness.do(ProvisionSlot(slot="blue", version="1.0.0", replicas=1))
    until(lambda: harness.status_of("blue1").startswith("DOWN"))


def test_a_look_takes_the_word_of_haproxy_for_an_instance_that_takes_long_to_answer(harness: Streaming) -> None:
    harness.settings["health"] = "/slow?seconds=4"
    harness.settings["health_check"] = {"timeout": 10, "interval": 0.5, "fall": 1}
    served(harness)

    began = time.monotonic()
    [found] = asyncio.run(harness.local().look())
    assert time.monotonic() - began < 3.9
    assert (found.seen.condition, found.seen.slots[0].healthy) == ("well", 1)

    harness.settings["health_check"] = {"timeout": 1.5, "interval": 0.5, "fall": 1}
    harness.do(ProvisionSlot(slot="blue", version="1.0.0", replicas=1))
    until(lambda: harness.status_of("blue1").startswith("DOWN"))
    [found] = asyncio.run(harness.local().look())
    assert found.seen.condition == "down"
    assert found.seen.reason is not None
    assert found.seen.reason.startswith("HAProxy sees blue1 DOWN")
