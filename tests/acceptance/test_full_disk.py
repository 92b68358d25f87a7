"""Disks that are really full: nothing is lost or doubled, everybody says so, and it goes on when there is room."""

import asyncio
import random
import string
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import nats
import pytest

from release_management import Refused, ReleaseManager
from release_management.adapters.nats.urls import credentials
from release_management.domain.record import Recorded
from tests.acceptance.bus import event
from tests.acceptance.roles import Roles, until
from tests.servers.postgres import PostgresServer
from tests.servers.small_disk import SmallDisk


def words(length: int) -> str:
    """A text that nothing makes smaller."""
    return "".join(random.choices(string.ascii_letters + string.digits, k=length))


def release(number: int) -> dict[str, object]:
    lines = [words(900) for _ in range(40)]
    return {"application": "shop", "version": f"1.{number}.0", "components": [{"name": "web"}], "changelog": lines}


def queue(roles: Roles, payloads: list[bytes], command: str) -> None:
    """Hand commands to the bus without waiting for their outcome; the bus has stored them."""
    url = credentials(roles.home.folder, "client")
    assert url is not None

    async def send() -> None:
        client = await nats.connect(url)
        for payload in payloads:
            await client.jetstream().publish(f"relman.commands.{command}", payload)
        await client.close()

    asyncio.run(send())


def created(roles: Roles) -> list[str]:
    """The versions of the releases that the log has, in its order."""
    with closing(roles.log()) as log:
        found: list[Recorded] = []
        while page := log.read(found[-1].position if found else 0, 500):
            found += page
    assert [one.position for one in found] == list(range(1, len(found) + 1))
    return [one.stream.partition("@")[2] for one in found if one.name == "release.created"]


class TestPostgreSQL:
    @pytest.fixture
    def disk(self) -> SmallDisk:
        return SmallDisk(64)

    @pytest.fixture
    def roles(self, disk: SmallDisk, tmp_path: Path) -> Iterator[Roles]:
        with closing(PostgresServer()) as server:
            made = Roles(tmp_path, server.database_on(disk))
            yield made
            asyncio.run(made.close())

    def test_full_is_busy_and_said_everywhere_and_passes(self, roles: Roles, disk: SmallDisk) -> None:
        serving = roles.start_all()
        gateway = serving["gateway"]
        shop = roles.manager()
        shop.configure_environments({"staging": {}})
        disk.fill()
        accepted, reason = fill_up(shop)

        assert "could not extend file" in reason
        assert "have space" in reason
        until(lambda: gateway.status() == 503, 5)
        (trouble,) = gateway.health()["troubles"]
        assert trouble["part"] == "store"
        assert "could not extend file" in trouble["says"]
        metrics = gateway.metrics()
        assert 'relman_commands_total{command="release.create",status="busy"}' in metrics
        assert 'relman_role_healthy{role="gateway"} 0.0' in metrics
        assert any("the log cannot be used now" in said and "could not extend" in said for said in logged(roles))
        assert gateway.health()["standing"] == "active", "it waits, it does not fall over"

        waiting = [f"{number}.0.0" for number in range(2, 12)]
        wishes = [event("release.create", {**release(0), "version": each}, f"queued-{each}") for each in waiting]
        queue(roles, [*wishes, wishes[0]], "release.create")
        assert created(roles) == accepted

        disk.make_room()
        until(lambda: len(created(roles)) == len(accepted) + len(waiting), 30)
        for each in serving.values():
            until(lambda each=each: each.status() == 200, 20)  # type: ignore[misc] # the default binds the loop's value
        shop.create_release("99.0.0", ["web"])
        assert created(roles) == [*accepted, *waiting, "99.0.0"]
        assert {str(one.version) for one in shop.releases()} >= {"99.0.0", *waiting}


def fill_up(shop: ReleaseManager) -> tuple[list[str], str]:
    """Create releases until one is not taken: those that were, and why not."""
    accepted: list[str] = []
    for number in range(1_000):
        try:
            shop.send("release.create", release(number))
        except Refused as refusal:
            return accepted, str(refusal)
        accepted.append(f"1.{number}.0")
    raise AssertionError("everything was taken")


def logged(roles: Roles) -> list[str]:
    return [line for file in roles.root.glob("*.log") for line in file.read_text().splitlines()]
