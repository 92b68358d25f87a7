"""Disks that are really full: nothing is lost or doubled, everybody says so, and it goes on when there is room."""

import asyncio
import json
import random
import string
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import nats
import pytest
from nats.aio.client import Client

from release_management import (
    NotReachableError,
    Refused,
    ReleaseManager,
)
from release_management.adapters.nats.wire.urls import credentials
from release_management.kernel.record import Recorded
from tests.acceptance.bus import (
    event,
    published,
    talk,
)
from tests.acceptance.installation import Installation
from tests.acceptance.roles import Roles, until
from tests.servers.postgres import PostgresServer
from tests.servers.small_disk import SmallDisk


def words(length: int, chance: random.Random) -> str:
    """A text that nothing makes smaller."""
    return "".join(chance.choices(string.ascii_letters + string.digits, k=length))


def release(number: int) -> dict[str, object]:
    chance = random.Random(number)
    lines = [words(900, chance) for _ in range(40)]
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
        assert any("the log cannot be used now" in part and "could not extend" in part for part in logged(roles))
        assert gateway.health()["standing"] == "active", "it waits, it does not fall over"

        waiting = [f"{number}.0.0" for number in range(2, 12)]
        commands = [event("release.create", {**release(0), "version": each}, f"queued-{each}") for each in waiting]
        queue(roles, [*commands, commands[0]], "release.create")
        assert created(roles) == accepted

        disk.make_room()
        until(lambda: len(created(roles)) == len(accepted) + len(waiting), 30)
        for each in serving.values():
            until(lambda each=each: each.status() == 200, 20)  # type: ignore[misc] # the default binds the loop's value
        shop.create_release("99.0.0", ["web"])
        assert created(roles) == [*accepted, *waiting, "99.0.0"]
        assert {str(one.version) for one in shop.releases()} >= {"99.0.0", *waiting}


class TestBus:
    @pytest.fixture
    def disk(self) -> Iterator[SmallDisk]:
        with closing(SmallDisk(32, largest_file=64 * 1024)) as made:
            yield made

    @pytest.fixture
    def site(self, tmp_path: Path, disk: SmallDisk) -> Iterator[Installation]:
        made = Installation(tmp_path)
        disk.make(made.folder / "nats")
        made.disk = disk
        yield made
        made.end_everything()

    def test_full_is_said_and_everything_goes_on_when_there_is_room(self, site: Installation, disk: SmallDisk) -> None:
        site.start()
        shop = site.manager()
        shop.configure_environments({"staging": site.target("web")})
        assert shop.wait(shop.deploy(shop.create_release("1.0.0", ["web"]), "staging"), 30).succeeded
        disk.belongs_to(site.pid("nats-server"))
        disk.fill()

        for number in range(20):
            shop.send("release.create", release(number) | {"version": f"2.{number}.0"})
        going = shop.deploy(shop.create_release("1.1.0", ["web"]), "staging")
        if disk.is_mounted:  # who only limits a server's files lets it write again when it is started again
            for part in ("is its disk full?", "events are not published"):
                until(lambda part=part: part in troubles(site), 30)  # type: ignore[misc] # the default binds the loop's value
            with pytest.raises(nats.errors.TimeoutError):
                publish(site, event("release.create", release(99), "queued"))
            assert not shop.deployment(going).ended
            assert site.shares() == {"1.0.0": 100}

        disk.make_room()
        assert shop.wait(going, 60).succeeded
        publish(site, event("release.create", {**release(99), "version": "9.0.0"}, "queued"))
        until(lambda: [str(one.version) for one in shop.releases()].count("9.0.0") == 1, 10)
        until(lambda: troubles(site) == "", 20)
        assert site.starts() == {("web", "1.0.0"): 1, ("web", "1.1.0"): 1}
        last = site.log.last_position()
        assert published(site, last) == [one.record for one in site.records()]


def publish(site: Installation, payload: bytes) -> None:
    """Hand a command to the bus, as its clients do who do not wait."""

    async def send(client: Client) -> None:
        await client.jetstream().publish("relman.commands.release.create", payload, timeout=2)

    talk(site, send)


def troubles(site: Installation) -> str:
    """Return the troubles in `relman health`."""
    found = []
    for note in (site.folder / "run").glob("*.json"):
        document = httpx.get(
            f"http://{json.loads(note.read_text())['address']}/health", timeout=5, trust_env=False
        ).json()
        found += [f"{document['role']}: {each['says']}" for each in document["troubles"]]
    return "; ".join(found)


def fill_up(shop: ReleaseManager) -> tuple[list[str], str]:
    """Create releases until one is not taken: those that were, and why not."""
    accepted: list[str] = []
    for number in range(1_000):
        try:
            shop.send("release.create", release(number))
        except (Refused, NotReachableError) as refusal:
            return accepted, str(refusal)
        accepted.append(f"1.{number}.0")
    raise AssertionError("everything was taken")


def logged(roles: Roles) -> list[str]:
    return [line for file in roles.root.glob("*.log") for line in file.read_text().splitlines()]
