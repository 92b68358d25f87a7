"""Slow answers, event streams, tunnels and uploads live as long as the component's settings say."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from release_management.domain.plan.steps.retire import RetireSlot
from tests.adapters.component import gone_afterwards, until
from tests.adapters.local.streams import (
    SILENCE,
    STREAM,
    TUNNEL,
    Streaming,
    asked,
    change,
    events,
    is_closed,
    lives,
    open_tunnel,
    status,
)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Streaming]:
    with gone_afterwards(Streaming(tmp_path)) as made:
        made.settings["balancer"] = {"answer_timeout": 0.5, "stream_timeout": 30}
        made.run_in("blue")
        made.route(blue=100)
        yield made


def test_an_answer_may_take_as_long_as_the_component_says(harness: Streaming) -> None:
    with asked(harness, f"/slow?seconds={SILENCE}") as line:
        assert status(line) == 504
    change(harness, answer_timeout=10)
    with asked(harness, f"/slow?seconds={SILENCE}") as line:
        assert status(line) == 200


def test_an_event_stream_outlives_its_silences(harness: Streaming) -> None:
    with asked(harness, f"/events?seconds={SILENCE}", STREAM) as line:
        assert events(line, 3) == 3


def test_a_stream_that_was_not_asked_for_as_one_is_an_answer_of_which_only_silence_counts(harness: Streaming) -> None:
    with asked(harness, "/events?seconds=0.2") as line:
        assert events(line, 6) >= 6
    with asked(harness, f"/events?seconds={SILENCE}") as line:
        assert events(line, 2) == 1


def test_a_tunnel_outlives_its_silences(harness: Streaming) -> None:
    with open_tunnel(harness) as line:
        time.sleep(SILENCE)
        assert lives(line)


def test_a_silent_stream_and_a_silent_tunnel_end_when_the_component_says_so(harness: Streaming) -> None:
    change(harness, answer_timeout=5, stream_timeout=0.5)
    with asked(harness, "/events?seconds=20", STREAM) as line:
        assert events(line, 2) == 1
    with open_tunnel(harness) as line:
        time.sleep(SILENCE)
        assert not lives(line)


@pytest.mark.parametrize(
    ("path", "headers"), [("/slow?seconds=20", ""), ("/events?seconds=20", STREAM), ("/socket", TUNNEL)]
)
def test_an_instance_is_rid_of_a_client_that_has_left(harness: Streaming, path: str, headers: str) -> None:
    change(harness, answer_timeout=30, stream_timeout=30)
    with asked(harness, path, headers):
        until(lambda: harness.sessions_of("blue1") == 1)
    until(lambda: harness.sessions_of("blue1") == 0, within=3)


def test_a_large_upload_takes_its_time(harness: Streaming) -> None:
    size, pieces = 20_000_000, 20
    with asked(harness, "/upload", f"Content-Length: {size}\r\n", "PUT") as line:
        for _ in range(pieces):
            line.sendall(b"x" * (size // pieces))
            time.sleep(0.05)
        assert line.recv(1000).endswith(b"20000000 bytes")


def test_streams_live_while_shares_change(harness: Streaming) -> None:
    harness.run_in("green", "2.0.0")
    with open_tunnel(harness) as tunnel, asked(harness, "/events?seconds=0.2", STREAM) as line:
        for share in (50, 0, 100):
            harness.route(blue=share, green=100 - share)
            assert events(line, 3) >= 3
            assert lives(tunnel)


def test_a_drain_waits_for_streams_until_its_grace_is_over_and_says_so(harness: Streaming) -> None:
    harness.settings["stop_grace"] = 60  # from now on; what stands in blue has 3
    harness.run_in("green", "2.0.0")
    with open_tunnel(harness) as tunnel:
        harness.route(green=100)
        began = time.monotonic()
        with capture_logs() as logs:
            harness.retire("blue")

        assert 3 <= time.monotonic() - began < 60
        assert is_closed(tunnel)
    [said] = [each["reason"] for each in logs if each["event"] == "connections cut off"]
    assert said == "blue1 is ended though 1 of its connections did not end within stop_grace, 3 s"


@pytest.mark.parametrize("replaced", [False, True])
def test_a_drain_ends_when_the_last_stream_has_ended(harness: Streaming, replaced: bool) -> None:
    harness.settings["stop_grace"] = 60
    harness.run_in("green", "2.0.0")
    if not replaced:
        change(harness, answer_timeout=10)
    with open_tunnel(harness) as tunnel:
        if replaced:
            change(harness, answer_timeout=10)
        harness.route(green=100)
        order = harness.order(RetireSlot(slot="blue"))

        async def retire() -> float:
            retiring = asyncio.create_task(harness.local().carry_out(order))
            await asyncio.sleep(1)
            assert not retiring.done()
            assert await asyncio.to_thread(lives, tunnel)
            tunnel.close()
            closed = time.monotonic()
            assert (await retiring).result == "succeeded"
            return time.monotonic() - closed

        assert asyncio.run(retire()) < 40
