"""A short form of `make chaos ARGS=--seen`: what `env show` says is what requests and the process table say."""

from pathlib import Path

import pytest

from chaos.screen import Said, agrees
from chaos.seen import BLOWS, World
from chaos.witness import Truth

EACH = (
    World.kill_an_instance,
    World.kill_the_balancer,
    World.take_the_port,
    World.hang,
    World.hang_one_of_several,
    World.change_weights,
    World.crash_while_deploying,
    World.kill_them_all,
    World.close_the_port,
    World.restore,
)
INCLUDED = {World.crash, World.deploy, World.restart}
"""Blows that others include."""


@pytest.mark.timeout(300)
@pytest.mark.long
def test_the_screen_says_what_is_through_a_blow_of_every_kind(tmp_path: Path) -> None:
    assert {*EACH, *INCLUDED} == set(BLOWS)
    world = World(tmp_path, seed=5)
    try:
        world.begin()
        for blow in EACH:
            world.strike(blow)
        world.agree("the last blow", well=True)
    finally:
        world.close()

    assert world.faults == []
    assert world.done == {blow.__name__: 1 for blow in EACH}
    assert {"well", "degraded", "down", "unknown"} <= set(world.screen.seen)


@pytest.mark.parametrize(
    ("condition", "running", "healthy", "answers", "living", "answering", "right"),
    [
        ("well", 2, 2, {"1.0.0"}, 2, 2, True),
        ("well", 2, 2, {"1.0.0"}, 1, 1, False),
        ("well", 2, 2, {"1.0.0"}, 2, 1, False),
        ("well", 2, 1, {"1.0.0"}, 2, 1, False),
        ("well", 2, 2, {""}, 2, 2, False),
        ("well", 2, 2, {"1.0.0", ""}, 2, 2, False),
        ("well", 2, 2, {"2.0.0"}, 2, 2, False),
        ("down", 0, 0, {""}, 0, 0, True),
        ("down", 2, 0, {""}, 2, 0, True),
        ("down", 2, 2, {"1.0.0"}, 2, 2, False),
        ("degraded", 1, 1, {"1.0.0"}, 1, 1, True),
        ("degraded", 2, 1, {"1.0.0"}, 2, 1, True),
        ("degraded", 2, 2, {"1.0.0"}, 2, 2, False),
        ("unknown", None, None, {"1.0.0"}, 2, 2, False),
    ],
)
def test_the_judge_tells_a_true_screen_from_a_false_one(
    condition: str,
    running: int | None,
    healthy: int | None,
    answers: set[str],
    living: int,
    answering: int,
    right: bool,
) -> None:
    shown: Said = {
        "condition": condition,
        "running": running,
        "healthy": healthy,
        "versions": frozenset({"1.0.0"}),
    }

    assert agrees(shown, Truth(frozenset(answers), living, answering), replicas=2) is right
