"""From one gateway to the next: queued commands keep their order, and who cannot read the log does not follow."""

import asyncio
import json
import threading
import time
from contextlib import closing
from itertools import chain, cycle
from typing import Any

import nats
import psycopg

from release_management.adapters.nats.wire.urls import credentials
from tests.acceptance.bus import event
from tests.acceptance.roles import Roles, until
from tests.servers.postgres import PostgresServer

QUEUED = 200


def queue(roles: Roles, count: int) -> None:
    """Create a release, block it and lift the block in turns: each records something only after the one before it."""
    url = credentials(roles.home.folder, "client")
    assert url is not None

    web: dict[str, Any] = {"application": "shop", "version": "1.0.0", "components": [{"name": "web"}], "draft": True}
    block = ("release.block", {"release": "shop@1.0.0", "reason": "no"})
    commands = chain([("release.create", web)], cycle([block, ("release.unblock", {"release": "shop@1.0.0"})]))

    async def send() -> None:
        client = await nats.connect(url)
        for number in range(count):
            command, data = next(commands)
            await client.jetstream().publish(f"relman.commands.{command}", event(command, data, f"queued-{number}"))
        await client.close()

    asyncio.run(send())


def decided(roles: Roles) -> list[str]:
    """The queued commands of which something was recorded, in the log's order."""
    with closing(roles.log()) as log:
        records = [json.loads(one.record) for one in log.read(0, 10 * QUEUED)]
    return [one["commandid"] for one in records if one["commandid"].startswith("queued-")]


def test_queued_commands_are_decided_in_their_order_across_the_death_of_gateways(roles: Roles) -> None:
    roles.bus.start()
    first, second, third = (roles.start("gateway") for _ in range(3))
    expected = [f"queued-{number}" for number in range(QUEUED)]
    sending = threading.Thread(target=queue, args=(roles, QUEUED))
    sending.start()
    until(lambda: len(decided(roles)) > QUEUED // 20, 20)
    first.kill()
    until(lambda: "active" in (second.health()["standing"], third.health()["standing"]), 10)
    following = second if second.health()["standing"] == "active" else third
    reached = len(decided(roles))
    until(lambda: len(decided(roles)) > min(reached, QUEUED - 1), 20)
    following.kill()
    sending.join()

    until(lambda: len(decided(roles)) == QUEUED, 60)
    assert decided(roles) == expected


def test_queued_commands_are_decided_in_their_order_when_the_store_comes_back(
    on_own_server: Roles, own_server: PostgresServer
) -> None:
    roles = on_own_server
    roles.bus.start()
    gateway = roles.start("gateway")
    sending = threading.Thread(target=queue, args=(roles, QUEUED))
    sending.start()
    for _ in range(3):
        reached = len(decided(roles))
        until(lambda reached=reached: len(decided(roles)) > min(reached, QUEUED - 1), 20)  # type: ignore[misc] # the default binds the loop's value
        own_server.kill()
        time.sleep(0.1)
        own_server.start()
    sending.join()

    until(lambda: len(decided(roles)) == QUEUED, 60)
    assert decided(roles) == [f"queued-{number}" for number in range(QUEUED)]
    until(lambda: gateway.status() == 200, 10)


def test_a_gateway_that_stands_by_and_cannot_read_what_a_newer_one_stored_ends_instead_of_following_it(
    on_postgres: Roles,
) -> None:
    roles = on_postgres
    assert roles.home.store is not None
    roles.bus.start()
    newer, older = roles.start("gateway"), roles.start("gateway")
    with psycopg.connect(roles.home.store, autocommit=True) as connection:
        connection.execute("INSERT INTO relman_log.kinds VALUES ('flag.dimmed', 7)")
    newer.kill()
    queue(roles, 2)

    assert older.process.wait(20) != 0
    last = (roles.root / "gateway-1.log").read_text().strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "flag.dimmed (schema version 7)" in last
    with psycopg.connect(roles.home.store, autocommit=True) as connection:
        connection.execute("DELETE FROM relman_log.kinds WHERE name = 'flag.dimmed'")
    assert decided(roles) == []
    roles.start("gateway")
    until(lambda: decided(roles) == ["queued-0", "queued-1"], 20)
