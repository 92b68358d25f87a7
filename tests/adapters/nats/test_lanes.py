"""A lane: slots are shared in turns, and nobody is answered who does not wait any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from release_management.adapters.nats.requests import lanes
from release_management.adapters.nats.requests.lanes import (
    Asker,
    Lane,
    LaneRequest,
)

NEVER = float("inf")
SOMEBODY = Asker()


class Responder:
    """Takes requests down, and lets them end one by one."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}

    def work(self, name: str) -> Callable[[], Coroutine[object, object, None]]:
        async def work() -> None:
            self.begun.append(name)
            await self._gates.setdefault(name, asyncio.Event()).wait()
            self.ended.append(name)

        return work

    async def end(self, name: str) -> None:
        self._gates.setdefault(name, asyncio.Event()).set()
        await settled()

    def request(self, name: str, asker: Asker = SOMEBODY, size: int = 10, expires: float = NEVER) -> LaneRequest:
        return LaneRequest(asker, size, expires, self.work(name))


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_clients_take_turns_and_so_do_the_connections_of_a_client() -> None:
    responder, lane = Responder(), Lane("test", 1)
    flood, other = Asker("a", "1"), Asker("a", "2")
    for n in range(3):
        lane.take(responder.request(f"flood {n}", flood))
    lane.take(responder.request("other connection", other))
    lane.take(responder.request("other client", Asker("b", "1")))
    await settled()

    for name in ("flood 0", "other client", "other connection", "flood 1", "flood 2"):
        assert responder.begun[-1] == name
        await responder.end(name)
    assert responder.ended == responder.begun


async def test_no_connection_and_no_client_takes_all_the_slots() -> None:
    responder, lane = Responder(), Lane("test", 4, of_client=3, of_connection=2)
    for n in range(9):
        lane.take(responder.request(f"1 {n}", Asker("a", "1")))
        lane.take(responder.request(f"2 {n}", Asker("a", "2")))
    await settled()
    assert sorted(responder.begun) == ["1 0", "1 1", "2 0"]

    lane.take(responder.request("honest", Asker("b", "1")))
    await settled()
    assert responder.begun[-1] == "honest"
    await lane.close(0)


async def test_a_request_that_outlived_its_senders_patience_is_dropped_and_the_lane_says_so() -> None:
    now = [100.0]
    responder, lane = Responder(), Lane("test", 1, monotonic=lambda: now[0])
    lane.take(responder.request("first", expires=105.0))
    lane.take(responder.request("stale", expires=105.0))
    lane.take(responder.request("patient", expires=120.0))
    await settled()
    assert str(lane.pressure) == "None"

    now[0] = 106.0
    await responder.end("first")
    assert responder.begun == ["first", "patient"]
    assert str(lane.pressure) == "1 requests were dropped unanswered: more were asked than can be answered in time"
    now[0] = 106.0 + lanes.REMEMBERED_SECONDS + 1
    assert str(lane.pressure) == "None"


async def test_reading_stops_when_its_asker_is_gone_and_deciding_does_not() -> None:
    for reads in (True, False):
        responder, lane = Responder(), Lane("test", 1, reads=reads)
        lane.take(responder.request("slow", expires=asyncio.get_running_loop().time() + 0.05))
        lane.take(responder.request("next"))
        await asyncio.sleep(0.3)
        assert responder.begun == (["slow", "next"] if reads else ["slow"])
        await responder.end("slow")
        assert responder.ended == ([] if reads else ["slow"])
        await lane.close(0)


async def test_a_full_line_is_its_owners_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MOST_WAITING", 3)
    responder, lane = Responder(), Lane("test", 1)
    for n in range(9):
        lane.take(responder.request(f"flood {n}", Asker("a", "1")))
    lane.take(responder.request("honest", Asker("b", "1")))
    await settled()
    for name in ("flood 0", "honest", "flood 1", "flood 2", "flood 3"):
        await responder.end(name)
    assert responder.ended == ["flood 0", "honest", "flood 1", "flood 2", "flood 3"]


async def test_the_longest_line_is_cut_if_all_together_are_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MOST_BYTES", 100)
    responder, lane = Responder(), Lane("test", 1)
    lane.take(responder.request("first"))
    for n in range(20):
        lane.take(responder.request(f"big {n}", Asker("a", "1"), size=30))
    lane.take(responder.request("small", Asker("b", "1"), size=10))
    await settled()
    for name in ("first", "small", "big 0", "big 1", "big 2"):
        await responder.end(name)
    assert sorted(responder.ended) == ["big 0", "big 1", "big 2", "first", "small"]


async def test_a_lane_keeps_nothing_of_those_who_have_nothing_in_it() -> None:
    now = [0.0]
    responder, lane = Responder(), Lane("test", 1, monotonic=lambda: now[0])
    for n in range(50):
        lane.take(responder.request(f"{n}", Asker("a", f"{n}"), expires=1.0))
    await settled()
    now[0] = 2.0
    await responder.end("0")
    assert (lane._clients, lane._bytes) == ({}, 0)
