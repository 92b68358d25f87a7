"""Orders that an executor cannot carry out: each is kept once, nobody can have it dropped, and a flood is counted."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from nats.aio.msg import Msg

from release_management.adapters.nats.client import BusClient
from release_management.adapters.nats.connection import connect
from release_management.adapters.nats.dead_letters import rate
from release_management.adapters.nats.dead_letters.orders import COUNTED, OrderLetters
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.nats.orders import ExecutorService
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.publishing import publish
from tests.adapters.nats.fakes import (
    Bus,
    FakeExecutor,
    all_letters,
    connected,
    running,
    serving,
)
from tests.adapters.nats.test_letter_sizes import letters_of

SUBJECT = "relman.orders.local.staging"


def delivered(bus: Bus, sequence: int, payload: bytes = b"garbage") -> Msg:
    return Msg(bus.connection, SUBJECT, f"$JS.ACK.{streams.ORDERS}.local.1.{sequence}.{sequence}.1700000000.0", payload)


async def test_another_executor_that_takes_the_ids_beforehand_has_no_letter_dropped(server: NatsServer) -> None:
    async with connected(server) as bus:
        thief = await connect(server.urls["executor-command"], "thief")
        for id in ("local RELMAN_ORDERS:1", "RELMAN_ORDERS:1", f"{streams.DEAD_ORDERS}.local RELMAN_ORDERS:1"):
            await publish(thief, "relman.dead.orders.command", b"{}", {"Nats-Msg-Id": id})
        await thief.close()
        own = await connect(server.urls["executor-local"], "local")
        async with running(ExecutorService(own, "local", FakeExecutor()).run()):
            await publish(bus.connection, SUBJECT, b"garbage", {})
            found = await letters_of(bus, 4)
        await own.close()
        assert [letter.excerpt for letter in found].count("garbage") == 1


async def test_the_same_order_is_kept_once_also_by_an_executor_that_was_started_again(server: NatsServer) -> None:
    async with connected(server) as bus:
        for _ in range(2):
            own = await connect(server.urls["executor-local"], "local")
            for sequence in (1, 2):
                await OrderLetters(own, "local").bury(delivered(bus, sequence), "no order")
            await own.close()
        assert [letter.excerpt for letter in await all_letters(bus.dead_letters)] == ["garbage"] * 2


async def test_a_flood_of_orders_that_are_none_is_counted_and_not_kept_one_by_one(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate, "LETTERS", 2)
    now = 1.0
    async with connected(server) as bus:
        own = OrderLetters(bus.connection, "local", lambda: now)
        for sequence in range(1, 13):
            await own.bury(delivered(bus, sequence), f"no order {sequence}")
        reasons = [letter.reason for letter in await all_letters(bus.dead_letters)]
        assert [reason.partition(" orders within")[0] for reason in reasons] == [
            "8", "4", "2", "1", "no order 2", "no order 1",
        ]  # fmt: skip
        assert reasons[0].endswith("the last: no order 10")
        (newest, *_) = await all_letters(bus.dead_letters)
        (replay,) = await bus.dead_letters.replay([newest.id])
        assert replay.reason == COUNTED

        now += rate.REFILL_SECONDS
        await own.bury(delivered(bus, 13), "no order 13")
        assert (await all_letters(bus.dead_letters))[0].reason == "no order 13"


async def test_a_letter_with_texts_as_large_as_the_bus_takes_is_shown_cut_and_says_where_the_whole_is(
    server: NatsServer,
) -> None:
    async with serving(server) as bus, BusClient(server.url) as client, asyncio.timeout(30):
        open_ = {"reason": "x", "headers": {"X-Big": "\x01" * 150_000}, "payload": ""}
        forged: dict[str, Any] = {"time": "now", "subject": "relman.orders.local.x", "size": 0, "open": open_}
        await publish(bus.connection, "relman.dead.orders.local", json.dumps(forged).encode(), {})
        forged["open"] = {"reason": "x"}
        huge = forged | {"subject": "relman.orders.local." + "x" * 900_000}
        await publish(bus.connection, "relman.dead.orders.local", json.dumps(huge).encode(), {})
        wrong = forged | {"size": ["x" * 900_000]}
        await publish(bus.connection, "relman.dead.orders.local", json.dumps(wrong).encode(), {})
        await letters_of(bus, 3)

        assert [letter.id for letter in await client.dead_letters()] == [3, 2, 1]
        opened = {id: await client.dead_letter(id) for id in range(1, 4)}
        assert opened[1] is not None
        header = opened[1].headers["X-Big"]
        assert "… (150,000 characters in all; the whole is message 1 of the stream RELMAN_DEAD" in header
        assert len(header) < 25_000
        assert opened[2] is not None
        assert "900,020 characters in all" in opened[2].subject
        assert opened[3] is not None
        assert opened[3].reason == "this is no dead letter of ours: somebody else published it here"
