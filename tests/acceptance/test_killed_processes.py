"""Kill -9 of any part at any moment of a canary: it goes on, and each effect happened once."""

import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from tests.acceptance.bus import published
from tests.acceptance.installation import (
    Installation,
    Part,
    canary,
    until,
)

LONGEST_DELAY = 0.12
"""Seconds after a commit within which the kill falls: what follows from a commit takes about as long."""


def after_commits(
    installation: Installation, deployment: str, chance: random.Random, disturb: Callable[[], None], times: int
) -> int:
    """Disturb a deployment so many times, each at a random moment after another of its commits; how often it was."""
    done = 0
    seen = installation.log.last_position()
    while done < times and installation.log.wait(seen, 20) and not installation.has_ended(deployment):
        time.sleep(chance.uniform(0, LONGEST_DELAY))
        disturb()
        done += 1
        seen = installation.log.last_position()
    return done


def each_effect_happened_once(installation: Installation, deployment: str) -> None:
    assert installation.ended(deployment) == "succeeded"
    assert installation.starts() == {("web", "1.0.0"): 1, ("web", "1.1.0"): 1}
    assert set(installation.instances().values()) == {1}
    assert installation.shares() == {"1.1.0": 100}
    assert sorted(installation.intended().values()) == [100]
    facts = installation.facts(deployment)
    assert facts.count("started") == 1
    done = [(data["leg"], data["step"]) for data in installation.data(deployment, "step_succeeded")]
    assert len(done) == len(set(done))
    until(lambda: len(installation.deployed()) == 1)
    installation.projections_equal_a_rebuild()
    records = installation.records()
    assert published(installation, len(records)) == [one.record for one in records]


def nothing_is_left(installation: Installation) -> None:
    assert installation.stop() == 0
    assert installation.ours() == []


def a_canary(installation: Installation, *shares: int) -> str:
    """1.0.0 serves, and 1.1.0 is on its way as a canary; its deployment."""
    shop = installation.manager()
    shop.configure_environments({"staging": installation.target("web")})
    shop.configure_deployment_strategy("canary", canary(*shares))
    assert shop.wait(shop.deploy(shop.create_release("1.0.0", ["web"]), "staging"), 30).succeeded
    return shop.deploy(shop.create_release("1.1.0", ["web"]), "staging").id


@pytest.mark.long
def test_any_part_may_be_killed_at_any_moment(installation: Installation) -> None:
    installation.start()
    deployment = a_canary(installation, *range(10, 100, 10))
    chance = random.Random(5)
    parts: list[Part] = ["road", "projector", "nats-server", "road", "projector", "nats-server"]
    chance.shuffle(parts)
    left = iter(parts)

    killed = after_commits(installation, deployment, chance, lambda: installation.kill(next(left)), len(parts))

    assert killed == len(parts)
    each_effect_happened_once(installation, deployment)
    nothing_is_left(installation)


@pytest.mark.long
def test_any_part_may_be_killed_while_a_bake_ends_early_for_the_next_deployment(installation: Installation) -> None:
    installation.start()
    shop = installation.manager()
    shop.configure_environments({"staging": installation.target("web")})
    assert shop.wait(shop.deploy(shop.create_release("1.0.0", ["web"]), "staging"), 30).succeeded
    kept = {"scale_down_delay": 600}
    first = shop.deploy(shop.create_release("1.1.0", ["web"]), "staging", "blue-green", kept).id
    second = shop.deploy(shop.create_release("1.2.0", ["web"]), "staging", "recreate").id
    chance = random.Random(3)
    parts: Iterator[Part] = iter(["road", "nats-server", "road", "projector", "road"])

    killed = after_commits(installation, second, chance, lambda: installation.kill(next(parts)), 5)

    assert killed == 5
    assert (installation.ended(first), installation.ended(second)) == ("succeeded", "succeeded")
    assert [data["successor"] for data in installation.data(first, "resumed")] == [second]
    assert installation.starts() == {("web", "1.0.0"): 1, ("web", "1.1.0"): 1, ("web", "1.2.0"): 1}
    assert installation.shares() == {"1.2.0": 100}
    until(lambda: len(installation.deployed()) == 1)
    nothing_is_left(installation)


@pytest.mark.long
def test_everything_may_be_killed_after_any_commit_and_while_it_starts(installation: Installation) -> None:
    installation.start()
    deployment = a_canary(installation, *range(10, 100, 10))
    chance = random.Random(1)
    ways = iter([installation.kill_everything, installation.kill_supervisor, installation.kill_everything])

    def power_failure() -> None:
        next(ways)()
        installation.begin()
        if chance.random() < 0.5:
            time.sleep(chance.uniform(0, 1))
            installation.kill_everything()
            installation.begin()

    assert after_commits(installation, deployment, chance, power_failure, 3) == 3
    each_effect_happened_once(installation, deployment)
    nothing_is_left(installation)


def test_the_bus_may_come_back_at_another_address(installation: Installation) -> None:
    installation.start()
    deployment = a_canary(installation, 50)
    before = installation.url
    port = urlsplit(before).port
    assert port is not None

    installation.kill("nats-server")
    with taken(port):
        until(lambda: installation.url != before)

    each_effect_happened_once(installation, deployment)
    assert installation.manager().deployment(deployment).succeeded
    nothing_is_left(installation)


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Somebody else listens there, from the moment that it is free."""
    listener: list[socket.socket] = []

    def listens() -> bool:
        with suppress(OSError):
            listener.append(socket.create_server(("127.0.0.1", port)))
        return bool(listener)

    until(listens)
    with listener[0]:
        yield
